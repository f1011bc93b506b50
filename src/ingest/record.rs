//! The record of one report in the making: which samples it takes, their rows, its payload.

use super::rows::RowBuilder;
use crate::log::entry;
use crate::model::{ComponentKey, RuntimeId, Timestamp};
use crate::registry::{BodyDigest, KeyDigest, LastValue, Placement};

/// A buffer larger than this is given back, so that one huge report is not paid for for ever.
pub(super) const KEPT_BYTES_MAX: usize = 1 << 20;

/// A sample that the record takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The entry of its series in the component.
    pub(super) entry: usize,
    pub(super) sample: LastValue,
}

/// The record. Reused: [`Record::clear`] keeps the memory.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The samples taken, repeats included.
    taken: Vec<Taken>,
    repeated: usize,
    defines: bool,
    rows: RowBuilder,
    payload: Vec<u8>,
    values: Vec<f64>,
    offsets_us: Vec<u32>,
}

impl Record {
    /// Begins a new record.
    pub(super) fn clear(&mut self) {
        self.taken.clear();
        self.rows.clear();
        self.payload.clear();
        (self.repeated, self.defines) = (0, false);
    }

    /// Gives back the memory that an unusually large report took.
    pub(super) fn trim(&mut self) {
        self.clear();
        self.rows.trim();
        self.taken.shrink_to(KEPT_BYTES_MAX / size_of::<Taken>());
        self.payload.shrink_to(KEPT_BYTES_MAX);
    }

    /// Takes a sample. One that repeats the last of its series, or another one of this report, is
    /// counted and not stored.
    #[inline]
    pub(super) fn take(&mut self, taken: Taken, place: Placement, repeats_last: bool) {
        self.taken.push(taken);
        let LastValue { timestamp, value } = taken.sample;
        if repeats_last || !self.rows.push(place, timestamp, value) {
            self.repeated += 1;
        }
    }

    /// Writes the component's definition. Definitions come before all rows.
    pub(super) fn define_component(
        &mut self,
        key: &ComponentKey,
        runtime_id: RuntimeId,
        first_seen: Timestamp,
    ) {
        let component = entry::Component {
            runtime_id,
            component_type: key.component_type(),
            name: key.name(),
            first_seen,
        };
        entry::encode_component(&mut self.payload, &component);
        self.defines = true;
    }

    /// Writes the definition of the series at `place`.
    pub(super) fn define_series(
        &mut self,
        key: &ComponentKey,
        place: Placement,
        definition: &[u8],
    ) {
        let series = entry::SeriesSlot {
            group: place.group,
            slot: place.slot,
            component_type: key.component_type(),
            name: key.name(),
            definition,
        };
        entry::encode_series(&mut self.payload, &series);
        self.defines = true;
    }

    /// Writes the rows of the samples taken.
    pub(super) fn encode_rows(&mut self, received_at: Timestamp) {
        let Self { rows, payload, values, offsets_us, .. } = self;
        for row in rows.rows() {
            let has_offsets = row.pack(values, offsets_us);
            let head = entry::RowHead {
                group: row.group(),
                timestamp: row.timestamp(),
                received_at,
                present: row.present(),
            };
            entry::encode_row(payload, &head, values, has_offsets.then_some(offsets_us));
        }
    }

    /// Writes the client's key and what it was answered.
    pub(super) fn encode_key(
        &mut self,
        received_at: Timestamp,
        key: KeyDigest,
        body: BodyDigest,
        answer: &[u8],
    ) {
        let (key, body_digest) = (key.bytes(), *body.bytes());
        let key = entry::Key { received_at, key, body_digest, answer };
        entry::encode_key(&mut self.payload, &key);
    }

    /// The samples taken, repeats included.
    pub(super) fn taken(&self) -> &[Taken] {
        &self.taken
    }

    /// How many samples were repeats.
    pub(super) fn repeated(&self) -> usize {
        self.repeated
    }

    /// Whether the payload holds definitions.
    pub(super) fn defines(&self) -> bool {
        self.defines
    }

    /// What is to be logged, empty when there is nothing.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// How many rows the payload holds.
    pub(super) fn row_count(&self) -> u32 {
        self.rows.rows().len() as u32
    }
}
