//! What a decoder hands to the registry: samples over one byte arena.

use std::ops::Range;

use super::Timestamp;

/// One decoded sample. Its series stands in the arena of its [`SampleBatch`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Where the series' canonical bytes stand in [`SampleBatch::arena`].
    pub series: Range<u32>,
    /// How many of those bytes are the series' identity (name and labels); type, help and
    /// unit follow.
    pub identity_bytes: u32,
    /// The value; NaN and the infinities are values.
    pub value: f64,
    /// When the value was taken.
    pub timestamp: Timestamp,
    /// The metric's place in the client's `metrics` array, for answers about it.
    pub index: u32,
}

/// The samples of one report, in the client's order, and what was rejected of it.
///
/// Reused from report to report: [`SampleBatch::clear`] keeps the memory.
#[derive(Debug, Default)]
pub struct SampleBatch {
    /// Canonical series bytes, see [`super::series`].
    pub arena: Vec<u8>,
    /// The good samples.
    pub samples: Vec<Sample>,
    /// The bad ones.
    pub rejects: Vec<Reject>,
}

impl SampleBatch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.samples.clear();
        self.rejects.clear();
    }

    /// The canonical bytes of the sample's series.
    pub fn series_of(&self, sample: &Sample) -> &[u8] {
        &self.arena[sample.series.start as usize..sample.series.end as usize]
    }
}

/// One metric that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The metric's place in the client's `metrics` array.
    pub index: u32,
    /// The kind, a label of the counter of rejects.
    pub kind: RejectKind,
    /// One sentence that the sender can act on.
    pub reason: String,
}

/// Kinds of rejects, few enough to count one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectKind {
    /// The entry is not a JSON object, or a field of it stands twice.
    Malformed,
    /// `metric_name` is missing, empty, too long or not a string.
    Name,
    /// `metric_type` is none of the four.
    Type,
    /// `metric_value` is missing or not a number.
    Value,
    /// `timestamp` is not one of the forms.
    Timestamp,
    /// `timestamp` lies too far in the future.
    Future,
    /// Its partition does not exist and may not be made (see the bound on past partitions).
    Partition,
    /// `labels` is no object, has too many entries, or one that is too long or of a wrong type.
    Labels,
    /// `help_text` or `unit` is not a string, or the unit is too long.
    Metadata,
    /// A new series of a component that has its limit of them.
    ComponentSeriesLimit,
    /// A new series of a component that had too many new ones lately.
    ComponentNewSeriesLimit,
    /// No further series can be held in memory.
    SeriesLimit,
    /// A new series where all components together had too many new ones lately.
    NewSeriesLimit,
}

impl RejectKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Name,
        Self::Type,
        Self::Value,
        Self::Timestamp,
        Self::Future,
        Self::Partition,
        Self::Labels,
        Self::Metadata,
        Self::ComponentSeriesLimit,
        Self::ComponentNewSeriesLimit,
        Self::SeriesLimit,
        Self::NewSeriesLimit,
    ];

    /// The value of the label `reason` of `noetl_metrics_samples_rejected_total`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Name => "name",
            Self::Type => "type",
            Self::Value => "value",
            Self::Timestamp => "timestamp",
            Self::Future => "future",
            Self::Partition => "partition",
            Self::Labels => "labels",
            Self::Metadata => "metadata",
            Self::ComponentSeriesLimit => "component_series_limit",
            Self::ComponentNewSeriesLimit => "component_new_series_limit",
            Self::SeriesLimit => "series_limit",
            Self::NewSeriesLimit => "new_series_limit",
        }
    }
}
