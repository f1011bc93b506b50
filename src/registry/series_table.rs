//! The series of one component: canonical bytes in one arena, an index by identity, and the
//! order of the last report.
//!
//! A worker reports the same series in the same order again and again. So the n-th sample is
//! first compared with the series that the n-th sample of the last report had; equal bytes end
//! the search without a hash. Two lookups of ten thousand miss this, and they cost one hash and
//! one full comparison.

use std::hash::BuildHasher;
use std::hint::black_box;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::model::{GroupId, Slot, Timestamp};

/// The last accepted sample of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastValue {
    /// When the value was taken.
    pub timestamp: Timestamp,
    /// The value.
    pub value: f64,
}

impl LastValue {
    const NONE: Self = Self { timestamp: Timestamp::MIN, value: 0.0 };

    /// Whether a sample repeats this one: same time and the same value to the bit, so that NaN
    /// repeats NaN.
    pub fn is_repeated_by(&self, timestamp: Timestamp, value: f64) -> bool {
        self.timestamp == timestamp && self.value.to_bits() == value.to_bits()
    }
}

/// One series as its readers see it.
#[derive(Clone, Copy, Debug)]
pub struct SeriesView<'a> {
    /// Canonical bytes, see [`crate::model::series`].
    pub definition: &'a [u8],
    /// The group that the series' rows go to.
    pub group: GroupId,
    /// The series' place in the group.
    pub slot: Slot,
    /// The sample with the latest timestamp, if there was one since the series came into memory.
    pub newest: Option<LastValue>,
    /// When that sample was accepted, or the series loaded, in seconds since the Unix epoch.
    pub seen_s: u32,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    bytes: u32,
    identity_bytes: u32,
    seen_s: u32,
    group: GroupId,
    /// The last accepted sample: what a client's retry repeats.
    last: LastValue,
    /// The sample with the latest timestamp: what the page shows. A late one does not replace it.
    newest: LastValue,
    slot: Slot,
    has_last: bool,
}

/// How far ahead to look: a processor has about as many reads under way.
const AHEAD: usize = 16;

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The series, with the metadata that it is known by.
    Same(usize),
    /// The series, with another type, help text or unit.
    OtherMetadata(usize),
    /// No such series.
    Nothing,
}

/// The table. Entries are numbered from 0 in the order they came.
#[derive(Debug, Default)]
pub(super) struct SeriesTable {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    order: Vec<u32>,
    hasher: RandomState,
    /// Bytes in the arena that no entry uses any more, after changes of metadata.
    wasted_bytes: usize,
}

