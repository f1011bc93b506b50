//! What happens in a world, line by line: told to whoever wants to read it, and always summed up,
//! so that two runs can be compared.

use std::fmt::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// The story of a world. Clones tell the same one.
#[derive(Clone)]
pub(super) struct Story(Arc<Mutex<Telling>>);

struct Telling {
    aloud: bool,
    lines: u64,
    digest: Digest,
}

impl Story {
    pub(super) fn new(aloud: bool) -> Self {
        // The offset basis of FNV-1a.
        let digest = Digest(0xcbf2_9ce4_8422_2325);
        Self(Arc::new(Mutex::new(Telling { aloud, lines: 0, digest })))
    }

    /// Adds a line. Nothing in it may differ between two runs of a seed.
    pub(super) fn tell(&self, line: fmt::Arguments<'_>) {
        let mut telling = self.0.lock();
        telling.lines += 1;
        if telling.aloud {
            println!("{:5} {line}", telling.lines);
        }
        let told = telling.digest.write_fmt(line);
        assert!(told.is_ok(), "nothing that is told fails to be written");
    }

    /// What all lines come to.
    pub(super) fn digest(&self) -> u64 {
        self.0.lock().digest.0
    }
}

/// FNV-1a, eight bytes at a time.
struct Digest(u64);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for bytes in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
        Ok(())
    }
}
