//! One line of the page, and what its name and labels make of it.

use super::text::{self, Labels};
use crate::model::MetricType;

/// What a family is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyKind {
    /// Lines of one name.
    Plain,
    /// The parts of histograms.
    Histogram,
    /// The parts of summaries.
    Summary,
}

/// What the name of a line adds to its family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    /// Nothing.
    None,
    /// `_bucket`
    Bucket,
    /// `_sum`
    Sum,
    /// `_count`
    Count,
}

impl Suffix {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Bucket => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
        }
    }
}

/// How a line fits its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it should.
    Whole,
    /// It is a bucket or quantile that does not say which. OpenMetrics has no such thing.
    Boundless,
    /// Its bound is no number, which no parser takes.
    Misfit,
}

/// One line of the page: a value, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The member of the catalogue.
    pub(super) member: u32,
    /// The entry of the member's component whose value shows.
    pub(super) entry: u32,
    /// The name, see `names`.
    pub(super) name: u32,
    /// Where the labels stand in the block's text.
    pub(super) labels_start: u32,
    pub(super) labels_bytes: u32,
    /// The histogram or summary in its block; [`NO_GROUP`] in a plain family.
    pub(super) group: u32,
    /// When the value was accepted, in seconds since the Unix epoch; 0 when there is none.
    pub(super) seen_s: u32,
    pub(super) value: f64,
    pub(super) metric_type: MetricType,
    /// Whether it has the label of a bucket.
    pub(super) has_bucket: bool,
    /// Whether it has the label of a quantile.
    pub(super) has_quantile: bool,
    pub(super) suffix: Suffix,
    pub(super) shape: Shape,
}

/// The group of a line that is no part of any.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// A series as its family wants it written.
pub(super) struct Line {
    /// The labels as text.
    pub(super) labels: Vec<u8>,
    /// The same without the bound: what the parts of one histogram or summary share. Empty in a
    /// plain family.
    pub(super) group: Vec<u8>,
    pub(super) bound: f64,
    pub(super) shape: Shape,
    /// Whether another series of the component may have the same line.
    pub(super) altered: bool,
}

/// The label of a histogram's buckets.
pub(super) const BUCKET_LABEL: &str = "le";
/// The label of a summary's quantiles.
pub(super) const QUANTILE_LABEL: &str = "quantile";

impl Line {
    /// Writes `labels` for a line of a family of that kind, whose name ends in `suffix`.
    pub(super) fn write(labels: &Labels<'_>, kind: FamilyKind, suffix: Suffix) -> Self {
        let mut line = Self {
            labels: Vec::with_capacity(128),
            group: Vec::new(),
            bound: f64::NAN,
            shape: Shape::Whole,
            altered: labels.is_altered(),
        };
        let bound_label = match kind {
            FamilyKind::Plain => {
                labels.write(&mut line.labels, |_, value| Some(value));
                return line;
            }
            FamilyKind::Histogram => BUCKET_LABEL,
            FamilyKind::Summary => QUANTILE_LABEL,
        };
        let raw = labels.value(bound_label);
        let bound = raw.map(|raw| raw.parse::<f64>().ok().filter(|bound| !bound.is_nan()));
        let is_bounded = match kind {
            FamilyKind::Histogram => suffix == Suffix::Bucket,
            FamilyKind::Summary | FamilyKind::Plain => suffix == Suffix::None,
        };
        match (bound, is_bounded) {
            (Some(None), _) => line.shape = Shape::Misfit,
            (None, true) => line.shape = Shape::Boundless,
            (Some(Some(bound)), true) => {
                let canonical = text::canonical_bound(bound);
                line.altered |= Some(canonical.as_str()) != raw;
                line.bound = bound;
                labels.write(&mut line.labels, |name, value| {
                    Some(if name == bound_label { &canonical } else { value })
                });
                labels.write(&mut line.group, |name, value| (name != bound_label).then_some(value));
                return line;
            }
            (_, false) => {}
        }
        labels.write(&mut line.labels, |_, value| Some(value));
        line.group.clone_from(&line.labels);
        line
    }
}