impl SeriesTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes room for as many series as a first report brings, and for no more: most workers never
    /// bring another one, and there are many workers.
    pub(super) fn reserve(&mut self, series: usize, definition_bytes: usize) {
        self.entries.reserve_exact(series);
        self.arena.reserve_exact(definition_bytes);
    }

    /// Gives back the room that was made for further series.
    pub(super) fn fit(&mut self) {
        self.entries.shrink_to_fit();
        self.arena.shrink_to_fit();
        self.order.shrink_to_fit();
    }

    /// Reads something of the entries from `first` on, so that they come from memory together and
    /// while the caller does something else.
    #[inline]
    pub(super) fn look_ahead(&self, first: usize) {
        let ahead = self.entries.iter().skip(first).take(AHEAD);
        black_box(ahead.fold(0, |seen, entry| seen | entry.seen_s));
    }

    /// Finds the series of the `nth` sample of a report and remembers it for the next report.
    #[inline]
    pub(super) fn find(&mut self, nth: usize, definition: &[u8], identity_bytes: usize) -> Found {
        if let Some(&predicted) = self.order.get(nth) {
            let predicted = predicted as usize;
            if self.definition(predicted) == Some(definition) {
                return Found::Same(predicted);
            }
        }
        self.find_by_hash(nth, definition, identity_bytes)
    }

    #[cold]
    fn find_by_hash(&mut self, nth: usize, definition: &[u8], identity_bytes: usize) -> Found {
        let identity = &definition[..identity_bytes];
        let hash = self.hasher.hash_one(identity);
        let Some(&at) = self.index.find(hash, |&at| self.identity(at as usize) == identity) else {
            return Found::Nothing;
        };
        self.remember(nth, at);
        let at = at as usize;
        if self.definition(at) == Some(definition) {
            Found::Same(at)
        } else {
            Found::OtherMetadata(at)
        }
    }

    /// Notes that the `nth` sample of a report was of the entry `at`. A gap (a reject before it)
    /// is filled with the same entry: a wrong prediction only costs the hash.
    fn remember(&mut self, nth: usize, at: u32) {
        if self.order.len() <= nth {
            self.order.resize(nth + 1, at);
        }
        self.order[nth] = at;
    }

    /// Adds a series that [`SeriesTable::find`] did not find; `None` when the arena is full
    /// (4 GiB of definitions in one component).
    pub(super) fn insert(
        &mut self,
        definition: &[u8],
        identity_bytes: usize,
        group: GroupId,
        slot: Slot,
    ) -> Option<usize> {
        let start = u32::try_from(self.arena.len()).ok()?;
        u32::try_from(self.arena.len() + definition.len()).ok()?;
        let at = u32::try_from(self.entries.len()).ok()?;
        self.arena.extend_from_slice(definition);
        self.entries.push(Entry {
            start,
            bytes: definition.len() as u32,
            identity_bytes: identity_bytes as u32,
            seen_s: 0,
            group,
            last: LastValue::NONE,
            newest: LastValue::NONE,
            slot,
            has_last: false,
        });
        let hash = self.hasher.hash_one(&definition[..identity_bytes]);
        let (entries, arena, hasher) = (&self.entries, &self.arena, &self.hasher);
        self.index.insert_unique(hash, at, |&at| {
            hasher.hash_one(identity_of(entries, arena, at as usize))
        });
        Some(at as usize)
    }

    /// The entry of a series by its identity, without touching the remembered order.
    pub(super) fn get(&self, identity: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(identity);
        self.index.find(hash, |&at| self.identity(at as usize) == identity).map(|&at| at as usize)
    }

    /// Removes the entries from `first` on: those of a report that could not be logged.
    pub(super) fn truncate(&mut self, first: usize) {
        for at in first..self.entries.len() {
            let hash = self.hasher.hash_one(self.identity(at));
            if let Ok(entry) = self.index.find_entry(hash, |&other| other as usize == at) {
                entry.remove();
            }
        }
        if let Some(entry) = self.entries.get(first) {
            self.arena.truncate(entry.start as usize);
        }
        self.entries.truncate(first);
        self.order.retain(|&at| (at as usize) < first);
    }

    /// Notes that the series is wanted, so that it is not let go before its first sample.
    pub(super) fn touch(&mut self, at: usize, seen_s: u32) {
        let entry = &mut self.entries[at];
        entry.seen_s = entry.seen_s.max(seen_s);
    }

    /// Gives the entry another type, help text or unit; its identity must be the same.
    pub(super) fn change_metadata(&mut self, at: usize, definition: &[u8]) {
        debug_assert_eq!(
            self.identity(at),
            &definition[..self.entries[at].identity_bytes as usize]
        );
        let entry = &mut self.entries[at];
        if let Ok(start) = u32::try_from(self.arena.len())
            && definition.len() < u32::MAX as usize - self.arena.len()
        {
            self.wasted_bytes += entry.bytes as usize;
            entry.start = start;
            entry.bytes = definition.len() as u32;
            self.arena.extend_from_slice(definition);
        }
        if self.wasted_bytes * 2 > self.arena.len() {
            self.keep(|_| true);
        }
    }

    /// Keeps the entries that `wanted` says, renumbers them, and gives the freed memory back.
    /// Returns how many went.
    pub(super) fn keep(&mut self, wanted: impl Fn(&SeriesView<'_>) -> bool) -> usize {
        let before = self.entries.len();
        let old = std::mem::take(self);
        self.hasher = old.hasher.clone();
        for at in 0..before {
            let view = old.view(at);
            if wanted(&view) {
                let entry = &old.entries[at];
                if let Some(new) = self.insert(
                    view.definition,
                    entry.identity_bytes as usize,
                    view.group,
                    view.slot,
                ) {
                    let kept = &mut self.entries[new];
                    (kept.last, kept.newest) = (entry.last, entry.newest);
                    (kept.has_last, kept.seen_s) = (entry.has_last, entry.seen_s);
                }
            }
        }
        self.arena.shrink_to_fit();
        self.entries.shrink_to_fit();
        before - self.entries.len()
    }

    #[inline]
    pub(super) fn placement(&self, at: usize) -> (GroupId, Slot) {
        (self.entries[at].group, self.entries[at].slot)
    }

    #[inline]
    pub(super) fn is_repeat(&self, at: usize, timestamp: Timestamp, value: f64) -> bool {
        let entry = &self.entries[at];
        entry.has_last && entry.last.is_repeated_by(timestamp, value)
    }

    #[inline]
    pub(super) fn set_last(&mut self, at: usize, last: LastValue, seen_s: u32) {
        let entry = &mut self.entries[at];
        if !entry.has_last || last.timestamp >= entry.newest.timestamp {
            entry.newest = last;
        }
        (entry.last, entry.has_last, entry.seen_s) = (last, true, seen_s);
    }

    pub(super) fn view(&self, at: usize) -> SeriesView<'_> {
        let entry = &self.entries[at];
        SeriesView {
            definition: self.definition(at).unwrap_or_default(),
            group: entry.group,
            slot: entry.slot,
            newest: entry.has_last.then_some(entry.newest),
            seen_s: entry.seen_s,
        }
    }

    #[inline]
    fn definition(&self, at: usize) -> Option<&[u8]> {
        let entry = self.entries.get(at)?;
        self.arena.get(entry.start as usize..(entry.start + entry.bytes) as usize)
    }

    fn identity(&self, at: usize) -> &[u8] {
        identity_of(&self.entries, &self.arena, at)
    }
}

