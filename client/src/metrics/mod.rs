//! The metrics of a worker: handles that are cheap to touch, and what they say when it is reported.
//!
//! To get a handle takes a lock and a look-up, so a worker keeps the ones that it touches often.
//! Asking never fails: beyond the bound on series, or where a name has another type already, the
//! handle counts for nobody, which is counted and logged.

mod handles;
#[cfg(feature = "prometheus")]
mod registry;
mod sketch;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use handles::{Counter, DURATION_BOUNDS, Gauge, Histogram, Summary};

use crate::snapshot::{Sample, Snapshot};
use crate::vocabulary::MetricType;

/// What a metric is called, and what it measures in what.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

impl<'a> Series<'a> {
    /// A metric of this name.
    pub fn new(name: &'a str) -> Self {
        Self { name, help: "", unit: "", labels: Vec::new() }
    }

    /// With a text that says what is measured.
    pub fn help(mut self, help: &'a str) -> Self {
        self.help = help;
        self
    }

    /// With the unit.
    pub fn unit(mut self, unit: &'a str) -> Self {
        self.unit = unit;
        self
    }

    /// With a label. Of two labels of one name the later counts.
    pub fn label(mut self, name: &'a str, value: &'a str) -> Self {
        self.labels.retain(|(known, _)| *known != name);
        self.labels.push((name, value));
        self
    }
}

impl<'a> From<&'a str> for Series<'a> {
    fn from(name: &'a str) -> Self {
        Self::new(name)
    }
}

/// The metrics of a worker. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    series_max: usize,
    table: Mutex<Table>,
    sources: Mutex<Vec<Source>>,
    refused: Counter,
    panicked: Counter,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    by_series: HashMap<Key, usize>,
    /// Series, of which a histogram has several.
    series: usize,
}

/// Name and labels in the order of their names.
type Key = (String, Vec<(String, String)>);

#[derive(Debug)]
struct Entry {
    key: Key,
    help: String,
    unit: String,
    handle: Handle,
}

#[derive(Clone, Debug)]
enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Summary(Summary),
}

/// Adds to each snapshot what it knows.
struct Source(Box<dyn FnMut(&mut Snapshot) + Send>);

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Source")
    }
}

impl Metrics {
    /// None yet, and never more than `series_max`.
    pub fn new(series_max: usize) -> Self {
        Self(Arc::new(Shared {
            series_max,
            table: Mutex::default(),
            sources: Mutex::default(),
            refused: Counter::default(),
            panicked: Counter::default(),
        }))
    }

    /// The counter of that series, the same one whenever it is asked for.
    pub fn counter<'a>(&self, series: impl Into<Series<'a>>) -> Counter {
        let made = Counter::default();
        match self.handle(&series.into(), 1, Handle::Counter(made.clone())) {
            Some(Handle::Counter(counter)) => counter,
            _ => made,
        }
    }

    /// The gauge of that series.
    pub fn gauge<'a>(&self, series: impl Into<Series<'a>>) -> Gauge {
        let made = Gauge::default();
        match self.handle(&series.into(), 1, Handle::Gauge(made.clone())) {
            Some(Handle::Gauge(gauge)) => gauge,
            _ => made,
        }
    }

    /// The histogram of that series. `bounds` rise, as [`DURATION_BOUNDS`] do, and count only for
    /// the first who asks.
    pub fn histogram<'a>(&self, series: impl Into<Series<'a>>, bounds: &[f64]) -> Histogram {
        let made = Histogram::new(bounds);
        match self.handle(&series.into(), bounds.len() + 3, Handle::Histogram(made.clone())) {
            Some(Handle::Histogram(histogram)) => histogram,
            _ => made,
        }
    }

    /// The summary of that series. `quantiles` are from 0 to 1 and count only for the first who
    /// asks.
    pub fn summary<'a>(&self, series: impl Into<Series<'a>>, quantiles: &[f64]) -> Summary {
        let made = Summary::new(quantiles);
        match self.handle(&series.into(), quantiles.len() + 2, Handle::Summary(made.clone())) {
            Some(Handle::Summary(summary)) => summary,
            _ => made,
        }
    }

    /// Has `source` add to each snapshot. It is called on a thread for work that blocks; if it
    /// panics, that is counted, and it is asked again the next time.
    pub fn add_source(&self, source: impl FnMut(&mut Snapshot) + Send + 'static) {
        lock(&self.0.sources).push(Source(Box::new(source)));
    }

    /// Handles that were refused for the bound on series or for a type that does not match.
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// Counts series that a snapshot refused.
    pub(crate) fn add_refused(&self, count: u64) {
        self.0.refused.add(count);
    }

    /// How often a source panicked.
    pub fn panicked(&self) -> u64 {
        self.0.panicked.get()
    }

    /// The handle of a series, `made` if there is none yet; `None` where it is refused.
    fn handle(&self, series: &Series<'_>, weight: usize, made: Handle) -> Option<Handle> {
        let mut labels: Vec<_> =
            series.labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        labels.sort_unstable();
        let key = (series.name.to_owned(), labels);
        let mut table = lock(&self.0.table);
        if let Some(known) = table.by_series.get(&key) {
            let known = table.entries[*known].handle.clone();
            if std::mem::discriminant(&known) == std::mem::discriminant(&made) {
                return Some(known);
            }
            drop(table);
            self.refuse(series.name, "it has another type already");
            return None;
        }
        if table.series + weight > self.0.series_max {
            drop(table);
            self.refuse(series.name, "the bound on series is reached");
            return None;
        }
        table.series += weight;
        let at = table.entries.len();
        table.by_series.insert(key.clone(), at);
        let (help, unit) = (series.help.to_owned(), series.unit.to_owned());
        table.entries.push(Entry { key, help, unit, handle: made.clone() });
        Some(made)
    }

    fn refuse(&self, name: &str, why: &str) {
        self.0.refused.inc();
        // Once, for whoever makes a series per job makes many.
        if self.0.refused.get() == 1 {
            tracing::warn!(
                metric = name,
                why,
                "a metric is not reported; noetl_client_series_refused_total counts those"
            );
        }
    }

    /// Adds what all handles and sources say.
    pub(crate) fn write_to(&self, snapshot: &mut Snapshot) {
        let table = lock(&self.0.table);
        table.entries.iter().for_each(|entry| entry.write_to(snapshot));
        drop(table);
        for Source(source) in lock(&self.0.sources).iter_mut() {
            if catch_unwind(AssertUnwindSafe(|| source(snapshot))).is_err() {
                self.0.panicked.inc();
                tracing::warn!("a source of metrics panicked; the others are reported");
            }
        }
    }
}

