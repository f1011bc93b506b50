//! The series of one component: what they have in common with those of others and the values of
//! their labels, an index by identity, and the order of the last report.
//!
//! A worker reports the same series in the same order again and again. So the n-th sample is
//! first compared with the series that the n-th sample of the last report had; equal bytes end
//! the search without a hash. Two lookups of ten thousand miss this, and they cost one hash and
//! one full comparison.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::descriptor::{Descriptor, Descriptors, LabelValues, Part};
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
    table: &'a SeriesTable,
    at: usize,
    /// The group that the series' rows go to.
    pub group: GroupId,
    /// The series' place in the group.
    pub slot: Slot,
    /// The sample with the latest timestamp, if there was one since the series came into memory.
    pub newest: Option<LastValue>,
    /// When that sample was accepted, or the series loaded, in seconds since the Unix epoch.
    pub seen_s: u32,
}

impl SeriesView<'_> {
    /// Its canonical bytes, see [`crate::model::series`].
    pub fn definition(&self) -> Vec<u8> {
        self.table.written(self.at, Part::Whole)
    }
}

#[derive(Clone, Debug)]
struct Entry {
    descriptor: Arc<Descriptor>,
    /// Where in [`SeriesTable::places`] those of its label values begin.
    places_start: u32,
    seen_s: u32,
    group: GroupId,
    /// The last accepted sample: what a client's retry repeats.
    last: LastValue,
    /// The sample with the latest timestamp: what the page shows. A late one does not replace it.
    newest: LastValue,
    slot: Slot,
    has_last: bool,
    /// It was stored before, and no sample of it has come since: it takes part in no budget.
    is_dormant: bool,
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
    /// Label values, each with its length before it. Series that come one after the other share the
    /// values that they have in common, such as the worker's name and host.
    values: Vec<u8>,
    /// Where in `values` the label values of each entry begin.
    places: Vec<u32>,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    order: Vec<u32>,
    /// How many entries are dormant.
    dormant: usize,
    hasher: RandomState,
}

impl SeriesTable {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many series are new or had a sample since they came into memory.
    pub(super) fn active(&self) -> usize {
        self.entries.len() - self.dormant
    }

    /// Makes room for as many series as a first report brings, and for no more: most workers never
    /// bring another one, and there are many workers.
    pub(super) fn reserve(&mut self, series: usize) {
        self.entries.reserve_exact(series);
    }

