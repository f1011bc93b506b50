//! Counts values in buckets whose bounds grow by about 3 %, so that a quantile is known to 1.6 %
//! whatever the values are. The bucket is read off the bits of the float.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets for each power of two, as a power of two itself.
const STEPS_BITS: u32 = 5;
const STEPS: usize = 1 << STEPS_BITS;
/// Powers of two that are told apart: 2⁻³² to 2³².
const OCTAVES: usize = 64;
const BUCKETS: usize = OCTAVES * STEPS;
/// The bits of 2⁻³², without those below the step.
const FIRST: u64 = (1023 - 32) << STEPS_BITS;
const MANTISSA_BITS: u32 = 52;

/// The buckets.
#[derive(Debug)]
pub(super) struct Sketch(Box<[AtomicU64]>);

impl Sketch {
    pub(super) fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Counts a value. What is smaller or larger than all buckets is counted in the outermost, and
    /// so is what is no number, as the largest.
    pub(super) fn observe(&self, value: f64) {
        self.0[bucket_of(value)].fetch_add(1, Relaxed);
    }

    /// The value of each quantile, NaN where nothing was counted; forgets what was counted.
    pub(super) fn take(&self, quantiles: &[f64]) -> Vec<f64> {
        let counts: Vec<u64> = self.0.iter().map(|count| count.swap(0, Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let value_of = |quantile: &f64| {
            if total == 0 {
                return f64::NAN;
            }
            let rank = (quantile * total as f64).ceil().max(1.0);
            let mut below = 0_u64;
            let reached = counts.iter().position(|count| {
                below += count;
                below as f64 >= rank
            });
            middle_of(reached.unwrap_or(BUCKETS - 1))
        };
        quantiles.iter().map(value_of).collect()
    }
}

fn bucket_of(value: f64) -> usize {
    if value <= 0.0 {
        return 0;
    }
    let bits = value.to_bits() >> (MANTISSA_BITS - STEPS_BITS);
    (bits.saturating_sub(FIRST) as usize).min(BUCKETS - 1)
}

/// Half-way between the bounds of a bucket.
fn middle_of(bucket: usize) -> f64 {
    let bound = |at: u64| f64::from_bits((FIRST + at) << (MANTISSA_BITS - STEPS_BITS));
    if bucket == 0 {
        return 0.0;
    }
    bound(bucket as u64).midpoint(bound(bucket as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_near_the_middle_of_its_bucket() {
        let mut value = 1e-9;
        while value < 2e9 {
            let middle = middle_of(bucket_of(value));
            assert!((middle - value).abs() <= value * 0.016, "{value}: {middle}");
            value *= 1.013;
        }
    }

    #[test]
    fn odd_values_have_a_bucket() {
        for (value, bucket) in [
            (0.0, 0),
            (-1.0, 0),
            (f64::NEG_INFINITY, 0),
            (f64::MIN_POSITIVE, 0),
            (f64::INFINITY, BUCKETS - 1),
            (f64::MAX, BUCKETS - 1),
            (f64::NAN, BUCKETS - 1),
        ] {
            assert_eq!(bucket_of(value), bucket, "{value}");
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let sketch = Sketch::new();
        (1..=4).for_each(|n| sketch.observe(f64::from(n)));
        let values = sketch.take(&[0.0, 0.25, 0.5, 0.75, 1.0]);
        for (value, truth) in values.iter().zip([1.0, 1.0, 2.0, 3.0, 4.0]) {
            assert!((value - truth).abs() <= truth * 0.016, "{values:?}");
        }
        assert!(sketch.take(&[0.5])[0].is_nan());
    }
}
