//! The memory of `Idempotency-Key`s: a retry is answered as the first request was.
//!
//! Bounded by count and by age. The keys also stand in the log, so that recovery fills this
//! memory again.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// The longest key that a client may send, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// For how long a key is remembered, in seconds.
const KEEP_S: u32 = 600;
/// How many keys are remembered.
const KEYS_MAX: usize = 1_000_000;
/// Bytes of all answers that are remembered; the oldest go when they are more.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A client's key, or one line's share of it, as a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 16]);

/// A digest of the bytes that came with a key: the same key with another body is a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDigest([u8; 16]);

impl KeyDigest {
    /// The digest of a client's key; `line` counts from 1 where a request has several reports.
    pub fn new(key: &[u8], line: u32) -> Self {
        Self(digest(&[&line.to_le_bytes(), key]))
    }

    /// Reads the form that [`KeyDigest::bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes that the log keeps.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl BodyDigest {
    /// The digest of a report's bytes.
    pub fn of(body: &[u8]) -> Self {
        Self(digest(&[body]))
    }

    /// Wraps what the log kept.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes that the log keeps.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize()[..16]);
    first
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Never seen, or long ago. The caller owns it now, and must settle or release it.
    First,
    /// Seen with this body: answer the same again.
    Repeat(Box<[u8]>),
    /// The first request with it has not entered the log yet.
    InFlight,
    /// Seen with another body.
    OtherBody,
}

#[derive(Debug)]
struct Remembered {
    body: BodyDigest,
    /// `None` while the first request is being worked on.
    answer: Option<Box<[u8]>>,
}

/// The memory.
#[derive(Debug, Default)]
pub struct KeyMemory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    keys: HashMap<KeyDigest, Remembered>,
    /// Settled keys by the second of their answer.
    ages: VecDeque<(u32, KeyDigest)>,
    answer_bytes: usize,
}

impl KeyMemory {
    /// Looks a key up and claims it where it is new.
    pub fn claim(&self, key: KeyDigest, body: BodyDigest, now_s: u32) -> KeyState {
        let mut inner = self.inner.lock();
        inner.expire(now_s);
        match inner.keys.get(&key) {
            Some(known) if known.body != body => KeyState::OtherBody,
            Some(Remembered { answer: Some(answer), .. }) => KeyState::Repeat(answer.clone()),
            Some(_) => KeyState::InFlight,
            None => {
                inner.keys.insert(key, Remembered { body, answer: None });
                KeyState::First
            }
        }
    }

    /// Remembers the answer to a key: one that was claimed, or one read from the log.
    pub fn settle(&self, key: KeyDigest, body: BodyDigest, answer: &[u8], now_s: u32) {
        let mut inner = self.inner.lock();
        // First, or an expired use of this key would take the new one along.
        inner.expire(now_s);
        if inner.keys.get(&key).is_some_and(|known| known.answer.is_some()) {
            return;
        }
        inner.keys.insert(key, Remembered { body, answer: Some(answer.into()) });
        inner.ages.push_back((now_s, key));
        inner.answer_bytes += answer.len();
        inner.expire(now_s);
    }

    /// Gives a claimed key back: the request entered nothing into the log.
    pub fn release(&self, key: KeyDigest) {
        let mut inner = self.inner.lock();
        if inner.keys.get(&key).is_some_and(|known| known.answer.is_none()) {
            inner.keys.remove(&key);
        }
    }
}

impl Inner {
    fn expire(&mut self, now_s: u32) {
        while let Some(&(at_s, key)) = self.ages.front() {
            let fits = self.ages.len() <= KEYS_MAX && self.answer_bytes <= ANSWER_BYTES_MAX;
            if fits && at_s.saturating_add(KEEP_S) >= now_s {
                break;
            }
            self.ages.pop_front();
            let gone = self.keys.remove(&key).and_then(|gone| gone.answer);
            self.answer_bytes -= gone.map_or(0, |answer| answer.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_claimed_settled_repeated_and_forgotten() {
        let memory = KeyMemory::default();
        let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
        assert_eq!(memory.claim(key, body, 100), KeyState::First);
        assert_eq!(memory.claim(key, body, 100), KeyState::InFlight);
        memory.settle(key, body, b"answer", 100);
        assert_eq!(memory.claim(key, body, 700), KeyState::Repeat(b"answer".as_slice().into()));
        assert_eq!(memory.claim(key, BodyDigest::of(b"other"), 700), KeyState::OtherBody);
        assert_eq!(memory.claim(key, body, 701), KeyState::First, "forgotten after ten minutes");
    }

    #[test]
    fn a_released_key_is_new_again_and_a_settled_one_stays() {
        let memory = KeyMemory::default();
        let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
        assert_eq!(memory.claim(key, body, 100), KeyState::First);
        memory.release(key);
        assert_eq!(memory.claim(key, body, 100), KeyState::First);
        memory.settle(key, body, b"answer", 100);
        memory.release(key);
        assert_eq!(memory.claim(key, body, 100), KeyState::Repeat(b"answer".as_slice().into()));
    }

    #[test]
    fn a_key_read_from_the_log_twice_is_remembered_as_the_second_time() {
        let memory = KeyMemory::default();
        let (key, body) = (KeyDigest::new(b"k", 0), BodyDigest::of(b"body"));
        memory.settle(key, body, b"first", 100);
        memory.settle(key, body, b"second", 800);
        assert_eq!(memory.claim(key, body, 900), KeyState::Repeat(b"second".as_slice().into()));
    }

    #[test]
    fn lines_have_keys_of_their_own() {
        assert_ne!(KeyDigest::new(b"k", 1), KeyDigest::new(b"k", 2));
        let key = KeyDigest::new(b"k", 1);
        assert_eq!(KeyDigest::from_bytes(key.bytes()), Some(key));
        assert_eq!(KeyDigest::from_bytes(b"short"), None);
    }
}
