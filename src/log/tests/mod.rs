//! The log as a whole, on a disk in memory: what it keeps, what it refuses, what it survives.

mod crash;
mod damage;
mod directory;
mod keys;
mod killed;
mod limits;
mod mend;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use super::memory_disk::MemoryDisk;
use super::*;
use crate::model::LogPosition;

const SEGMENT_BYTES: u64 = 16 << 10;

/// A record as it was read.
type Read = (u64, u32, Vec<u8>);

fn settings() -> LogSettings {
    LogSettings {
        segment_bytes: SEGMENT_BYTES,
        budget_bytes: 6 * SEGMENT_BYTES,
        staging_bytes_max: 1 << 20,
    }
}

fn try_open(disk: &MemoryDisk) -> Result<(Log, Vec<Read>), OpenError> {
    let mut read = Vec::new();
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings(), telemetry, &mut |record| {
        read.push(owned(&record));
    })?;
    Ok((log, read))
}

fn open(disk: &MemoryDisk) -> (Log, Vec<Read>) {
    try_open(disk).unwrap()
}

fn owned(record: &Record<'_>) -> Read {
    (record.position.get(), record.rows, record.payload.to_vec())
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Appends once the preparer has caught up.
fn append(log: &Log, payload: &[u8], rows: u32) -> Ticket {
    append_retrying(log, payload, rows, |error| matches!(error, AppendError::StagingFull))
}

/// Appends, trying again for as long as the refusal is one that passes.
fn append_retrying(
    log: &Log,
    payload: &[u8],
    rows: u32,
    passes: impl Fn(&AppendError) -> bool,
) -> Ticket {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match log.appender().append(payload, rows) {
            Err(error) if passes(&error) && Instant::now() < deadline => std::thread::yield_now(),
            answer => return answer.unwrap(),
        }
    }
}

/// Waits for the sync of a record; what a reader must find.
fn synced(ticket: Ticket, payload: &[u8], rows: u32) -> Read {
    let position = ticket.position().get();
    ticket.wait_blocking().unwrap();
    (position, rows, payload.to_vec())
}

/// Appends and waits for the sync; returns what a reader must find.
fn append_synced(log: &Log, payload: &[u8], rows: u32) -> Read {
    synced(append(log, payload, rows), payload, rows)
}

/// Appends and waits for the sync. Where the budget is used up, what is synced is said to be flushed:
/// how soon a segment goes after that is the preparer's affair.
fn append_making_room(log: &Log, payload: &[u8], rows: u32) -> Read {
    let progress = log.progress();
    let ticket = append_retrying(log, payload, rows, |error| match error {
        AppendError::StagingFull => true,
        AppendError::OverBudget { .. } => {
            progress.set_flushed(progress.synced());
            true
        }
        _ => false,
    });
    synced(ticket, payload, rows)
}

fn is_pending(ticket: &mut Ticket) -> bool {
    Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn read_all(reader: &mut Reader) -> Vec<Read> {
    let mut read = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        read.push(owned(&record));
    }
    read
}

#[test]
fn what_was_synced_is_read_by_a_reader_and_at_the_next_start() {
    let disk = MemoryDisk::default();
    disk.set_write_bytes_max(700);
    let (log, read) = open(&disk);
    assert!(read.is_empty());
    let mut reader = log.reader(LogPosition::ZERO).unwrap();
    // Enough for several segments.
    let written: Vec<_> = (0..60)
        .map(|n| append_synced(&log, &vec![n; 37 * usize::from(n)], u32::from(n % 4)))
        .collect();
    assert_eq!(read_all(&mut reader), written);
    let end = log.close().unwrap();
    assert_eq!(end.get(), 15 * (1 + 1 + 2 + 3));
    assert_eq!(reader.position(), end);

    let (log, read) = open(&disk);
    assert_eq!(read, written);
    assert_eq!(log.progress().synced(), end);
    assert_eq!(append_synced(&log, b"more", 1).0, end.get());
    assert_eq!(reader.next().unwrap(), None, "the reader of a closed log has read it all");
}

#[test]
fn a_reader_starts_at_the_record_that_holds_the_row() {
    let (log, _) = open(&MemoryDisk::default());
    let written: Vec<_> = (0..3).map(|n| append_synced(&log, &[n; 9], 10)).collect();
    let check = |from: u64, first: usize| {
        let mut reader = log.reader(LogPosition::new(from)).unwrap();
        assert_eq!(reader.position().get(), 10 * first as u64, "from {from}");
        assert_eq!(read_all(&mut reader), written[first..], "from {from}");
    };
    check(0, 0);
    check(1, 0);
    check(9, 0);
    check(10, 1);
    check(29, 2);
    check(30, 3);
    let beyond = log.reader(LogPosition::new(31));
    assert!(matches!(beyond, Err(ReadError::Beyond { .. })));
}

