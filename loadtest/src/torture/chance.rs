//! Chance that a seed decides, so that a run can be drawn again.

use std::ops::Range;
use std::time::Duration;

/// The generator splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Heads or tails.
    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A time in the range, to the millisecond.
    pub(crate) fn millis(&mut self, range: Range<u64>) -> Duration {
        let span = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        Duration::from_millis(range.start + self.below(span) as u64)
    }

    /// Puts the items into a random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything_and_bounds_hold() {
        let drawn = |seed| -> Vec<usize> {
            let mut chance = Chance::new(seed);
            (0..1_000).map(|_| chance.below(10)).collect()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!((0..10).all(|number| drawn(7).contains(&number)));
        let mut chance = Chance::new(1);
        for _ in 0..100 {
            assert!((5..9).contains(&chance.millis(5..9).as_millis()));
        }
        let mut items: Vec<u32> = (0..100).collect();
        chance.shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
