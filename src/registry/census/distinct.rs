//! How many different hashes there were: exactly for few, to some 2 % for many, in 4 KiB at most.

use hashbrown::HashTable;

/// So many are counted exactly.
pub(super) const EXACT_MAX: usize = 256;
/// Bits of a hash that choose its register.
const REGISTER_BITS: u32 = 12;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// The other bits, of which a register keeps how many zeros they began with at most.
const RANK_BITS: u32 = u64::BITS - REGISTER_BITS;

#[derive(Debug)]
pub(super) enum Distinct {
    Exact(HashTable<u64>),
    /// HyperLogLog, with 1.04/√4096 = 1.6 % of standard error.
    Estimated(Box<[u8; REGISTERS]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(HashTable::new())
    }
}

impl Distinct {
    /// Notes a hash; all of its bits must be good.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64) {
        match self {
            Self::Exact(known) => {
                let entry = known.entry(hash, |other| *other == hash, |other| *other);
                entry.or_insert(hash);
                if known.len() > EXACT_MAX {
                    let mut registers = Box::new([0; REGISTERS]);
                    known.iter().for_each(|hash| raise(&mut registers, *hash));
                    *self = Self::Estimated(registers);
                }
            }
            Self::Estimated(registers) => raise(registers, hash),
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Exact(known) => known.len(),
            Self::Estimated(registers) => estimate(registers),
        }
    }
}

#[inline]
fn raise(registers: &mut [u8; REGISTERS], hash: u64) {
    let register = &mut registers[(hash >> RANK_BITS) as usize];
    // The bit that is set ends the count where all others are zero.
    let zeros = (hash << REGISTER_BITS | 1 << (REGISTER_BITS - 1)).leading_zeros();
    *register = (*register).max(zeros as u8 + 1);
}

/// Ertl, *New cardinality estimation algorithms for HyperLogLog sketches* (2017), algorithm 6: good
/// over the whole range without tables of corrections.
fn estimate(registers: &[u8; REGISTERS]) -> usize {
    let mut counts = [0_u32; RANK_BITS as usize + 2];
    for &rank in registers {
        counts[usize::from(rank)] += 1;
    }
    let all = REGISTERS as f64;
    let [empty, between @ .., full] = &counts;
    let mut sum = all * tau(1.0 - f64::from(*full) / all);
    for &count in between.iter().rev() {
        sum = 0.5 * (sum + f64::from(count));
    }
    sum += all * sigma(f64::from(*empty) / all);
    #[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
    let estimate = (all * all / (2.0 * std::f64::consts::LN_2 * sum)).round() as usize;
    estimate
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * power;
        power += power;
        if sum <= before {
            return sum;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut power, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        power *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * power;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use foldhash::quality::FixedState;

    use super::*;

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        let hasher = FixedState::default();
        let mut distinct = Distinct::default();
        for n in 1..=2_000_000_usize {
            let hash = hasher.hash_one(n as u64);
            distinct.insert(hash);
            distinct.insert(hash);
            if n <= EXACT_MAX {
                assert_eq!(distinct.count(), n);
            } else if n.is_power_of_two() || n == EXACT_MAX + 1 || n % 500_000 == 0 {
                let error = (distinct.count() as f64 / n as f64 - 1.0).abs();
                assert!(error < 0.05, "{} for {n}", distinct.count());
            }
        }
    }

    #[test]
    fn hashes_at_the_edges_are_taken() {
        let mut registers = [0; REGISTERS];
        for hash in [0, 1, u64::MAX, 1 << 63] {
            raise(&mut registers, hash);
        }
        assert_eq!((registers[0], registers[REGISTERS - 1]), (RANK_BITS as u8 + 1, 1));
        assert!(estimate(&registers) >= 3);
        assert!(estimate(&[RANK_BITS as u8 + 1; REGISTERS]) > 1 << 40, "all full");
    }
}
