//! What a worker holds of a metric. To touch one is one or two atomic operations: no lock, no
//! allocation, no system call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::sketch::Sketch;

/// A value that only rises, in whole steps. Its report is the total since the process began, so a
/// report that is lost takes no increment with it.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `steps`.
    pub fn add(&self, steps: u64) {
        self.0.fetch_add(steps, Relaxed);
    }

    /// The total.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A value that rises and falls.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicF64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.0.store(value.to_bits(), Relaxed);
    }

    /// Adds `change`, which may be negative.
    pub fn add(&self, change: f64) {
        self.0.add(change);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// Counts values by the bound that they do not exceed.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Ascending and finite; a last bucket without a bound follows.
    bounds: Box<[f64]>,
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

/// Upper bounds for durations in seconds, from 5 ms to 10 s: those of Prometheus' clients.
pub const DURATION_BOUNDS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Histogram {
    /// With these upper bounds; what is no finite number or not above the one before is left out.
    pub(super) fn new(bounds: &[f64]) -> Self {
        let mut kept: Vec<f64> = Vec::with_capacity(bounds.len());
        for bound in bounds.iter().copied().filter(|bound| bound.is_finite()) {
            if kept.last().is_none_or(|last| bound > *last) {
                kept.push(bound);
            }
        }
        let counts = (0..=kept.len()).map(|_| AtomicU64::new(0)).collect();
        let sum = AtomicF64::default();
        Self(Arc::new(Buckets { bounds: kept.into(), counts, sum }))
    }

    /// Counts a value. One that is not a number exceeds every bound.
    pub fn observe(&self, value: f64) {
        let Buckets { bounds, counts, sum } = &*self.0;
        // Histograms have a dozen bounds, and the smaller ones are met more often.
        let at = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        counts[at].fetch_add(1, Relaxed);
        sum.add(value);
    }

    /// How many values came up to each bound, the last without one, and their sum. The counts
    /// agree with each other; a value that is observed meanwhile may be in them and not yet in
    /// the sum.
    pub(super) fn cumulative(&self) -> (Vec<(f64, u64)>, f64) {
        let sum = self.0.sum.get();
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.0.counts.iter().scan(0, |total, count| {
            *total += count.load(Relaxed);
            Some(*total)
        });
        (bounds.zip(counts).collect(), sum)
    }
}

/// Quantiles of what was observed since the last report, and its count and sum since the process
/// began. Each takes 16 KiB.
#[derive(Clone, Debug)]
pub struct Summary(Arc<Observed>);

#[derive(Debug)]
struct Observed {
    quantiles: Box<[f64]>,
    sketch: Sketch,
    count: AtomicU64,
    sum: AtomicF64,
}

/// What a report says of a summary.
#[derive(Debug, PartialEq)]
pub(super) struct Summarised {
    /// Each quantile with its value, NaN where nothing was observed.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Summary {
    /// With these quantiles, each from 0 to 1; others are left out.
    pub(super) fn new(quantiles: &[f64]) -> Self {
        let quantiles = quantiles.iter().copied().filter(|q| (0.0..=1.0).contains(q)).collect();
        let (count, sum) = (AtomicU64::new(0), AtomicF64::default());
        Self(Arc::new(Observed { quantiles, sketch: Sketch::new(), count, sum }))
    }

    /// Counts a value, which is not negative. Quantiles are within 1.6 % of the truth for values
    /// from 10⁻⁹ to 10⁹.
    pub fn observe(&self, value: f64) {
        self.0.sketch.observe(value);
        self.0.count.fetch_add(1, Relaxed);
        self.0.sum.add(value);
    }

    /// What it says now; begins the next interval of the quantiles.
    pub(super) fn take(&self) -> Summarised {
        let Observed { quantiles, sketch, count, sum } = &*self.0;
        let values = sketch.take(quantiles);
        Summarised {
            quantiles: quantiles.iter().copied().zip(values).collect(),
            count: count.load(Relaxed),
            sum: sum.get(),
        }
    }
}

/// A float that many threads add to.
#[derive(Debug, Default)]
struct AtomicF64(AtomicU64);

impl AtomicF64 {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn add(&self, change: f64) {
        let mut seen = self.0.load(Relaxed);
        loop {
            let sum = (f64::from_bits(seen) + change).to_bits();
            match self.0.compare_exchange_weak(seen, sum, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_among_threads() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        let (histogram, summary) = (Histogram::new(&[1.0, 2.0]), Summary::new(&[0.5]));
        thread::scope(|scope| {
            for thread in 0..4 {
                let (counter, gauge) = (counter.clone(), gauge.clone());
                let (histogram, summary) = (histogram.clone(), summary.clone());
                scope.spawn(move || {
                    for _ in 0..10_000 {
                        counter.inc();
                        gauge.add(if thread % 2 == 0 { 1.0 } else { -0.5 });
                        histogram.observe(f64::from(thread));
                        summary.observe(f64::from(thread));
                    }
                });
            }
        });
        assert_eq!(counter.get(), 40_000);
        assert_eq!(gauge.get(), 10_000.0);
        let (buckets, sum) = histogram.cumulative();
        assert_eq!(buckets, [(1.0, 20_000), (2.0, 30_000), (f64::INFINITY, 40_000)]);
        assert_eq!(sum, 60_000.0);
        let summarised = summary.take();
        assert_eq!((summarised.count, summarised.sum), (40_000, 60_000.0));
    }

    #[test]
    fn bounds_that_are_none_are_left_out() {
        let histogram = Histogram::new(&[1.0, f64::NAN, 0.5, 1.0, 3.0, f64::INFINITY]);
        histogram.observe(1.0);
        histogram.observe(f64::NAN);
        let (buckets, sum) = histogram.cumulative();
        assert_eq!(buckets, [(1.0, 1), (3.0, 1), (f64::INFINITY, 2)]);
        assert!(sum.is_nan());
    }

    #[test]
    fn a_summary_begins_its_quantiles_anew_with_each_report() {
        let summary = Summary::new(&[0.5, 0.99, 2.0]);
        (1..=1000).for_each(|n| summary.observe(f64::from(n)));
        let first = summary.take();
        assert_eq!((first.count, first.sum), (1000, 500_500.0));
        for (quantile, value) in &first.quantiles {
            let truth = quantile * 1000.0;
            assert!((value - truth).abs() <= truth * 0.016 + 1.0, "{quantile}: {value}");
        }
        assert_eq!(first.quantiles.len(), 2, "2.0 is no quantile");
        let second = summary.take();
        assert!(second.quantiles.iter().all(|(_, value)| value.is_nan()), "{second:?}");
        assert_eq!(second.count, 1000);
    }
}
