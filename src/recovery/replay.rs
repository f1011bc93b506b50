//! What the retained log says, taken back into memory record by record.
//!
//! Every record that is still there is replayed, also those that PostgreSQL has already: they
//! hold the last values, which tell a client's retry from a new sample, and the idempotency
//! keys.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::log::Record;
use crate::log::entry::{self, Entries, Entry, EntryError};
use crate::model::{
    ComponentKey, GroupId, LogPosition, SLOTS_PER_GROUP, Slot, StoredSeries, Timestamp,
};
use crate::registry::{
    BodyDigest, Component, KeyDigest, KeyMemory, LastValue, PartitionWindow, Registry,
};

/// Where the log is replayed to.
pub struct Replay<'a> {
    registry: &'a Registry,
    keys: &'a KeyMemory,
    window: &'a PartitionWindow,
    now: Timestamp,
    groups: HashMap<GroupId, Members, RandomState>,
    replayed: Replayed,
}

/// What a replay found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Records read.
    pub records: u64,
    /// Samples read.
    pub samples: u64,
    /// Entries that made no sense and were passed over; the flush will say which.
    pub unreadable: u64,
}

/// A group's component, and per slot the series' entry in it.
struct Members {
    component: Arc<Component>,
    entries: [u32; SLOTS_PER_GROUP],
}

const NO_ENTRY: u32 = u32::MAX;

impl<'a> Replay<'a> {
    /// A replay on top of what `registry` has already.
    pub fn new(
        registry: &'a Registry,
        keys: &'a KeyMemory,
        window: &'a PartitionWindow,
        now: Timestamp,
    ) -> Self {
        let mut replay = Self {
            registry,
            keys,
            window,
            now,
            groups: HashMap::default(),
            replayed: Replayed::default(),
        };
        for component in registry.all() {
            let places: Vec<_> =
                component.lock().series().map(|series| (series.group, series.slot)).collect();
            for (entry, (group, slot)) in places.into_iter().enumerate() {
                replay.note(&component, group, slot, entry);
            }
        }
        for place in registry.take_further_places() {
            replay.note(&place.component, place.group, place.slot, place.entry);
        }
        replay
    }

    /// Takes one record in.
    pub fn record(&mut self, record: &Record<'_>) {
        self.replayed.records += 1;
        if self.entries(record).is_err() {
            self.replayed.unreadable += 1;
        }
    }

    /// What was found.
    pub fn finish(self) -> Replayed {
        self.replayed
    }

    fn entries(&mut self, record: &Record<'_>) -> Result<(), EntryError> {
        for entry in Entries::new(record.payload) {
            match entry? {
                Entry::Row(row) => self.row(&row),
                Entry::Component(component) => self.component(&component, record.end()),
                Entry::Series(series) => self.series(&series, record.end()),
                Entry::Key(key) => self.key(&key),
                // Whoever gave it up has closed the groups that it may have grown.
                Entry::Hole(_) => {}
            }
        }
        Ok(())
    }

    fn component(&self, component: &entry::Component<'_>, until: LogPosition) {
        if let Some(component) = self.find_or_insert(component.component_type, component.name) {
            component.lock().definitions_logged(until);
        }
    }

    fn find_or_insert(&self, component_type: &str, name: &str) -> Option<Arc<Component>> {
        let key = ComponentKey::new(component_type, name).ok()?;
        Some(self.registry.find_or_insert(key))
    }

    fn series(&mut self, series: &entry::SeriesSlot<'_>, until: LogPosition) {
        let Some(component) = self.find_or_insert(series.component_type, series.name) else {
            return;
        };
        // It may not be flushed yet, and must not be let go before it is: what PostgreSQL has of
        // the component would be taken for all there is, and a slot be given out twice.
        component.lock().series_logged(until);
        let stored = StoredSeries {
            group: series.group,
            slot: series.slot,
            definition: series.definition.into(),
        };
        if let Some(entry) = self.registry.restore_series(&component, &stored, self.now.seconds()) {
            self.note(&component, series.group, series.slot, entry);
        }
    }

    fn note(&mut self, component: &Arc<Component>, group: GroupId, slot: Slot, entry: usize) {
        let members = self.groups.entry(group).or_insert_with(|| Members {
            component: Arc::clone(component),
            entries: [NO_ENTRY; SLOTS_PER_GROUP],
        });
        members.entries[slot.index()] = entry as u32;
    }

    fn row(&mut self, row: &entry::Row<'_>) {
        let head = row.head;
        self.window.promise(head.timestamp, self.now);
        self.replayed.samples += u64::from(head.present.count_ones());
        let Some(members) = self.groups.get(&head.group) else { return };
        let seen_s = head.received_at.seconds();
        let mut offsets = row.offsets_us();
        let mut state = members.component.lock();
        for (slot, value) in row.slots().zip(row.values()) {
            let offset = offsets.as_mut().and_then(Iterator::next).unwrap_or(0);
            let entry = members.entries[slot.index()];
            if entry != NO_ENTRY {
                let timestamp = head.timestamp.offset_by(i64::from(offset));
                state.accept(entry as usize, LastValue { timestamp, value }, seen_s);
            }
        }
        members.component.count_report(&mut state);
        members.component.touch_past(seen_s);
    }

    fn key(&self, key: &entry::Key<'_>) {
        if let Some(digest) = KeyDigest::from_bytes(key.key) {
            let body = BodyDigest::from_bytes(key.body_digest);
            self.keys.settle(digest, body, key.answer, key.received_at.seconds());
        }
    }
}
