//! Why one metric of a report is rejected.

use crate::model::RejectKind;
use crate::model::limits::UNIT_BYTES_MAX;
use crate::protocol::quoted::Quoted;
use crate::protocol::timestamp::InvalidTimestamp;

/// What is wrong with a metric. Holds the client's words by reference, so that a fault costs
/// nothing until its sentence is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault<'a> {
    #[error("the metric is {0}; send an object")]
    NotAnObject(&'static str),
    #[error("the field {0} stands twice; send it once")]
    DuplicateField(&'static str),
    #[error("{0} is missing")]
    Missing(Field),
    #[error("{field} is {found}; send {}", field.expected())]
    WrongType { field: Field, found: &'static str },
    #[error("{0} contains the character U+0000, which the database cannot hold")]
    Nul(Field),
    #[error("metric_name is empty")]
    EmptyName,
    #[error("metric_name is {bytes} bytes long; the limit is {bytes_max}")]
    LongName { bytes: usize, bytes_max: usize },
    #[error("metric_type {} is none of counter, gauge, histogram, summary", Quoted(.0))]
    UnknownType(&'a str),
    #[error("metric_value {} is not a number, \"NaN\", \"+Inf\" or \"-Inf\"", Quoted(.0))]
    UnknownValue(&'a str),
    #[error("timestamp {} {why}", Quoted(.text))]
    Timestamp { text: &'a str, why: InvalidTimestamp },
    #[error("timestamp {why}")]
    TimestampNumber { why: InvalidTimestamp },
    #[error(
        "timestamp lies {} in the future; the limit is {}; check the sender's clock",
        Seconds(*.ahead_us), Seconds(*.limit_us)
    )]
    Future { ahead_us: i64, limit_us: i64 },
    #[error("labels has {count} entries; the limit is {count_max}")]
    ManyLabels { count: usize, count_max: usize },
    #[error("labels has an empty name in it")]
    EmptyLabelName,
    #[error("the label {} has a name of {bytes} bytes; the limit is {bytes_max}", Quoted(.name))]
    LongLabelName { name: &'a str, bytes: usize, bytes_max: usize },
    #[error("the label {} has a value of {bytes} bytes; the limit is {bytes_max}", Quoted(.name))]
    LongLabelValue { name: &'a str, bytes: usize, bytes_max: usize },
    #[error("the label {} is {found}; send a string, a number or a boolean", Quoted(.name))]
    LabelValueType { name: &'a str, found: &'static str },
    #[error("the label {} contains the character U+0000, which the database cannot hold", Quoted(.0))]
    LabelNul(&'a str),
    #[error("the label {} stands twice; send it once", Quoted(.0))]
    DuplicateLabel(&'a str),
    #[error("unit is {0} bytes long; the limit is {UNIT_BYTES_MAX}")]
    LongUnit(usize),
}

/// The fields of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Type,
    Value,
    Timestamp,
    Labels,
    Help,
    Unit,
}

impl Field {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "metric_name",
            Self::Type => "metric_type",
            Self::Value => "metric_value",
            Self::Timestamp => "timestamp",
            Self::Labels => "labels",
            Self::Help => "help_text",
            Self::Unit => "unit",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Name => "a string",
            Self::Type => "counter, gauge, histogram or summary",
            Self::Value => "a number",
            Self::Timestamp => "a string, a number or null",
            Self::Labels => "an object of strings",
            Self::Help | Self::Unit => "a string or null",
        }
    }

    fn kind(self) -> RejectKind {
        match self {
            Self::Name => RejectKind::Name,
            Self::Type => RejectKind::Type,
            Self::Value => RejectKind::Value,
            Self::Timestamp => RejectKind::Timestamp,
            Self::Labels => RejectKind::Labels,
            Self::Help | Self::Unit => RejectKind::Metadata,
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Fault<'_> {
    /// The kind under which the reject is counted.
    pub(super) fn kind(&self) -> RejectKind {
        match self {
            Self::NotAnObject(_) | Self::DuplicateField(_) => RejectKind::Malformed,
            Self::Missing(field) | Self::WrongType { field, .. } | Self::Nul(field) => field.kind(),
            Self::EmptyName | Self::LongName { .. } => RejectKind::Name,
            Self::UnknownType(_) => RejectKind::Type,
            Self::UnknownValue(_) => RejectKind::Value,
            Self::Timestamp { .. } | Self::TimestampNumber { .. } => RejectKind::Timestamp,
            Self::Future { .. } => RejectKind::Future,
            Self::ManyLabels { .. }
            | Self::EmptyLabelName
            | Self::LongLabelName { .. }
            | Self::LongLabelValue { .. }
            | Self::LabelValueType { .. }
            | Self::LabelNul(_)
            | Self::DuplicateLabel(_) => RejectKind::Labels,
            Self::LongUnit(_) => RejectKind::Metadata,
        }
    }
}

/// Displays microseconds as seconds, to the millisecond.
struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0 / 1_000;
        match millis % 1_000 {
            0 => write!(f, "{} s", millis / 1_000),
            rest => write!(f, "{}.{rest:03} s", millis / 1_000),
        }
    }
}
