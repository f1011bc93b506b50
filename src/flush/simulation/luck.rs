//! The source of a simulated world's whims.

/// SplitMix64: everything that a world decides comes from its seed.
#[derive(Clone, Debug)]
pub(in crate::flush) struct Luck(u64);

impl Luck {
    pub(in crate::flush) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(in crate::flush) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// `true` once in `n` times; never where `n` is 0.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A source of its own, for something that draws at times of its own.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.draw())
    }
}
