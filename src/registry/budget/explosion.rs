//! What a component is full of: the metrics with the most series, and the label of each that has
//! the most values.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::registry::series_table::SeriesTable;

/// Label values that are looked at, from the newest series on: some milliseconds.
const VALUES_MAX: usize = 100_000;
/// Metrics that are told.
const METRICS_MAX: usize = 16;

/// A metric that uses up its component's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explosion {
    metric: Box<str>,
    series: usize,
    label: Option<(Box<str>, usize)>,
    cut: bool,
}

impl Explosion {
    /// The metric.
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// How many series it has.
    pub fn series(&self) -> usize {
        self.series
    }

    /// Its label with the most values, and how many those are; `None` where it has no label of more
    /// than one value.
    pub fn label(&self) -> Option<(&str, usize)> {
        self.label.as_ref().map(|(label, values)| (&**label, *values))
    }

    /// Whether there are more series than were looked at, so that the numbers are too low.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

#[derive(Default)]
struct Tally<'a> {
    series: usize,
    /// The hashes of the values of each label.
    labels: HashMap<&'a str, HashSet<u64, RandomState>, RandomState>,
}

/// The metrics of a component with the most series, that with the most first.
pub(super) fn find(table: &SeriesTable) -> Vec<Explosion> {
    let hasher = RandomState::default();
    let mut tallies: HashMap<&str, Tally<'_>, RandomState> = HashMap::default();
    let mut looked_at = 0;
    let mut cut = false;
    for at in (0..table.len()).rev() {
        let (descriptor, values) = table.parts(at);
        looked_at += 1 + descriptor.labels();
        cut = looked_at > VALUES_MAX;
        if cut {
            break;
        }
        let tally = tallies.entry(descriptor.name()).or_default();
        tally.series += 1;
        for (key, value) in descriptor.keys().zip(values) {
            tally.labels.entry(key).or_default().insert(hasher.hash_one(value));
        }
    }
    let explosion = |(metric, tally): (&str, Tally<'_>)| {
        let labels = tally.labels.into_iter().map(|(label, values)| (label, values.len()));
        // Of two with as many values the first by name, so that it is always the same.
        let label = labels.min_by_key(|(label, values)| (usize::MAX - values, *label));
        let label = label.filter(|(_, values)| *values > 1);
        Explosion {
            metric: metric.into(),
            series: tally.series,
            label: label.map(|(label, values)| (label.into(), values)),
            cut,
        }
    };
    let mut explosions: Vec<_> = tallies.into_iter().map(explosion).collect();
    explosions.sort_unstable_by(|one, other| {
        (other.series, &one.metric).cmp(&(one.series, &other.metric))
    });
    explosions.truncate(METRICS_MAX);
    explosions.shrink_to_fit();
    explosions
}
