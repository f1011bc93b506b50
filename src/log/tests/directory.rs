//! Names are as durable as what they lead to: created and deleted ones are synced.

use super::*;
use crate::log::segment::segment_name;

/// A disk whose directory is never synced, though it says so.
struct Deaf(MemoryDisk);

impl Disk for Deaf {
    fn location(&self) -> String {
        self.0.location()
    }
    fn lock_exclusive(&self) -> io::Result<()> {
        self.0.lock_exclusive()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.0.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes six segments, flushes all but the last record, and crashes: what was on `disk` when
/// everything was acknowledged, and what a crash leaves of it that keeps nothing unsynced.
fn live_and_crash(disk: Arc<dyn Disk>, memory: &MemoryDisk) -> (Vec<String>, Vec<String>) {
    let telemetry = Arc::new(Telemetry::new());
    let log = Log::open(disk, settings(), telemetry, &mut |_| {}).unwrap();
    for n in 0..12 {
        let record = append_synced(&log, &[n; 6000], 1);
        log.progress().set_flushed(LogPosition::new(record.0));
    }
    wait_until("segments were deleted", || log.first() >= LogPosition::new(8));
    log.close().unwrap();
    let segments = |disk: &MemoryDisk| {
        let names = disk.names().into_iter();
        names.filter(|name| name.ends_with(".log") || name == "identity").collect::<Vec<_>>()
    };
    (segments(memory), segments(&memory.crash(&mut |_| false)))
}

#[test]
fn a_crash_takes_no_name_away_and_brings_none_back() {
    let memory = MemoryDisk::default();
    let (before, after) = live_and_crash(Arc::new(memory.clone()), &memory);
    assert_eq!(before, [segment_name(4), segment_name(5), "identity".to_owned()]);
    assert_eq!(after, before);
    assert_eq!(open(&memory.crash(&mut |_| false)).1.len(), 4);
}

#[test]
fn without_the_syncs_of_the_directory_it_would() {
    let memory = MemoryDisk::default();
    let (before, after) = live_and_crash(Arc::new(Deaf(memory.clone())), &memory);
    assert_eq!(before.len(), 3);
    assert_eq!(after, [""; 0], "the log with all that was acknowledged is gone");
    // Nor do deletions last: here those of a log that was begun on a sound disk.
    let memory = MemoryDisk::default();
    let (log, _) = open(&memory);
    append_synced(&log, &[1; 6000], 1);
    log.close().unwrap();
    let (_, after) = live_and_crash(Arc::new(Deaf(memory.clone())), &memory);
    assert!(after.contains(&segment_name(0)), "a deleted segment is back: {after:?}");
}
