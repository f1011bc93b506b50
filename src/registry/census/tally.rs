//! Counts series by metric and by label, in memory that is bounded whatever they are called.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::distinct::Distinct;
use crate::registry::descriptor::Descriptor;

/// Metrics and labels that are counted at a time. When there are more, those that have the least
/// are forgotten: what has many is among the rest. 8192 labels take 32 MiB at most.
const METRICS_MAX: usize = 65_536;
const LABELS_MAX: usize = 8192;
/// Descriptors whose places are remembered.
const KNOWN_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(super) struct Tally {
    metrics: Counters<u64>,
    labels: Counters<Distinct>,
    /// By address; each is held, so that no other one comes to its address meanwhile.
    known: HashTable<Known>,
    hasher: RandomState,
    forgot: bool,
}

#[derive(Debug)]
struct Known {
    descriptor: Arc<Descriptor>,
    metric: usize,
    labels: SmallVec<[usize; 8]>,
}

/// Something that is counted for each name.
#[derive(Debug)]
struct Counters<T> {
    all: Vec<Counter<T>>,
    index: HashTable<usize>,
}

/// Names are read off a descriptor: that of the metric, and of its label `nth` where there is one.
#[derive(Debug)]
pub(super) struct Counter<T> {
    descriptor: Arc<Descriptor>,
    nth: Option<usize>,
    hash: u64,
    value: T,
}

impl<T> Default for Counters<T> {
    fn default() -> Self {
        Self { all: Vec::new(), index: HashTable::new() }
    }
}

impl<T> Counter<T> {
    pub(super) fn metric(&self) -> &str {
        self.descriptor.name()
    }

    pub(super) fn label(&self) -> &str {
        self.nth.and_then(|nth| self.descriptor.keys().nth(nth)).unwrap_or_default()
    }

    fn name(&self) -> (&str, Option<&str>) {
        name_of(&self.descriptor, self.nth)
    }
}

fn name_of(descriptor: &Descriptor, nth: Option<usize>) -> (&str, Option<&str>) {
    (descriptor.name(), nth.and_then(|nth| descriptor.keys().nth(nth)))
}

impl<T: Default> Counters<T> {
    /// The place of the counter of that name.
    fn place(&mut self, hasher: &RandomState, of: &Arc<Descriptor>, nth: Option<usize>) -> usize {
        let name = name_of(of, nth);
        let hash = hasher.hash_one(name);
        if let Some(&place) = self.index.find(hash, |&place| self.all[place].name() == name) {
            return place;
        }
        let place = self.all.len();
        self.all.push(Counter { descriptor: Arc::clone(of), nth, hash, value: T::default() });
        let all = &self.all;
        self.index.insert_unique(hash, place, |&place| all[place].hash);
        place
    }

    /// Forgets the half that has the least.
    fn forget_least(&mut self, size: impl Fn(&T) -> u64) {
        self.all.sort_by_cached_key(|counter| std::cmp::Reverse(size(&counter.value)));
        self.all.truncate(self.all.len() / 2);
        self.index.clear();
        for (place, counter) in self.all.iter().enumerate() {
            self.index.insert_unique(counter.hash, place, |&place| self.all[place].hash);
        }
    }

    /// The `most` that have the most, the first by name of those that have as many.
    fn largest(&self, most: usize, size: impl Fn(&T) -> u64) -> Vec<(&Counter<T>, u64)> {
        let mut all: Vec<_> = self.all.iter().map(|one| (one, size(&one.value))).collect();
        let order = |(one, one_has): &(&Counter<T>, u64),
                     (other, other_has): &(&Counter<T>, u64)| {
            (other_has, one.name()).cmp(&(one_has, other.name()))
        };
        if all.len() > most {
            all.select_nth_unstable_by(most, order);
            all.truncate(most);
        }
        all.sort_unstable_by(order);
        all
    }
}

impl Tally {
    /// Counts a series.
    #[inline]
    pub(super) fn count<'a>(
        &mut self,
        descriptor: &Arc<Descriptor>,
        values: impl Iterator<Item = &'a [u8]>,
    ) {
        let address = Arc::as_ptr(descriptor);
        let hash = self.hasher.hash_one(address.addr());
        let found = |known: &Known| std::ptr::eq(Arc::as_ptr(&known.descriptor), address);
        if self.known.find(hash, found).is_none() {
            self.learn(hash, descriptor);
        }
        let Some(known) = self.known.find(hash, found) else { return };
        self.metrics.all[known.metric].value += 1;
        for (&label, value) in known.labels.iter().zip(values) {
            self.labels.all[label].value.insert(self.hasher.hash_one(value));
        }
    }

    #[cold]
    fn learn(&mut self, hash: u64, descriptor: &Arc<Descriptor>) {
        let Self { metrics, labels, known, hasher, forgot } = self;
        if metrics.all.len() >= METRICS_MAX {
            metrics.forget_least(|series| *series);
            known.clear();
            *forgot = true;
        }
        if labels.all.len() + descriptor.labels() > LABELS_MAX {
            labels.forget_least(|values| values.count() as u64);
            known.clear();
            *forgot = true;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let metric = metrics.place(hasher, descriptor, None);
        let labels =
            (0..descriptor.labels()).map(|nth| labels.place(hasher, descriptor, Some(nth)));
        let one = Known { descriptor: Arc::clone(descriptor), metric, labels: labels.collect() };
        known.insert_unique(hash, one, |one| hasher.hash_one(Arc::as_ptr(&one.descriptor).addr()));
    }

    /// The metrics with the most series.
    pub(super) fn metrics(&self, most: usize) -> Vec<(&Counter<u64>, u64)> {
        self.metrics.largest(most, |series| *series)
    }

    /// The labels with the most values.
    pub(super) fn labels(&self, most: usize) -> Vec<(&Counter<Distinct>, u64)> {
        self.labels.largest(most, |values| values.count() as u64)
    }

    /// Whether something was forgotten, so that numbers may be too low.
    pub(super) fn forgot(&self) -> bool {
        self.forgot
    }
}