    /// Gives back the room that was made for further series.
    pub(super) fn fit(&mut self) {
        self.entries.shrink_to_fit();
        self.values.shrink_to_fit();
        self.places.shrink_to_fit();
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
            if self.defines(predicted, definition) {
                return Found::Same(predicted);
            }
        }
        self.find_by_hash(nth, definition, identity_bytes)
    }

    #[cold]
    fn find_by_hash(&mut self, nth: usize, definition: &[u8], identity_bytes: usize) -> Found {
        let identity = &definition[..identity_bytes];
        let hash = self.hasher.hash_one(identity);
        let Some(&at) = self.index.find(hash, |&at| self.identifies(at as usize, identity)) else {
            return Found::Nothing;
        };
        self.remember(nth, at);
        let at = at as usize;
        if self.defines(at, definition) { Found::Same(at) } else { Found::OtherMetadata(at) }
    }

    /// Notes that the `nth` sample of a report was of the entry `at`. A gap (a reject before it)
    /// is filled with the same entry: a wrong prediction only costs the hash.
    fn remember(&mut self, nth: usize, at: u32) {
        if self.order.len() <= nth {
            self.order.resize(nth + 1, at);
        }
        self.order[nth] = at;
    }

    /// Adds a series that [`SeriesTable::find`] did not find; `None` when it is none, or when there
    /// are 4 GiB of label values in one component.
    pub(super) fn insert(
        &mut self,
        definition: &[u8],
        identity_bytes: usize,
        group: GroupId,
        slot: Slot,
        descriptors: &Descriptors,
    ) -> Option<usize> {
        let (descriptor, values) = Descriptor::split(definition, identity_bytes)?;
        let descriptor = descriptors.share(descriptor);
        let (last, newest) = (LastValue::NONE, LastValue::NONE);
        let entry = Entry {
            descriptor,
            places_start: 0,
            seen_s: 0,
            group,
            last,
            newest,
            slot,
            has_last: false,
            is_dormant: false,
        };
        let hash = self.hasher.hash_one(&definition[..identity_bytes]);
        self.push(entry, &values, hash)
    }

    /// Adds an entry of the series with these label values, whose identity has that hash.
    fn push(&mut self, entry: Entry, values: &LabelValues<'_>, hash: u64) -> Option<usize> {
        let at = u32::try_from(self.entries.len()).ok()?;
        let places_start = u32::try_from(self.places.len()).ok()?;
        let bytes: usize = values.iter().map(|value| value.len()).sum();
        u32::try_from(self.values.len() + bytes).ok()?;
        let before = self.entries.last().map_or(0..0, places_of);
        for value in values {
            let shared = before.clone().find(|&place| self.value(place) == *value);
            let place = shared.map_or(self.values.len() as u32, |place| self.places[place]);
            if shared.is_none() {
                self.values.extend_from_slice(value);
            }
            self.places.push(place);
        }
        self.dormant += usize::from(entry.is_dormant);
        self.entries.push(Entry { places_start, ..entry });
        let mut index = std::mem::take(&mut self.index);
        index.insert_unique(hash, at, |&at| self.hash(at as usize));
        self.index = index;
        Some(at as usize)
    }

    /// Has an entry that was just inserted be dormant.
    pub(super) fn set_dormant(&mut self, at: usize) {
        self.dormant += usize::from(!std::mem::replace(&mut self.entries[at].is_dormant, true));
    }

    /// The entry of a series by its identity, without touching the remembered order.
    pub(super) fn get(&self, identity: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(identity);
        self.index.find(hash, |&at| self.identifies(at as usize, identity)).map(|&at| at as usize)
    }

    /// Removes the entries from `first` on: those of a report that could not be logged.
    pub(super) fn truncate(&mut self, first: usize) {
        for at in first..self.entries.len() {
            if let Ok(entry) = self.index.find_entry(self.hash(at), |&other| other as usize == at) {
                entry.remove();
            }
        }
        if let Some(entry) = self.entries.get(first) {
            self.places.truncate(entry.places_start as usize);
        }
        self.dormant -= self.entries[first..].iter().filter(|entry| entry.is_dormant).count();
        self.entries.truncate(first);
        let ends = (0..self.places.len())
            .map(|place| self.places[place] as usize + self.value(place).len());
        let end = ends.max().unwrap_or(0);
        self.values.truncate(end);
        self.order.retain(|&at| (at as usize) < first);
    }

    /// Notes that the series is wanted, so that it is not let go before its first sample.
    pub(super) fn touch(&mut self, at: usize, seen_s: u32) {
        let entry = &mut self.entries[at];
        entry.seen_s = entry.seen_s.max(seen_s);
    }

    /// Gives the entry another type, help text or unit; its identity must be the same.
    pub(super) fn change_metadata(
        &mut self,
        at: usize,
        definition: &[u8],
        identity_bytes: usize,
        descriptors: &Descriptors,
    ) {
        debug_assert!(self.identifies(at, &definition[..identity_bytes]));
        if let Some((descriptor, _)) = Descriptor::split(definition, identity_bytes) {
            self.entries[at].descriptor = descriptors.share(descriptor);
        }
    }

    /// Keeps the entries that `wanted` says, renumbers them, and gives the freed memory back.
    /// Returns how many went.
    pub(super) fn keep(&mut self, wanted: impl Fn(&SeriesView<'_>) -> bool) -> usize {
        let before = self.entries.len();
        let old = std::mem::take(self);
        self.hasher = old.hasher.clone();
        for at in (0..before).filter(|at| wanted(&old.view(*at))) {
            let values = old.values_of(at).collect();
            // What was there is there again, in less room.
            let kept = self.push(old.entries[at].clone(), &values, old.hash(at));
            debug_assert!(kept.is_some());
        }
        self.fit();
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
        if entry.is_dormant {
            entry.is_dormant = false;
            self.dormant -= 1;
        }
        (entry.last, entry.has_last, entry.seen_s) = (last, true, seen_s);
    }

    /// What the series has in common with others, and the values of its labels, each with its
    /// length before it.
    pub(super) fn parts(&self, at: usize) -> (&Arc<Descriptor>, impl Iterator<Item = &[u8]>) {
        (&self.entries[at].descriptor, self.values_of(at))
    }

    pub(super) fn view(&self, at: usize) -> SeriesView<'_> {
        let entry = &self.entries[at];
        SeriesView {
            table: self,
            at,
            group: entry.group,
            slot: entry.slot,
            newest: entry.has_last.then_some(entry.newest),
            seen_s: entry.seen_s,
        }
    }

    /// Whether these are the canonical bytes of the entry's series.
    #[inline]
    pub(super) fn defines(&self, at: usize, definition: &[u8]) -> bool {
        self.is(at, Part::Whole, definition)
    }

    fn identifies(&self, at: usize, identity: &[u8]) -> bool {
        self.is(at, Part::Identity, identity)
    }

    #[inline]
    fn is(&self, at: usize, part: Part, bytes: &[u8]) -> bool {
        self.entries[at].descriptor.is(self.values_of(at), part, bytes)
    }

    fn written(&self, at: usize, part: Part) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        self.entries[at].descriptor.write(self.values_of(at), part, &mut bytes);
        bytes
    }

    fn hash(&self, at: usize) -> u64 {
        self.hasher.hash_one(&*self.written(at, Part::Identity))
    }

    #[inline]
    fn values_of(&self, at: usize) -> impl Iterator<Item = &[u8]> {
        places_of(&self.entries[at]).map(|place| self.value(place))
    }

    /// The label value at a place, with its length.
    #[inline]
    fn value(&self, place: usize) -> &[u8] {
        let value = &self.values[self.places[place] as usize..];
        let length = u16::from_le_bytes([value[0], value[1]]);
        &value[..2 + usize::from(length)]
    }
}

/// The places of an entry's label values.
#[inline]
fn places_of(entry: &Entry) -> std::ops::Range<usize> {
    let start = entry.places_start as usize;
    start..start + entry.descriptor.labels()
}

#[cfg(test)]
mod tests;
