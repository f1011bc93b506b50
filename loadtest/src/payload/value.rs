//! Values that can be computed again afterwards, and whose sums are exact: every value is a
//! multiple of one eighth, written with a fixed number of digits.

use crate::timestamp::write_digits;

/// Values are counted in eighths, which binary floating point holds exactly.
pub(crate) const EIGHTHS_PER_UNIT: u64 = 8;

/// How a metric's value looks and moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// A whole number of so many digits, anywhere in its range.
    Whole(u32),
    /// So many digits, a point, and a multiple of one eighth (`45.125`), anywhere in its range.
    Fraction(u32),
    /// A whole number of ten digits that never falls.
    Counter,
    /// Ten digits that stay as they are.
    Constant,
}

impl ValueKind {
    /// Bytes of the written value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Whole(digits) => digits as usize,
            Self::Fraction(digits) => digits as usize + 4,
            Self::Counter | Self::Constant => 10,
        }
    }

    /// The value, in eighths, of a worker's report number `round` given `random` bits.
    pub(crate) fn eighths(self, round: u64, random: u64) -> u64 {
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

    /// Writes a value of this kind over `out`, which must be `width()` bytes long.
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

/// Random bits, in their order the same for the same seed, worker and report.
pub(crate) fn random_bits(seed: u64, worker: u32, round: u64) -> impl Iterator<Item = u64> {
    let mut state = mix(seed ^ mix((u64::from(worker) << 40) ^ round));
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    })
}

/// The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_fills_its_width_with_a_json_number() {
        for kind in [
            ValueKind::Whole(1),
            ValueKind::Whole(3),
            ValueKind::Fraction(1),
            ValueKind::Fraction(2),
            ValueKind::Counter,
            ValueKind::Constant,
        ] {
            for random in [0, 1, u64::MAX / 3, u64::MAX] {
                let eighths = kind.eighths(5, random);
                let mut out = vec![b'x'; kind.width()];
                kind.write(&mut out, eighths);
                let text = std::str::from_utf8(&out).unwrap();
                assert_ne!(out[0], b'0', "{kind:?} wrote {text}, which is not JSON");
                let read: f64 = text.parse().unwrap();
                assert_eq!(read * EIGHTHS_PER_UNIT as f64, eighths as f64, "{kind:?}");
            }
        }
    }

    #[test]
    fn counters_never_fall() {
        for round in 0..100 {
            let last = ValueKind::Counter.eighths(round, u64::MAX);
            assert!(ValueKind::Counter.eighths(round + 1, 0) > last);
        }
    }
}
