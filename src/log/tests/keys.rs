//! Idempotency keys outlive the segments that they came in, for as long as they are wanted.

use super::*;
use crate::log::entry::payload::Payload;
use crate::log::entry::{Entries, Entry};
use crate::log::segment::segment_name;
use crate::model::{GroupId, NodeNumber};

/// A second, in microseconds.
const SECOND: i64 = 1_000_000;

/// The payload of a report that came with `key` at second `at_s`, the sixth part of a segment.
fn keyed(key: u16, at_s: i64) -> Payload {
    let group = GroupId::new(NodeNumber::new(1).unwrap(), 0);
    Payload::default().row(group, at_s * SECOND, &[1.0]).key(
        at_s * SECOND,
        &key.to_le_bytes(),
        [7; 16],
        &[b'a'; 2000],
    )
}

/// Appends and says that it is flushed.
fn append_flushed(log: &Log, payload: &Payload) {
    let (position, rows, _) = append_making_room(log, &payload.bytes, payload.rows);
    log.progress().set_flushed(LogPosition::new(position + u64::from(rows)));
}

fn key_files(disk: &MemoryDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".keys")).collect()
}

/// Starts again after a crash; the keys in what is read then, each once and sorted.
fn keys_after_crash(disk: &MemoryDisk) -> Vec<u16> {
    let (log, read) = open(&disk.crash(&mut |_| false));
    log.close().unwrap();
    let mut keys = Vec::new();
    for (_, _, payload) in &read {
        for entry in Entries::new(payload) {
            if let Entry::Key(key) = entry.unwrap() {
                assert_eq!((key.body_digest, key.answer), ([7; 16], &[b'a'; 2000][..]));
                keys.push(u16::from_le_bytes(key.key.try_into().unwrap()));
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn wait_released(disk: &MemoryDisk, segment: u64) {
    let name = segment_name(segment);
    wait_until("the segment is gone", || !disk.names().contains(&name));
}

#[test]
fn keys_of_deleted_segments_come_back_after_a_crash() {
    let disk = MemoryDisk::default();
    // Room for a key file of a segment's size.
    let settings = LogSettings { budget_bytes: 40 * SEGMENT_BYTES, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    for key in 0..20 {
        append_flushed(&log, &keyed(key, 1000));
    }
    wait_released(&disk, 0);
    assert_eq!(keys_after_crash(&disk), (0..20).collect::<Vec<_>>());
    // While a segment goes, it may be there along with what is kept of it.
    log.close().unwrap();
    assert!(!key_files(&disk).is_empty());
    assert_eq!(keys_after_crash(&disk), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_segment_without_keys_leaves_nothing() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    for _ in 0..9 {
        append_flushed(&log, &Payload { bytes: vec![0; 6000], rows: 1 });
    }
    wait_released(&disk, 1);
    assert_eq!(key_files(&disk), [""; 0]);
}

#[test]
fn keys_are_forgotten_when_their_time_is_over_or_their_room_is_used() {
    let disk = MemoryDisk::default();
    let settings = LogSettings { budget_bytes: 40 * SEGMENT_BYTES, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    for key in 0..14 {
        append_flushed(&log, &keyed(key, 1000));
    }
    wait_released(&disk, 0);
    // Rows tell the time as well.
    let group = GroupId::new(NodeNumber::new(1).unwrap(), 0);
    for _ in 0..300 {
        append_flushed(&log, &Payload::default().row(group, 1601 * SECOND, &[1.0; 50]));
    }
    wait_until("the key files are removed", || key_files(&disk).is_empty());
    for key in 100..200 {
        append_flushed(&log, &keyed(key, 1700));
    }
    let end = log.progress().synced();
    log.close().unwrap();
    let bytes: usize = key_files(&disk).iter().map(|name| disk.bytes(name).len()).sum();
    let bound = 40 * SEGMENT_BYTES as usize / 8;
    assert!(bytes <= bound && bytes > bound / 2, "{bytes} of {bound} bytes are used");
    let keys = keys_after_crash(&disk);
    let first = *keys.first().unwrap();
    assert!(first > 100 && keys == (first..200).collect::<Vec<_>>(), "the newest: {keys:?}");
    assert_eq!(open(&disk).0.progress().synced(), end);
}

#[test]
fn damaged_and_foreign_key_files_stop_nothing() {
    let disk = MemoryDisk::default();
    let settings = LogSettings { budget_bytes: 40 * SEGMENT_BYTES, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    for key in 0..25 {
        append_flushed(&log, &keyed(key, 1000));
    }
    wait_released(&disk, 1);
    log.close().unwrap();
    let [first, second] = &key_files(&disk)[..2] else { panic!("two key files expected") };
    disk.damage(first, |bytes| bytes[0] ^= 1);
    disk.damage(second, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    disk.create("keys.new").unwrap();
    let left = keys_after_crash(&disk);
    assert!(left.len() < 20 && left.ends_with(&[24]), "{left:?}");
}

#[test]
fn a_full_disk_keeps_no_segment() {
    let disk = MemoryDisk::default();
    let settings = LogSettings { budget_bytes: 40 * SEGMENT_BYTES, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    for key in 0..14 {
        append_synced(&log, &keyed(key, 1000).bytes, 1);
    }
    disk.set_full(true);
    log.progress().set_flushed(log.progress().synced());
    wait_released(&disk, 0);
    assert!(disk.names().iter().all(|name| !name.contains("keys")), "{:?}", disk.names());
    log.close().unwrap();
}

#[test]
fn a_clock_that_was_set_back_has_no_new_key_forgotten() {
    let disk = MemoryDisk::default();
    let settings = LogSettings { budget_bytes: 40 * SEGMENT_BYTES, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    // It is late, and early from then on.
    let group = GroupId::new(NodeNumber::new(1).unwrap(), 0);
    append_flushed(&log, &Payload::default().row(group, 10_000 * SECOND, &[1.0]));
    for key in 0..30 {
        append_flushed(&log, &keyed(key, 1000 + i64::from(key)));
    }
    wait_released(&disk, 1);
    log.close().unwrap();
    assert_eq!(keys_after_crash(&disk), (0..30).collect::<Vec<_>>());
}

#[test]
fn keys_that_leave_no_room_for_segments_go_at_the_start() {
    let disk = MemoryDisk::default();
    let open_with = |segments: u64| {
        let settings = LogSettings { budget_bytes: segments * SEGMENT_BYTES, ..settings() };
        let telemetry = Arc::new(Telemetry::new());
        Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap()
    };
    let log = open_with(40);
    for key in 0..30 {
        append_flushed(&log, &keyed(key, 1000));
    }
    wait_released(&disk, 1);
    log.close().unwrap();
    assert!(!key_files(&disk).is_empty());
    // Somebody lowered the budget to what the log needs at least.
    let log = open_with(3);
    assert_eq!(key_files(&disk), [""; 0]);
    for key in 30..60 {
        append_flushed(&log, &keyed(key, 1000));
    }
    log.close().unwrap();
}