#[test]
fn a_reader_knows_the_record_before_it_also_where_that_is_gone() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    // Two records to a segment; of seven the first four go.
    let ends: Vec<_> = (0..7)
        .map(|n| {
            let (position, rows, payload) = append_synced(&log, &[n; 6000], 3);
            Record { position: LogPosition::new(position), rows, payload: &payload }.end_place()
        })
        .collect();
    log.progress().set_flushed(LogPosition::new(18));
    wait_until("segments were deleted", || log.first() == LogPosition::new(12));
    let check = |log: &Log| {
        for end in &ends[3..] {
            assert_eq!(log.reader(end.position).unwrap().start(), *end);
        }
    };
    check(&log);
    log.close().unwrap();
    let (log, _) = open(&disk);
    check(&log);
    // The segment that begins now says what was before it, though another process wrote that.
    let end = append_synced(&log, &[9; 6000], 3);
    append_synced(&log, &[9; 6000], 3);
    let record = Record { position: LogPosition::new(end.0), rows: 3, payload: &end.2 };
    assert_eq!(log.reader(record.end()).unwrap().start(), record.end_place());
    let within = log.reader(LogPosition::new(13)).unwrap();
    assert_eq!(within.start(), ends[3], "a reader begins where the record begins");
}

#[test]
fn nothing_is_readable_nor_acknowledged_before_it_is_synced() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let first = append_synced(&log, b"synced", 1);
    assert!(log.appender().barrier().unwrap().wait_blocking().is_ok(), "all is synced");
    disk.permit_syncs(Some(0));
    let in_flight = append(&log, b"in flight", 1);
    wait_until("the writer syncs", || disk.holds_a_sync());
    let mut barrier_of_flight = log.appender().barrier().unwrap();
    assert!(is_pending(&mut barrier_of_flight));
    let staged = append(&log, b"staged", 1);
    let mut barrier_of_staged = log.appender().barrier().unwrap();
    let mut reader = log.reader(LogPosition::ZERO).unwrap();
    assert_eq!(read_all(&mut reader), [first]);
    assert_eq!(log.progress().synced(), LogPosition::new(1));
    assert_eq!(log.progress().appended(), LogPosition::new(3));

    disk.permit_syncs(Some(1));
    barrier_of_flight.wait_blocking().unwrap();
    in_flight.wait_blocking().unwrap();
    assert_eq!(read_all(&mut reader), [(1, 1, b"in flight".to_vec())]);
    wait_until("the writer syncs again", || disk.holds_a_sync());
    assert_eq!(reader.next().unwrap(), None);
    assert!(is_pending(&mut barrier_of_staged));

    disk.permit_syncs(None);
    barrier_of_staged.wait_blocking().unwrap();
    drop(staged);
    assert_eq!(read_all(&mut reader), [(2, 1, b"staged".to_vec())]);
}

#[test]
fn closing_syncs_what_is_staged_and_takes_nothing_more() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let (appender, progress) = (log.appender(), log.progress());
    // The tickets are dropped, as by clients that have gone.
    for n in 0..10 {
        drop(append(&log, &[n], 1));
    }
    assert_eq!(log.close(), Ok(LogPosition::new(10)));
    assert!(progress.is_closed());
    assert_eq!(appender.admit(), Err(AppendError::Closed));
    assert!(matches!(appender.append(b"late", 1), Err(AppendError::Closed)));
    assert!(appender.barrier().unwrap().wait_blocking().is_ok());
    assert_eq!(open(&disk.crash(&mut |_| false)).1.len(), 10);
}

#[test]
fn a_second_process_is_told_who_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let disk = Arc::new(RealDisk::new(dir.path()).unwrap());
        Log::open(disk, settings(), Arc::new(Telemetry::new()), &mut |_| {})
    };
    let first = open().unwrap();
    let refused = open().err().map(|error| error.to_string()).unwrap();
    assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
    assert!(refused.contains("in use by another process"), "{refused}");
    first.close().unwrap();
    open().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_on_a_real_disk_each_find_their_record_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new(dir.path()).unwrap());
    let settings = LogSettings { budget_bytes: 1 << 20, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(disk, settings, telemetry, &mut |_| {}).unwrap();
    let mut reader = log.reader(LogPosition::ZERO).unwrap();
    let tasks: Vec<_> = (0..16_u32)
        .map(|task| {
            let appender = log.appender();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for n in 0..50_u32 {
                    let payload = [task.to_le_bytes(), n.to_le_bytes()].concat().repeat(10);
                    let ticket = loop {
                        match appender.append(&payload, 1 + n % 3) {
                            Err(AppendError::StagingFull) => tokio::task::yield_now().await,
                            answer => break answer.unwrap(),
                        }
                    };
                    let position = ticket.position().get();
                    ticket.await.unwrap();
                    written.push((position, 1 + n % 3, payload));
                }
                written
            })
        })
        .collect();
    let mut written = Vec::new();
    for task in tasks {
        written.extend(task.await.unwrap());
    }
    written.sort_unstable();
    assert_eq!(read_all(&mut reader), written);
    log.close().unwrap();
}
