//! Seeded mutations: the same seed makes the same bytes, so that a failure is replayed by its number.

/// Pieces that are inserted whole: what single bytes would seldom come to.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"NaN",
    b"-0",
    b"1e308",
    b"1e999",
    b"5e-324",
    b"18446744073709551616",
    b"0.1",
    b"-",
    b"+",
    b".",
    b"\n",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xff",
    b"\xef\xbb\xbf",
    b"Z",
    b"T",
    b"+01:00",
    b":60",
    b"=",
    b"#",
    b"'",
    b"\"\"\"",
    b"[[",
    b"KiB",
    b"\xff\x06\x00\x00sNaPpY",
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x8b\x08",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
];

/// A stream of numbers without a pattern that would matter here (splitmix64).
#[derive(Clone, Debug)]
pub struct Luck(u64);

impl Luck {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// One of `corpus`, changed in one to five places.
pub fn mutate(corpus: &[Vec<u8>], luck: &mut Luck) -> Vec<u8> {
    let mut bytes = corpus[luck.below(corpus.len())].clone();
    for _ in 0..=luck.below(5) {
        let at = luck.below(bytes.len() + 1);
        let end = at + luck.below((bytes.len() - at).min(32) + 1);
        match luck.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << luck.below(8),
            1 if at < bytes.len() => bytes[at] = luck.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copied = bytes[at..end].to_vec();
                let to = luck.below(bytes.len() + 1);
                bytes.splice(to..to, copied);
            }
            4 => bytes.truncate(at),
            5 => {
                let other = &corpus[luck.below(corpus.len())];
                let from = luck.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = PIECES[luck.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}
