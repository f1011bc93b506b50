//! What the series of one metric have in common: name, label keys, type, help text and unit.
//!
//! A fleet has millions of series and some hundred metrics. So all that a series keeps for itself
//! are the values of its labels; the rest of its canonical bytes is kept once for all of them.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use smallvec::SmallVec;

/// The canonical bytes of a series (see [`crate::model::series`]) without the values of its labels.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Descriptor {
    fixed: Box<[u8]>,
    /// Where in `fixed` each label's value is to be put.
    cuts: Box<[u32]>,
    /// How much of `fixed` is of the identity.
    identity_bytes: u32,
}

/// The values of a series' labels, each with its length before it as in the canonical bytes.
pub(super) type LabelValues<'a> = SmallVec<[&'a [u8]; 8]>;

impl Descriptor {
    /// Takes canonical bytes apart, of which so many are the identity; `None` when they are not
    /// what they should be.
    pub(super) fn split(
        definition: &[u8],
        identity_bytes: usize,
    ) -> Option<(Self, LabelValues<'_>)> {
        let (identity, metadata) = definition.split_at_checked(identity_bytes)?;
        let (mut fixed, mut cuts) = (Vec::with_capacity(definition.len()), Vec::new());
        let mut values = LabelValues::new();
        let (name, rest) = split_text(identity)?;
        fixed.extend_from_slice(name);
        let (&labels, mut rest) = rest.split_first()?;
        fixed.push(labels);
        for _ in 0..labels {
            let (key, value_on) = split_text(rest)?;
            fixed.extend_from_slice(key);
            cuts.push(u32::try_from(fixed.len()).ok()?);
            let value;
            (value, rest) = split_text(value_on)?;
            values.push(value);
        }
        let identity_bytes = u32::try_from(fixed.len()).ok()?;
        fixed.extend_from_slice(metadata);
        let descriptor = Self { fixed: fixed.into(), cuts: cuts.into(), identity_bytes };
        rest.is_empty().then_some((descriptor, values))
    }

    /// How many values there are.
    pub(super) fn labels(&self) -> usize {
        self.cuts.len()
    }

    /// The name of the metric.
    pub(super) fn name(&self) -> &str {
        split_text(&self.fixed).map_or("", |(name, _)| text(name))
    }

    /// The keys of the labels, in the order of their values.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        // Behind the name comes the number of labels, in a byte.
        let mut start = split_text(&self.fixed).map_or(0, |(name, _)| name.len() + 1);
        self.cuts.iter().map(move |&cut| {
            let key = &self.fixed[start..cut as usize];
            start = cut as usize;
            text(key)
        })
    }

    /// Appends the identity of the series with these values, and with `metadata` all of its
    /// canonical bytes.
    pub(super) fn write<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]>,
        part: Part,
        out: &mut Vec<u8>,
    ) {
        let mut start = 0;
        for (&cut, value) in self.cuts.iter().zip(values) {
            out.extend_from_slice(&self.fixed[start..cut as usize]);
            out.extend_from_slice(value);
            start = cut as usize;
        }
        out.extend_from_slice(&self.fixed[start..self.end(part)]);
    }

    /// Whether `bytes` are what [`Descriptor::write`] would append.
    #[inline]
    pub(super) fn is<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]>,
        part: Part,
        bytes: &[u8],
    ) -> bool {
        let (mut start, mut rest) = (0, bytes);
        for (&cut, value) in self.cuts.iter().zip(values) {
            let after = rest.strip_prefix(&self.fixed[start..cut as usize]);
            let Some(after) = after.and_then(|rest| rest.strip_prefix(value)) else { return false };
            (start, rest) = (cut as usize, after);
        }
        *rest == self.fixed[start..self.end(part)]
    }

    fn end(&self, part: Part) -> usize {
        match part {
            Part::Identity => self.identity_bytes as usize,
            Part::Whole => self.fixed.len(),
        }
    }
}

/// How much of a series' canonical bytes is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its name and labels.
    Identity,
    /// These and its type, help text and unit.
    Whole,
}

