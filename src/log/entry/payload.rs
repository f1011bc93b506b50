//! Payloads as the ingest writes them, for tests.

use super::{
    Component, Key, RowHead, SeriesSlot, encode_component, encode_key, encode_row, encode_series,
};
use crate::log::{Log, Record};
use crate::model::{ComponentKey, GroupId, LogPosition, RuntimeId, Slot, Timestamp, series};

/// `worker_pool/<name>`.
pub(crate) fn key(name: &str) -> ComponentKey {
    ComponentKey::new("worker_pool", name).unwrap()
}

/// The canonical bytes of a gauge without labels.
pub(crate) fn definition(name: &str) -> Vec<u8> {
    series::gauge(name, &[], "", "").0
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

/// The payload of a report, entry by entry.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u32,
}

impl Payload {
    pub(crate) fn component(mut self, name: &str) -> Self {
        let key = key(name);
        let component = Component {
            runtime_id: RuntimeId::derive(&key),
            component_type: key.component_type(),
            name,
            first_seen: at(0),
        };
        encode_component(&mut self.bytes, &component);
        self
    }

    pub(crate) fn series(mut self, component: &str, group: GroupId, slot: u8, name: &str) -> Self {
        let series = SeriesSlot {
            group,
            slot: Slot::new(slot).unwrap(),
            component_type: "worker_pool",
            name: component,
            definition: &definition(name),
        };
        encode_series(&mut self.bytes, &series);
        self
    }

    /// A row with values for the first slots, `timestamp` microseconds after 1970, which is also
    /// when it was received.
    pub(crate) fn row(mut self, group: GroupId, timestamp: i64, values: &[f64]) -> Self {
        let present = (1 << values.len()) - 1;
        let (timestamp, received_at) = (at(timestamp), at(timestamp));
        let head = RowHead { group, timestamp, received_at, present };
        encode_row(&mut self.bytes, &head, values, None);
        self.rows += 1;
        self
    }

    /// A key that came `received_at` microseconds after 1970.
    pub(crate) fn key(
        mut self,
        received_at: i64,
        key: &[u8],
        body_digest: [u8; 16],
        answer: &[u8],
    ) -> Self {
        let received_at = at(received_at);
        encode_key(&mut self.bytes, &Key { received_at, key, body_digest, answer });
        self
    }

    /// The record of this at `position`.
    pub(crate) fn at(&self, position: u64) -> Record<'_> {
        Record { position: LogPosition::new(position), rows: self.rows, payload: &self.bytes }
    }

    /// Appends the record and waits until it is synced.
    pub(crate) fn log(self, log: &Log) -> LogPosition {
        let ticket = log.appender().append(&self.bytes, self.rows).unwrap();
        let position = ticket.position();
        ticket.wait_blocking().unwrap();
        position
    }
}
