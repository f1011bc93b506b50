//! The memory of `Idempotency-Key`s: a retry is answered as the first request was.
//!
//! Bounded by count, by age and by the bytes of the answers. The keys also stand in the log, so
//! that recovery fills this memory again.
//!
//! A million keys take about 80 bytes each, for most of a worker's answers are the same and are
//! kept once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::model::limits::{KEPT_ANSWERS_BYTES_MAX, KEYS_KEPT_MAX, KEYS_KEPT_S};

/// The longest key that a client may send, in bytes.
pub const CLIENT_KEY_BYTES_MAX: usize = 128;

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

/// The memory.
#[derive(Debug, Default)]
pub struct KeyMemory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Keys whose first request is being worked on.
    in_flight: HashMap<KeyDigest, BodyDigest>,
    settled: Settled,
}

/// Keys with an answer, oldest first.
#[derive(Debug, Default)]
struct Settled {
    keys: VecDeque<SettledKey>,
    /// How many keys were forgotten, wrapping: the number of the first that is left.
    forgotten: u32,
    /// The numbers of `keys`, to be found by their hash.
    index: HashTable<u32>,
    hasher: RandomState,
    /// Every answer once.
    answers: HashSet<Arc<[u8]>, RandomState>,
    /// Bytes of the keys' answers, each counted as often as it was given.
    answer_bytes: usize,
}

#[derive(Debug)]
struct SettledKey {
    key: KeyDigest,
    body: BodyDigest,
    answer: Arc<[u8]>,
    at_s: u32,
}

impl KeyMemory {
    /// Looks a key up and claims it where it is new.
    pub fn claim(&self, key: KeyDigest, body: BodyDigest, now_s: u32) -> KeyState {
        let mut inner = self.inner.lock();
        inner.settled.expire(now_s);
        let Inner { in_flight, settled } = &mut *inner;
        if let Some(known) = settled.find(key) {
            return if known.body == body {
                KeyState::Repeat(known.answer.as_ref().into())
            } else {
                KeyState::OtherBody
            };
        }
        match in_flight.get(&key) {
            Some(known) if *known != body => KeyState::OtherBody,
            Some(_) => KeyState::InFlight,
            None => {
                in_flight.insert(key, body);
                KeyState::First
            }
        }
    }

    /// Remembers the answer to a key: one that was claimed, or one read from the log.
    pub fn settle(&self, key: KeyDigest, body: BodyDigest, answer: &[u8], now_s: u32) {
        let mut inner = self.inner.lock();
        inner.in_flight.remove(&key);
        inner.settled.expire(now_s);
        if inner.settled.find(key).is_none() {
            inner.settled.push(key, body, answer, now_s);
        }
    }

    /// Gives a claimed key back: the request entered nothing into the log.
    pub fn release(&self, key: KeyDigest) {
        self.inner.lock().in_flight.remove(&key);
    }
}

impl Settled {
    fn find(&self, key: KeyDigest) -> Option<&SettledKey> {
        let hash = self.hasher.hash_one(key);
        let at = |number: u32| &self.keys[number.wrapping_sub(self.forgotten) as usize];
        self.index.find(hash, |number| at(*number).key == key).map(|number| at(*number))
    }

    fn push(&mut self, key: KeyDigest, body: BodyDigest, answer: &[u8], at_s: u32) {
        while self.keys.len() >= KEYS_KEPT_MAX
            || self.answer_bytes + answer.len() > KEPT_ANSWERS_BYTES_MAX
        {
            if !self.forget_oldest() {
                break;
            }
        }
        let answer = match self.answers.get(answer) {
            Some(known) => Arc::clone(known),
            None => {
                let answer: Arc<[u8]> = answer.into();
                self.answers.insert(Arc::clone(&answer));
                answer
            }
        };
        self.answer_bytes += answer.len();
        let number = self.forgotten.wrapping_add(self.keys.len() as u32);
        self.keys.push_back(SettledKey { key, body, answer, at_s });
        let Self { keys, forgotten, index, hasher, .. } = self;
        let hash_of =
            |number: &u32| hasher.hash_one(keys[number.wrapping_sub(*forgotten) as usize].key);
        index.insert_unique(hash_of(&number), number, hash_of);
    }

    fn expire(&mut self, now_s: u32) {
        while self.keys.front().is_some_and(|key| key.at_s.saturating_add(KEYS_KEPT_S) < now_s) {
            self.forget_oldest();
        }
        // What a burst took is given back when most of it is unused.
        if self.keys.len() < self.keys.capacity() / 4 && self.keys.capacity() > 1024 {
            let Self { keys, forgotten, index, hasher, answers, .. } = self;
            keys.shrink_to(keys.len() * 2);
            answers.shrink_to(answers.len() * 2);
            index.shrink_to(keys.len() * 2, |number| {
                hasher.hash_one(keys[number.wrapping_sub(*forgotten) as usize].key)
            });
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.keys.front() else { return false };
        let number = self.forgotten;
        let hash = self.hasher.hash_one(oldest.key);
        if let Ok(found) = self.index.find_entry(hash, |known| *known == number) {
            found.remove();
        }
        self.forgotten = number.wrapping_add(1);
        let Some(oldest) = self.keys.pop_front() else { return false };
        self.answer_bytes -= oldest.answer.len();
        // The set's own and this one.
        if Arc::strong_count(&oldest.answer) == 2 {
            self.answers.remove(&oldest.answer);
        }
        true
    }
}

#[cfg(test)]
mod tests;
