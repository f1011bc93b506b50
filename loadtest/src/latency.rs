//! Latencies: one histogram per connection, merged at the end.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer latencies are counted as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Latencies in microseconds, to three significant digits.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// The percentiles of a run, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LatencySummary {
    /// Half of the requests were not slower.
    pub(crate) p50_us: u64,
    /// 90 % were not slower.
    pub(crate) p90_us: u64,
    /// 99 % were not slower.
    pub(crate) p99_us: u64,
    /// 99.9 % were not slower.
    pub(crate) p999_us: u64,
    /// The slowest.
    pub(crate) max_us: u64,
}

impl Latencies {
    /// None as yet.
    pub(crate) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Ok(Self(histogram.context("create a latency histogram")?))
    }

    /// Counts one latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_micros() as u64);
    }

    /// Takes in those of another connection.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("merge latency histograms")
    }

    /// How many were slower than `bound`, to three digits.
    #[cfg(test)]
    pub(crate) fn slower_than(&self, bound: Duration) -> u64 {
        self.0.len() - self.0.count_between(0, bound.as_micros() as u64)
    }

    /// The percentiles; zeros when nothing was recorded.
    pub(crate) fn summary(&self) -> LatencySummary {
        LatencySummary {
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p999_us: self.0.value_at_quantile(0.999),
            max_us: self.0.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_merged_connections() {
        let mut all = Latencies::new().unwrap();
        assert_eq!(all.summary(), LatencySummary::default());
        for half in [1..=500_u64, 501..=1_000] {
            let mut one = Latencies::new().unwrap();
            for micros in half {
                one.record(Duration::from_micros(micros));
            }
            all.merge(&one).unwrap();
        }
        let summary = all.summary();
        assert_eq!((summary.p50_us, summary.p90_us, summary.p99_us), (500, 900, 990));
        assert_eq!((summary.p999_us, summary.max_us), (999, 1_000));
    }

    #[test]
    fn an_absurd_latency_is_counted_as_the_longest() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(Duration::from_secs(100_000));
        assert!(latencies.summary().max_us >= 3_599_000_000);
    }
}
