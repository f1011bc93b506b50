//! Processes that are killed, and what stands behind them when the power fails as well; each case
//! was found by the simulation (`flush::simulation`).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::log::by_hand::{ByHand, Turn};
use crate::log::memory_disk::{Call, Fate, Operation};

fn open_by_hand(disk: &MemoryDisk) -> ByHand {
    let telemetry = Arc::new(Telemetry::new());
    ByHand::open(Arc::new(disk.clone()), settings(), telemetry, &mut |_| {}).unwrap()
}

/// Gives both threads their turns until neither has anything to do.
fn work(log: &ByHand) {
    while [log.write(), log.prepare()].contains(&Turn::Done) {}
}

/// What is there after a power failure that keeps nothing which was not synced.
fn after_power_failure(disk: &MemoryDisk) -> Vec<Read> {
    open(&disk.crash(&mut |_| false)).1
}

#[test]
fn a_record_that_was_read_survives_though_it_was_never_synced_before() {
    let disk = MemoryDisk::default();
    let log = open_by_hand(&disk);
    work(&log);
    disk.set_fates(Some(Arc::new(|call: &Call<'_>| match call.operation {
        Operation::Sync => Fate::Dies { done: false },
        _ => Fate::Done,
    })));
    let ticket = log.log.appender().append(b"written", 1).unwrap();
    work(&log);
    assert!(disk.is_dead());
    drop((ticket, log));

    let disk = disk.after_kill();
    let (log, read) = open(&disk);
    assert_eq!(read, [(0, 1, b"written".to_vec())]);
    drop(log);
    assert_eq!(after_power_failure(&disk), read);
}

#[test]
fn a_record_that_was_read_survives_though_its_sync_had_failed() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let first = append_synced(&log, b"synced", 1);
    disk.set_sync_fails(true);
    let failed = append(&log, b"failed", 1);
    assert!(failed.wait_blocking().is_err());
    drop(log);
    disk.set_sync_fails(false);

    // The system takes what the failed sync covered for synced: it is read, and no sync writes it.
    let (log, read) = open(&disk);
    assert_eq!(read, [first, (1, 1, b"failed".to_vec())]);
    drop(log);
    assert_eq!(after_power_failure(&disk), read);
}

#[test]
fn a_segment_whose_name_was_not_synced_keeps_what_is_acknowledged_in_it() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let first = append_synced(&log, &[1; 9000], 1);
    wait_until("a spare is there", || disk.names().iter().any(|name| name.ends_with(".spare")));
    drop(log);
    let log = open_by_hand(&disk);
    work(&log);
    // The second segment gets its name and nobody syncs that.
    let renamed = Arc::new(AtomicBool::new(false));
    disk.set_fates(Some(Arc::new(move |call: &Call<'_>| match call.operation {
        Operation::Rename => {
            renamed.store(true, Ordering::SeqCst);
            Fate::Done
        }
        Operation::SyncDir if renamed.load(Ordering::SeqCst) => Fate::Dies { done: false },
        _ => Fate::Done,
    })));
    drop(log.log.appender().append(&[2; 9000], 1).unwrap());
    work(&log);
    assert!(disk.is_dead());
    drop(log);

    let disk = disk.after_kill();
    let (log, _) = open(&disk);
    let second = append_synced(&log, b"in the second segment", 1);
    drop(log);
    assert_eq!(after_power_failure(&disk), [first, second]);
}

#[test]
fn an_interruption_is_no_reason_to_fail() {
    let disk = MemoryDisk::default();
    let interruptions = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&interruptions);
    disk.set_fates(Some(Arc::new(move |call: &Call<'_>| {
        let interruptible =
            [Operation::Allocate, Operation::Read, Operation::Write].contains(&call.operation);
        // Every second time.
        if interruptible && counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            let error = std::io::ErrorKind::Interrupted.into();
            return Fate::Fails { error, done: false };
        }
        Fate::Done
    })));
    let log = open_by_hand(&disk);
    work(&log);
    drop(log.log.appender().append(b"a", 1).unwrap());
    work(&log);
    assert_eq!(log.failure(), None);
    assert_eq!(log.log.progress().synced(), LogPosition::new(1));
    assert!(interruptions.load(Ordering::SeqCst) > 10);
}

#[test]
fn no_spare_is_prepared_in_place_of_one_that_is_becoming_a_segment() {
    let disk = MemoryDisk::default();
    let log = Arc::new(open_by_hand(&disk));
    let meanwhile = Arc::downgrade(&log);
    // Whenever the disk is at anything, the preparer looks whether it has something to do.
    disk.set_fates(Some(Arc::new(move |_: &Call<'_>| {
        if let Some(log) = meanwhile.upgrade() {
            log.want_upkeep();
            log.prepare();
        }
        Fate::Done
    })));
    let budget = settings().budget_bytes;
    for _ in 0..20 {
        // Each takes most of a segment.
        if let Ok(ticket) = log.log.appender().append(&[7; 9000], 1) {
            drop(ticket);
        }
        work(&log);
        let bytes = disk.bytes_of(|name| name.ends_with(".log") || name.ends_with(".spare"));
        assert!(bytes <= budget, "{bytes} bytes: {:?}", disk.names());
    }
    assert_eq!(disk.names().len(), 7, "the budget's segments and the identity");
}
