//! Values that can be computed again afterwards, and whose sums are exact: every value is a
//! multiple of one eighth, written with a fixed number of digits.

use crate::payload::catalogue::Metric;
use crate::timestamp::write_digits;

/// Values are counted in eighths, which binary floating point holds exactly.
pub(crate) const EIGHTHS_PER_UNIT: u64 = 8;

/// How a metric's value looks and moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole number of so many digits, anywhere in its range.
    Whole(u32),
    /// So many digits, a point, and a multiple of one eighth (`45.125`), anywhere in its range.
    Fraction(u32),
    /// A whole number of ten digits that never falls.
    Counter,
    /// Ten digits that stay as they are.
    Constant,
}

impl Shape {
    /// Bytes of the written value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Whole(digits) => digits as usize,
            Self::Fraction(digits) => digits as usize + 4,
            Self::Counter | Self::Constant => 10,
        }
    }

    /// The value, in eighths, of a worker's report number `round` given `random` bits.
    fn eighths(self, round: u64, random: u64) -> u64 {
        let from = |digits: u32| 10_u64.pow(digits - 1);
        let below = |bound: u64| ((u128::from(random) * u128::from(bound)) >> 64) as u64;
        match self {
            Self::Whole(digits) => EIGHTHS_PER_UNIT * (from(digits) + below(9 * from(digits))),
            Self::Fraction(digits) => {
                EIGHTHS_PER_UNIT * from(digits) + below(EIGHTHS_PER_UNIT * 9 * from(digits))
            }
            Self::Counter => EIGHTHS_PER_UNIT * (from(10) + round * 7 + below(7)),
            Self::Constant => EIGHTHS_PER_UNIT * 1_700_000_000,
        }
    }

    /// Writes a value of this shape over `out`, which must be `width()` bytes long.
    pub(crate) fn write(self, out: &mut [u8], eighths: u64) {
        match self {
            Self::Fraction(digits) => {
                let (whole, rest) = out.split_at_mut(digits as usize);
                write_digits(whole, eighths / EIGHTHS_PER_UNIT);
                rest[0] = b'.';
                write_digits(&mut rest[1..], eighths % EIGHTHS_PER_UNIT * 125);
            }
            Self::Whole(_) | Self::Counter | Self::Constant => {
                write_digits(out, eighths / EIGHTHS_PER_UNIT);
            }
        }
    }
}

/// The values of one report, in eighths, in the order of the metrics.
pub(crate) fn report_eighths(
    metrics: &[Metric],
    seed: u64,
    worker: u32,
    round: u64,
) -> impl Iterator<Item = u64> {
    let mut state = mix(seed ^ mix((u64::from(worker) << 40) ^ round));
    metrics.iter().map(move |metric| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        metric.shape.eighths(round, mix(state))
    })
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_fills_its_width_with_a_json_number() {
        for shape in [
            Shape::Whole(1),
            Shape::Whole(3),
            Shape::Fraction(1),
            Shape::Fraction(2),
            Shape::Counter,
            Shape::Constant,
        ] {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let eighths = shape.eighths(5, random);
                let mut out = vec![b'x'; shape.width()];
                shape.write(&mut out, eighths);
                let text = std::str::from_utf8(&out).unwrap();
                assert_ne!(out[0], b'0', "{shape:?} wrote {text}, which is not JSON");
                let read: f64 = text.parse().unwrap();
                assert_eq!(read * EIGHTHS_PER_UNIT as f64, eighths as f64, "{shape:?}");
            }
        }
    }

    #[test]
    fn counters_never_fall() {
        for round in 0..100 {
            let last = Shape::Counter.eighths(round, u64::MAX);
            assert!(Shape::Counter.eighths(round + 1, 0) > last);
        }
    }

    #[test]
    fn values_depend_on_seed_worker_and_round_only() {
        let metrics = crate::payload::catalogue(10);
        let values = |seed, worker, round| -> Vec<u64> {
            report_eighths(&metrics, seed, worker, round).collect()
        };
        assert_eq!(values(1, 2, 3), values(1, 2, 3));
        assert_ne!(values(1, 2, 3), values(2, 2, 3));
        assert_ne!(values(1, 2, 3), values(1, 3, 3));
        assert_ne!(values(1, 2, 3), values(1, 2, 4));
    }
}
