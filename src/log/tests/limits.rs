//! Bounds hold, temporary refusals end, and a failure is final.

use super::*;
use crate::log::segment::segment_name;

/// Two of these fill a segment.
const HALF_SEGMENT: [u8; 6000] = [5; 6000];

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".log")).collect()
}

/// Appends until that is refused for another reason than a spare that is being prepared.
fn fill(log: &Log) -> AppendError {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match log.appender().append(&HALF_SEGMENT, 1) {
            Ok(ticket) => ticket.wait_blocking().unwrap(),
            Err(AppendError::StagingFull) if Instant::now() < deadline => std::thread::yield_now(),
            Err(refusal) => return refusal,
        }
    }
}

#[test]
fn flushed_segments_are_reused_and_their_records_never_come_back() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let mut written = Vec::new();
    for n in 0..40 {
        let mut payload = HALF_SEGMENT;
        payload[0] = n;
        let record = append_synced(&log, &payload, 1);
        log.progress().set_flushed(LogPosition::new(record.0 + 1));
        written.push(record);
    }
    wait_until("only the kept segments are left", || segments(&disk).len() == 2);
    assert_eq!(segments(&disk), [segment_name(18), segment_name(19)]);
    assert_eq!(log.first(), LogPosition::new(36));
    let gone = log.reader(LogPosition::new(35)).err();
    assert!(matches!(gone, Some(ReadError::Gone { .. })), "{gone:?}");
    // The active segment was another one before, and that one's records still stand behind.
    append_synced(&log, b"x", 1);
    log.close().unwrap();
    let (log, read) = open(&disk.crash(&mut |_| true));
    assert_eq!(read[..4], written[36..]);
    assert_eq!((read.len(), log.first()), (5, LogPosition::new(36)));
}

#[test]
fn records_of_a_former_life_in_a_reused_file_are_not_read_though_they_would_be_due() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    for _ in 0..4 {
        append_synced(&log, &HALF_SEGMENT, 1);
    }
    log.close().unwrap();
    // Somebody gives the log up; a file of it, with positions 2 and 3, stays as the only spare.
    for name in disk.names().iter().filter(|name| name.ends_with(".spare")) {
        disk.remove(name).unwrap();
    }
    disk.remove(&segment_name(0)).unwrap();
    disk.rename(&segment_name(1), "0123456789abcdef.spare").unwrap();
    let (log, read) = open(&disk);
    assert!(read.is_empty());
    let written: Vec<_> = (0..3).map(|_| append_synced(&log, &HALF_SEGMENT, 1)).collect();
    log.close().unwrap();
    let left_behind = &disk.bytes(&segment_name(1))[RECORDS_START as usize + 6032..];
    assert_eq!(left_behind[16], 3, "behind position 2 the old position 3 stands");
    assert_eq!(open(&disk).1, written);
}

#[test]
fn a_reader_keeps_the_segment_that_it_reads() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let first = append_synced(&log, &HALF_SEGMENT, 1);
    let mut reader = log.reader(LogPosition::ZERO).unwrap();
    for _ in 0..9 {
        let record = append_synced(&log, &HALF_SEGMENT, 1);
        log.progress().set_flushed(LogPosition::new(record.0 + 1));
    }
    wait_until("the segment is deleted", || !segments(&disk).contains(&segment_name(0)));
    assert_eq!(reader.next().unwrap().map(|record| owned(&record)), Some(first));
    assert!(reader.next().unwrap().is_some());
    let gone = reader.next();
    assert!(matches!(gone, Err(ReadError::Gone { .. })), "{gone:?}");
}

#[test]
fn a_spent_budget_refuses_until_rows_are_flushed() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let refusal = fill(&log);
    assert_eq!(refusal, AppendError::OverBudget { budget_bytes: 6 * SEGMENT_BYTES });
    assert_eq!(log.appender().admit(), Err(refusal));
    assert_eq!(segments(&disk).len(), 6, "the budget is used, and nothing beyond it");
    assert_eq!(disk.names().len(), 7, "the segments and the identity");
    log.progress().set_flushed(log.progress().synced());
    wait_until("records are admitted", || log.appender().admit().is_ok());
    append_synced(&log, &HALF_SEGMENT, 1);
    let end = log.close().unwrap();
    assert_eq!(open(&disk).0.progress().synced(), end);
}

