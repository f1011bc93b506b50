//! The way from the log into a sink, in pieces and as a whole.

mod batcher;
mod flusher;
mod pace;
mod postgres;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::log::entry;
use crate::log::entry::payload::{Payload, definition, key};
use crate::log::memory_disk::MemoryDisk;
use crate::log::{Log, LogSettings, Readers};
use crate::model::{
    GroupId, LogPosition, NodeNumber, PartitionInterval, RuntimeId, Slot, Timestamp,
};
use crate::registry::{GroupIds, Registry, RegistrySettings};
use crate::telemetry::Telemetry;

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;
const DAY: i64 = PartitionInterval::Day.micros();

const LOG: LogSettings =
    LogSettings { segment_bytes: 64 << 10, budget_bytes: 16 << 20, staging_bytes_max: 1 << 20 };

/// Batches that nothing but their size or the log's end completes.
const PATIENT: BatchSettings = BatchSettings {
    rows_max: 4,
    bytes_max: 1 << 20,
    age_max: Duration::from_secs(3600),
    interval: PartitionInterval::Day,
};

fn open_log() -> Log {
    let telemetry = Arc::new(Telemetry::new());
    Log::open(Arc::new(MemoryDisk::default()), LOG, telemetry, &mut |_| {}).unwrap()
}

fn node() -> NodeNumber {
    NodeNumber::new(0).unwrap()
}

fn group(counter: u64) -> GroupId {
    GroupId::new(node(), counter)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn position(rows: u64) -> LogPosition {
    LogPosition::new(rows)
}

/// A report of one value, the `n`-th of `worker_pool/w`; the first one defines the series.
fn log_value(log: &Log, n: u64) {
    let mut payload = Payload::default();
    if n == 0 {
        payload = payload.component("w").series("w", group(1), 0, "a");
    }
    payload.row(group(1), NOON + n.cast_signed(), &[n as f64]).log(log);
}

fn registry() -> Arc<Registry> {
    let ids = GroupIds::new(node(), 1000..2000);
    Arc::new(Registry::new(RegistrySettings::new(1000, 1000), ids))
}

/// A flusher for `log` with what it needs besides.
fn flusher<S: Sink>(log: &Log, sink: S, registry: &Arc<Registry>) -> (Flusher<S>, Arc<Telemetry>) {
    let telemetry = Arc::new(Telemetry::new());
    let flusher = Flusher::new(sink, log.progress(), Arc::clone(registry), Arc::clone(&telemetry));
    (flusher, telemetry)
}

/// Closes the log and flushes all of it.
async fn flush_all<S: Sink>(
    log: Log,
    sink: S,
    settings: BatchSettings,
) -> (Result<(), FlushError>, Arc<Telemetry>) {
    let (flusher, telemetry) = flusher(&log, sink, &registry());
    let readers: Readers = log.readers();
    log.close().unwrap();
    (flusher.follow(readers, settings, node()).await, telemetry)
}