fn identity_of<'a>(entries: &[Entry], arena: &'a [u8], at: usize) -> &'a [u8] {
    let entry = &entries[at];
    &arena[entry.start as usize..(entry.start + entry.identity_bytes) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeNumber;
    use crate::model::series::{MetricType, write_identity, write_metadata};

    fn definition(name: &str, help: &str) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        write_identity(&mut bytes, name, &[("k", "v")]);
        let identity = bytes.len();
        write_metadata(&mut bytes, MetricType::Gauge, help, "");
        (bytes, identity)
    }

    fn group() -> GroupId {
        GroupId::new(NodeNumber::new(1).unwrap(), 1)
    }

    fn table(names: &[&str]) -> SeriesTable {
        let mut table = SeriesTable::default();
        for (at, name) in names.iter().enumerate() {
            let (bytes, identity) = definition(name, "help");
            assert_eq!(
                table.insert(&bytes, identity, group(), Slot::new(at as u8).unwrap()),
                Some(at)
            );
        }
        table
    }

    #[test]
    fn a_series_is_found_in_order_out_of_order_and_by_identity() {
        let mut table = table(&["a", "b", "c"]);
        for (nth, name) in [(0, "a"), (1, "b"), (2, "c"), (0, "c"), (5, "a"), (0, "c"), (5, "a")] {
            let (bytes, identity) = definition(name, "help");
            let expected = usize::from(name.as_bytes()[0] - b'a');
            assert_eq!(table.find(nth, &bytes, identity), Found::Same(expected), "{name} at {nth}");
            assert_eq!(table.get(&bytes[..identity]), Some(expected));
        }
        let (bytes, identity) = definition("d", "help");
        assert_eq!(table.find(0, &bytes, identity), Found::Nothing);
    }

    #[test]
    fn changed_metadata_is_told_apart_and_taken_over() {
        let mut table = table(&["a", "b"]);
        let (bytes, identity) = definition("a", "another help");
        assert_eq!(table.find(0, &bytes, identity), Found::OtherMetadata(0));
        for round in 0..50 {
            let (bytes, identity) = definition("a", &format!("help of round {round}"));
            table.change_metadata(0, &bytes);
            assert_eq!(table.find(0, &bytes, identity), Found::Same(0));
        }
        assert!(
            table.arena.len() < 400,
            "the arena is compacted, it has {} bytes",
            table.arena.len()
        );
        let (bytes, identity) = definition("b", "help");
        assert_eq!(table.find(1, &bytes, identity), Found::Same(1));
    }

    #[test]
    fn truncating_takes_back_what_was_inserted_last() {
        let mut table = table(&["a", "b", "c"]);
        let (c, identity) = definition("c", "help");
        assert_eq!(table.find(0, &c, identity), Found::Same(2));
        table.truncate(1);
        assert_eq!((table.len(), table.find(0, &c, identity)), (1, Found::Nothing));
        assert_eq!(table.insert(&c, identity, group(), Slot::new(1).unwrap()), Some(1));
        assert_eq!(table.find(0, &c, identity), Found::Same(1));
    }

    #[test]
    fn keeping_some_renumbers_them_with_their_values() {
        let mut table = table(&["a", "b", "c"]);
        let last = LastValue { timestamp: Timestamp::from_micros(5).unwrap(), value: 1.5 };
        table.set_last(2, last, 77);
        assert_eq!(table.keep(|view| view.seen_s > 0), 2);
        let (c, identity) = definition("c", "help");
        assert_eq!(table.find(0, &c, identity), Found::Same(0));
        assert_eq!((table.view(0).newest, table.view(0).slot.get()), (Some(last), 2));
    }

    #[test]
    fn a_late_sample_is_the_last_and_not_the_newest() {
        let mut table = table(&["a"]);
        let sample =
            |micros, value| LastValue { timestamp: Timestamp::from_micros(micros).unwrap(), value };
        table.set_last(0, sample(50, 1.0), 1);
        table.set_last(0, sample(20, 2.0), 2);
        assert_eq!(table.view(0).newest, Some(sample(50, 1.0)));
        assert!(table.is_repeat(0, sample(20, 2.0).timestamp, 2.0));
        table.set_last(0, sample(50, 3.0), 3);
        assert_eq!(
            table.view(0).newest,
            Some(sample(50, 3.0)),
            "a correction of the same time shows"
        );
    }

    #[test]
    fn a_repeat_is_the_same_time_and_the_same_bits() {
        let at = Timestamp::from_micros(5).unwrap();
        let nan = LastValue { timestamp: at, value: f64::NAN };
        assert!(nan.is_repeated_by(at, f64::NAN));
        let zero = LastValue { timestamp: at, value: 0.0 };
        assert!(!zero.is_repeated_by(at, -0.0));
        assert!(!zero.is_repeated_by(Timestamp::MIN, 0.0));
    }
}