#[test]
fn a_full_disk_refuses_until_there_is_space() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    append_synced(&log, &HALF_SEGMENT, 1);
    disk.set_full(true);
    assert_eq!(fill(&log), AppendError::DiskFull);
    assert_eq!(log.appender().admit(), Err(AppendError::DiskFull));
    assert!(disk.names().iter().all(|name| !name.ends_with(".spare")), "nothing half is left");
    disk.set_full(false);
    wait_until("records are admitted", || log.appender().admit().is_ok());
    append_synced(&log, &HALF_SEGMENT, 1);
}

#[test]
fn a_slow_disk_refuses_what_staging_cannot_hold() {
    let disk = MemoryDisk::default();
    let settings = LogSettings { staging_bytes_max: 8192, ..settings() };
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(Arc::new(disk.clone()), settings, telemetry, &mut |_| {}).unwrap();
    disk.permit_syncs(Some(0));
    let in_flight = append(&log, b"in flight", 1);
    wait_until("the writer syncs", || disk.holds_a_sync());
    let staged = append(&log, &HALF_SEGMENT, 1);
    let refused = log.appender().append(&HALF_SEGMENT, 1).err();
    assert_eq!(refused, Some(AppendError::StagingFull));
    assert_eq!(log.appender().admit(), Err(AppendError::StagingFull));
    disk.permit_syncs(None);
    in_flight.wait_blocking().unwrap();
    staged.wait_blocking().unwrap();
    assert_eq!(log.appender().admit(), Ok(()));
    let too_large = log.appender().append(&[0; 9000], 1).err();
    assert_eq!(too_large, Some(AppendError::TooLarge { bytes: 9032, bytes_max: 8192 }));
    assert_eq!(log.appender().admit(), Ok(()), "one large report is nobody else's matter");
}

#[test]
fn a_failed_sync_fails_everybody_for_ever_and_acknowledges_nothing() {
    let disk = MemoryDisk::default();
    let telemetry = Arc::new(Telemetry::new());
    let shared = Arc::new(disk.clone());
    let log = Log::open(shared, settings(), Arc::clone(&telemetry), &mut |_| {}).unwrap();
    let kept = append_synced(&log, b"kept", 1);
    disk.permit_syncs(Some(0));
    let in_flight = append(&log, b"in flight", 1);
    wait_until("the writer syncs", || disk.holds_a_sync());
    let staged = append(&log, b"staged", 1);
    disk.set_sync_fails(true);
    disk.permit_syncs(None);
    let failed = in_flight.wait_blocking().unwrap_err();
    assert!(failed.to_string().contains("sync 0000000000000000.log: the disk is broken"));
    assert_eq!(staged.wait_blocking(), Err(failed.clone()));
    disk.set_sync_fails(false);
    assert_eq!(log.appender().admit(), Err(AppendError::Failed(failed.clone())));
    let refused = log.appender().append(b"late", 1).err();
    assert_eq!(refused, Some(AppendError::Failed(failed.clone())));
    assert!(log.appender().barrier().is_err());
    let progress = log.progress();
    assert!(!progress.wait_synced_beyond(
        LogPosition::new(1),
        LogPosition::new(1),
        Duration::from_secs(30)
    ));
    assert_eq!(read_all(&mut log.reader(LogPosition::ZERO).unwrap()), [kept]);
    assert_eq!(log.close(), Err(failed));
    assert!(progress.is_closed());
    assert_eq!(telemetry.log.failed.get(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let check = |works: bool, settings: LogSettings| {
        assert_eq!(settings.check().is_ok(), works, "{settings:?}");
    };
    check(true, LogSettings::default());
    check(true, settings());
    check(false, LogSettings { segment_bytes: 4096, ..settings() });
    check(false, LogSettings { segment_bytes: (16 << 10) + 8, ..settings() });
    check(false, LogSettings { budget_bytes: 3 * SEGMENT_BYTES - 1, ..settings() });
    check(true, LogSettings { budget_bytes: 3 * SEGMENT_BYTES, ..settings() });
    check(false, LogSettings { staging_bytes_max: 0, ..settings() });
    check(false, LogSettings { staging_bytes_max: 2 << 30, ..settings() });
}