/// A text with its length before it, and what follows.
fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.first_chunk::<2>()?;
    bytes.split_at_checked(2 + usize::from(u16::from_le_bytes(*length)))
}

/// A text without its length.
fn text(with_length: &[u8]) -> &str {
    with_length.get(2..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// All descriptors, each once.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    known: Mutex<HashTable<Arc<Descriptor>>>,
    hasher: RandomState,
}

impl Descriptors {
    /// The one that equals `descriptor`.
    pub(super) fn share(&self, descriptor: Descriptor) -> Arc<Descriptor> {
        let hash = self.hasher.hash_one(&descriptor);
        let mut known = self.known.lock();
        if let Some(known) = known.find(hash, |known| **known == descriptor) {
            return Arc::clone(known);
        }
        let descriptor = Arc::new(descriptor);
        known.insert_unique(hash, Arc::clone(&descriptor), |one| self.hasher.hash_one(one));
        descriptor
    }

    /// Lets those go that no series has any more.
    pub(super) fn forget_unused(&self) {
        let mut known = self.known.lock();
        // Who would share one has to wait for the lock.
        known.retain(|descriptor| Arc::strong_count(descriptor) > 1);
        let len = known.len();
        if known.capacity() > 4 * len {
            known.shrink_to(len, |one| self.hasher.hash_one(one));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::series::{MetricType, write_identity, write_metadata};

    fn definition(name: &str, labels: &[(&str, &str)], help: &str) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        write_identity(&mut bytes, name, labels);
        let identity = bytes.len();
        write_metadata(&mut bytes, MetricType::Gauge, help, "s");
        (bytes, identity)
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        let many: Vec<_> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|key| (key, key)).into();
        for labels in [&[][..], &[("k", "")], &[("k", "v"), ("l", "with, \"quotes\"")], &many] {
            let (bytes, identity) = definition("name", labels, "help");
            let (descriptor, values) = Descriptor::split(&bytes, identity).unwrap();
            assert_eq!((descriptor.labels(), values.len()), (labels.len(), labels.len()));
            assert_eq!(descriptor.name(), "name");
            let keys: Vec<_> = descriptor.keys().collect();
            assert_eq!(keys, labels.iter().map(|(key, _)| *key).collect::<Vec<_>>());
            let values = || values.iter().copied();
            for (part, expected) in
                [(Part::Whole, &bytes[..]), (Part::Identity, &bytes[..identity])]
            {
                let mut out = Vec::new();
                descriptor.write(values(), part, &mut out);
                assert_eq!(out, expected, "{labels:?}");
                assert!(descriptor.is(values(), part, expected), "{labels:?}");
                for end in 0..expected.len() {
                    assert!(
                        !descriptor.is(values(), part, &expected[..end]),
                        "{labels:?} to {end}"
                    );
                    let mut other = expected.to_vec();
                    other[end] ^= 1;
                    assert!(!descriptor.is(values(), part, &other), "{labels:?} at {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_definition_is_refused_without_panic() {
        let (bytes, identity) = definition("name", &[("k", "v"), ("l", "w")], "help");
        for end in 0..identity {
            assert_eq!(Descriptor::split(&bytes[..end], identity), None);
            assert_eq!(Descriptor::split(&bytes, end), None, "an identity of {end} bytes");
        }
    }

    #[test]
    fn series_of_one_metric_share_and_what_is_unused_goes() {
        let descriptors = Descriptors::default();
        let share = |name: &str, value: &str, help: &str| {
            let (bytes, identity) = definition(name, &[("k", value)], help);
            descriptors.share(Descriptor::split(&bytes, identity).unwrap().0)
        };
        let one = share("a", "v", "help");
        assert!(Arc::ptr_eq(&one, &share("a", "another value", "help")));
        let other = [share("b", "v", "help"), share("a", "v", "another help")];
        assert!(other.iter().all(|other| !Arc::ptr_eq(&one, other)));
        assert_eq!(descriptors.len(), 3);
        drop(other);
        descriptors.forget_unused();
        assert_eq!(descriptors.len(), 1);
        drop(one);
        descriptors.forget_unused();
        assert_eq!(descriptors.len(), 0);
    }
}
