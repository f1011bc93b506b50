//! The parameters of `GET /api/metrics/query`.
//!
//! | parameter | meaning |
//! |---|---|
//! | `runtime_id` | the component's id |
//! | `component_name`, `metric_name` | the name; `*` stands for any run of characters |
//! | `metric_type` | counter, gauge, histogram or summary |
//! | `labels` | a JSON object of labels that the series must have |
//! | `start_time`, `end_time` | the sample's time, both ends included; every form that a report may use |
//! | `order` | `desc` (newest first, the default) or `asc` |
//! | `limit` | samples per page, 1 to 10000, 1000 by default; a stream has no limit by default |
//! | `cursor` | `next_cursor` of the page before |
//! | `consistency` | `acknowledged` (the default) or `eventual` |
//!
//! An empty value is as good as none. A parameter of another name is refused rather than
//! passed over: a filter with a spelling mistake would answer another question.

use jiff::tz::TimeZone;

use super::cursor::Cursor;
use super::range::TimeRange;
use crate::model::{MetricType, RuntimeId, Timestamp};
use crate::protocol::parameters;

mod value;

pub(super) use value::Pattern;

/// The largest `limit`, in samples.
pub const LIMIT_MAX: usize = 10_000;
/// The `limit` of a query that names none, in samples.
pub const LIMIT_DEFAULT: usize = 1_000;

/// Which samples are asked for, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub(super) runtime_id: Option<RuntimeId>,
    pub(super) component_name: Option<Pattern>,
    pub(super) metric_name: Option<Pattern>,
    pub(super) metric_type: Option<MetricType>,
    /// A JSON object of strings.
    pub(super) labels: Option<String>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) order: Order,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<Cursor>,
    consistency: Consistency,
}

/// Which samples come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By (timestamp, metric_id) descending.
    #[default]
    NewestFirst,
    /// By (timestamp, metric_id) ascending.
    OldestFirst,
}

/// What a query is sure to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Every sample that was acknowledged before the query came: wait until it is flushed.
    #[default]
    Acknowledged,
    /// What is flushed; it may lag by the age of a batch, but nothing is waited for.
    Eventual,
}

/// Why a query string is no [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// No parameter has that name.
    #[error(
        "parameter {name:?} is unknown; known are runtime_id, component_name, metric_name, \
         metric_type, labels, start_time, end_time, order, limit, cursor and consistency"
    )]
    Unknown {
        /// The name as it was sent.
        name: String,
    },
    /// A parameter stands twice.
    #[error("parameter {name} is given twice; give it once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// The value cannot be used.
    #[error("parameter {name} {reason}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// A predicate, with what to write instead.
        reason: String,
    },
}

impl InvalidFilter {
    /// The stable code of the answer's field `error`.
    pub fn code(&self) -> &'static str {
        "invalid_parameter"
    }
}

/// In the order of the table above; also the indexes into the values found.
const NAMES: [&str; 11] = [
    "runtime_id",
    "component_name",
    "metric_name",
    "metric_type",
    "labels",
    "start_time",
    "end_time",
    "order",
    "limit",
    "cursor",
    "consistency",
];

impl Filter {
    /// Reads the query string of a URL, without its `?`; `zone` applies to times that name none.
    ///
    /// # Errors
    /// [`InvalidFilter`] names the parameter and says what to write.
    pub fn parse(query: &str, zone: &TimeZone) -> Result<Self, InvalidFilter> {
        let values = values(query)?;
        let [
            runtime_id,
            component_name,
            metric_name,
            metric_type,
            labels,
            start,
            end,
            order,
            limit,
            cursor,
            consistency,
        ] = values.each_ref().map(Option::as_deref);
        let moment = |text: &str| value::moment(text, zone);
        let filter = Self {
            runtime_id: read("runtime_id", runtime_id, value::runtime_id_of)?,
            component_name: read("component_name", component_name, value::pattern)?,
            metric_name: read("metric_name", metric_name, value::pattern)?,
            metric_type: read("metric_type", metric_type, value::metric_type_of)?,
            labels: read("labels", labels, value::label_object)?.flatten(),
            start: read("start_time", start, moment)?,
            end: read("end_time", end, moment)?,
            order: read("order", order, value::order_of)?.unwrap_or_default(),
            limit: read("limit", limit, value::limit_of)?,
            cursor: read("cursor", cursor, value::cursor_of)?,
            consistency: read("consistency", consistency, value::consistency_of)?
                .unwrap_or_default(),
        };
        if filter.start.zip(filter.end).is_some_and(|(start, end)| start > end) {
            let reason = "lies after end_time; exchange the two".to_owned();
            return Err(InvalidFilter::Value { name: "start_time", reason });
        }
        Ok(filter)
    }

    /// What the query is to see.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// Samples of one page.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT)
    }

    /// The timestamps that can still be in the answer, behind the cursor.
    pub(super) fn range(&self) -> TimeRange {
        let after = |timestamp: Timestamp| timestamp.offset_by(1);
        let mut range = TimeRange {
            from: self.start.unwrap_or(Timestamp::MIN),
            to: self.end.map_or(Timestamp::MAX, after),
        };
        match (self.order, self.cursor) {
            (_, None) => {}
            (Order::NewestFirst, Some(cursor)) => range.to = range.to.min(after(cursor.timestamp)),
            (Order::OldestFirst, Some(cursor)) => range.from = range.from.max(cursor.timestamp),
        }
        range
    }
}

/// The decoded value of each of [`NAMES`].
fn values(query: &str) -> Result<[Option<String>; NAMES.len()], InvalidFilter> {
    let mut values = [const { None }; NAMES.len()];
    for (name, encoded) in parameters::pairs(query) {
        let index = NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| InvalidFilter::Unknown { name: name.chars().take(64).collect() })?;
        let name = NAMES[index];
        let invalid = |reason: &str| InvalidFilter::Value { name, reason: reason.to_owned() };
        let value = parameters::decode(encoded)
            .ok_or_else(|| invalid("is not percent-encoded UTF-8; write % as %25"))?;
        if value.contains('\0') {
            return Err(invalid("must not contain the character U+0000"));
        }
        if !value.is_empty() && values[index].replace(value).is_some() {
            return Err(InvalidFilter::Repeated { name });
        }
    }
    Ok(values)
}

fn read<T>(
    name: &'static str,
    value: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, InvalidFilter> {
    value.map(parse).transpose().map_err(|reason| InvalidFilter::Value { name, reason })
}

#[cfg(test)]
mod tests;