/// A thread that panicked elsewhere is no reason to report nothing: what the lock protects is
/// whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn write_to(&self, snapshot: &mut Snapshot) {
        let (name, labels) = &self.key;
        let labels: Vec<_> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let sample = |name, metric_type, value| Sample {
            labels: &labels,
            help: &self.help,
            unit: &self.unit,
            ..Sample::new(name, metric_type, value)
        };
        match &self.handle {
            Handle::Counter(counter) => {
                snapshot.push(&sample(name, MetricType::Counter, counter.get() as f64));
            }
            Handle::Gauge(gauge) => snapshot.push(&sample(name, MetricType::Gauge, gauge.get())),
            Handle::Histogram(histogram) => {
                let (buckets, sum) = histogram.cumulative();
                let blank = sample(name, MetricType::Histogram, 0.0);
                write_histogram(snapshot, &blank, &buckets, sum);
            }
            Handle::Summary(summary) => {
                let said = summary.take();
                let blank = sample(name, MetricType::Summary, 0.0);
                write_summary(snapshot, &blank, &said.quantiles, said.count, said.sum);
            }
        }
    }
}

/// A histogram as the series that make it: cumulative buckets, the last without a bound.
fn write_histogram(snapshot: &mut Snapshot, blank: &Sample<'_>, buckets: &[(f64, u64)], sum: f64) {
    let name = format!("{}_bucket", blank.name);
    for (bound, count) in buckets {
        let bound = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
        let labels = with(blank.labels, "le", &bound);
        // A bucket counts, in whatever the histogram measures.
        let sample = Sample { name: &name, labels: &labels, unit: "", ..*blank };
        snapshot.push(&Sample { value: *count as f64, ..sample });
    }
    let count = buckets.last().map_or(0, |(_, count)| *count);
    write_totals(snapshot, blank, count, sum);
}

/// A summary as the series that make it.
fn write_summary(
    snapshot: &mut Snapshot,
    blank: &Sample<'_>,
    quantiles: &[(f64, f64)],
    count: u64,
    sum: f64,
) {
    for (quantile, value) in quantiles {
        let quantile = format!("{quantile:?}");
        let labels = with(blank.labels, "quantile", &quantile);
        snapshot.push(&Sample { labels: &labels, value: *value, ..*blank });
    }
    write_totals(snapshot, blank, count, sum);
}

fn write_totals(snapshot: &mut Snapshot, blank: &Sample<'_>, count: u64, sum: f64) {
    let name = format!("{}_sum", blank.name);
    snapshot.push(&Sample { name: &name, value: sum, ..*blank });
    let name = format!("{}_count", blank.name);
    snapshot.push(&Sample { name: &name, value: count as f64, unit: "", ..*blank });
}

fn with<'a>(
    labels: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([(name, value)]).collect()
}

#[cfg(test)]
mod tests;
