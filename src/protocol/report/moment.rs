//! When a sample was taken: the field `timestamp`, or now.

use jiff::tz::TimeZone;
use simd_json::{Node, StaticNode};

use super::fault::{Fault, Field};
use super::tape::Json;
use crate::model::Timestamp;
use crate::protocol::timestamp;

/// Reads the timestamps of one report.
///
/// Senders mostly stamp all metrics of a report alike, so the last text is remembered with its
/// meaning.
#[derive(Debug)]
pub(super) struct MomentReader<'r, 'a> {
    zone: &'r TimeZone,
    now: Timestamp,
    future_us_max: i64,
    last: Option<(&'a str, Timestamp)>,
}

impl<'r, 'a> MomentReader<'r, 'a> {
    /// `now` stands in for a missing timestamp, `zone` for a missing zone.
    pub(super) fn new(zone: &'r TimeZone, now: Timestamp, future_us_max: i64) -> Self {
        Self { zone, now, future_us_max, last: None }
    }

    /// The timestamp of one metric.
    #[inline]
    pub(super) fn read(&mut self, field: Option<Json<'_, 'a>>) -> Result<Timestamp, Fault<'a>> {
        let Some(json) = field else {
            return Ok(self.now);
        };
        let number = match json.head() {
            Node::String(text) => return self.text(text),
            Node::Static(StaticNode::I64(number)) => return self.integer(number.into()),
            Node::Static(StaticNode::U64(number)) => return self.integer(number.into()),
            Node::Static(StaticNode::F64(number)) => timestamp::from_float(number),
            _ => return Err(Fault::WrongType { field: Field::Timestamp, found: json.kind() }),
        };
        self.not_future(number.map_err(|why| Fault::TimestampNumber { why })?)
    }

    /// The timestamp that `number` is.
    pub(super) fn integer(&self, number: i128) -> Result<Timestamp, Fault<'a>> {
        let timestamp = timestamp::from_integer(number);
        self.not_future(timestamp.map_err(|why| Fault::TimestampNumber { why })?)
    }

    /// The timestamp that `text` is.
    #[inline]
    pub(super) fn text(&mut self, text: &'a str) -> Result<Timestamp, Fault<'a>> {
        if let Some((last, timestamp)) = self.last
            && last == text
        {
            return Ok(timestamp);
        }
        let timestamp = timestamp::parse(text, self.zone)
            .map_err(|why| Fault::Timestamp { text, why })
            .and_then(|timestamp| self.not_future(timestamp))?;
        self.last = Some((text, timestamp));
        Ok(timestamp)
    }

    fn not_future(&self, timestamp: Timestamp) -> Result<Timestamp, Fault<'a>> {
        let ahead_us = timestamp.micros() - self.now.micros();
        if ahead_us > self.future_us_max {
            return Err(Fault::Future { ahead_us, limit_us: self.future_us_max });
        }
        Ok(timestamp)
    }
}
