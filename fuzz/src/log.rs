//! The log over hostile bytes: a damaged log is refused or read up to a torn tail, and never yields
//! a record that was not written.
//!
//! The bytes say what is done to the files of a sound log. So the oracle knows what was written,
//! and needs no checksum of its own.

mod disk;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use disk::MemoryDisk;
use noetl_metrics::log::{AppendError, Log, LogSettings, Record, Ticket};
use noetl_metrics::telemetry::Telemetry;

const SETTINGS: LogSettings = LogSettings {
    segment_bytes: 16 << 10,
    budget_bytes: 8 * (16 << 10),
    staging_bytes_max: 1 << 20,
};

/// Bytes of one edit.
const EDIT_BYTES: usize = 5;

/// A record's position, rows and payload.
type Read = (u64, u32, Vec<u8>);

/// The files of a sound log of three segments, and its records.
struct Sound {
    files: BTreeMap<String, Vec<u8>>,
    records: Vec<Read>,
}

/// The bytes as edits of a sound log.
pub(super) fn run(edits: &[u8]) {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    let sound = SOUND.get_or_init(make);
    let mut files = sound.files.clone();
    let (edits, _) = edits.as_chunks::<EDIT_BYTES>();
    edits.iter().take(64).for_each(|edit| apply(edit, &mut files));
    let disk = MemoryDisk::new(files);
    // Refused: nothing was read that the caller would have kept.
    let Some((log, read)) = open(&disk) else { return };
    assert!(sound.records.starts_with(&read), "a record was read that was never written");
    // It goes on behind what it found, and has all of it at the next start.
    let ticket = append(&log, b"more", 1);
    let position = ticket.position().get();
    ticket.wait_blocking().expect("memory is synced");
    log.close().expect("memory is synced");
    let (log, again) = open(&disk).expect("what was opened once is opened again");
    log.close().expect("memory is synced");
    let (last, before) = again.split_last().expect("a record was appended");
    assert_eq!(before, read, "another log at the second start");
    assert_eq!(*last, (position, 1, b"more".to_vec()));
}

fn make() -> Sound {
    let disk = MemoryDisk::new(BTreeMap::new());
    let (log, _) = open(&disk).expect("a new log");
    let mut records = Vec::new();
    for n in 0..18_u8 {
        let payload = vec![n; 100 + 230 * usize::from(n % 9)];
        let rows = u32::from(n % 3);
        let ticket = append(&log, &payload, rows);
        records.push((ticket.position().get(), rows, payload));
        // Some are synced together, as under load.
        if n % 4 != 1 {
            ticket.wait_blocking().expect("memory is synced");
        }
    }
    log.close().expect("memory is synced");
    let mut files = disk.files();
    // The name of the spare is random, and an edit counts files by their names.
    let spare = files.keys().find(|name| name.ends_with(".spare")).cloned();
    if let Some(bytes) = spare.and_then(|name| files.remove(&name)) {
        files.insert("ffffffffffffffff.spare".to_owned(), bytes);
    }
    Sound { files, records }
}

/// Appends once the preparer has caught up: a segment may be missing, or a spare have been damaged.
fn append(log: &Log, payload: &[u8], rows: u32) -> Ticket {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match log.appender().append(payload, rows) {
            Err(AppendError::StagingFull) if Instant::now() < deadline => std::thread::yield_now(),
            answer => return answer.expect("an open log takes records"),
        }
    }
}

fn open(disk: &MemoryDisk) -> Option<(Log, Vec<Read>)> {
    let mut read = Vec::new();
    let visit = &mut |record: Record<'_>| {
        read.push((record.position.get(), record.rows, record.payload.to_vec()));
    };
    let log = Log::open(Arc::new(disk.clone()), SETTINGS, Arc::new(Telemetry::new()), visit);
    log.ok().map(|log| (log, read))
}

/// Changes one place of one file.
fn apply(edit: &[u8; EDIT_BYTES], files: &mut BTreeMap<String, Vec<u8>>) {
    let [what, which, high, low, value] = *edit;
    let count = files.len();
    let Some(bytes) = files.values_mut().nth(usize::from(which) % count) else { return };
    if bytes.is_empty() {
        return;
    }
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
    match what % 6 {
        0 => bytes[at] = value,
        1 => bytes[at] ^= 1 << (value % 8),
        2 => bytes.truncate(at),
        3 => {
            // A sector that was never written.
            let start = at & !511;
            let end = (start + 512).min(bytes.len());
            bytes[start..end].fill(0);
        }
        4 => {
            // A sector that stands where another belongs.
            let start = at & !511;
            let from = (usize::from(value) * 512) % bytes.len();
            let length = 512.min(bytes.len() - from).min(bytes.len() - start);
            bytes.copy_within(from..from + length, start);
        }
        _ => {
            // From here on nothing was written.
            bytes[at..].fill(value);
        }
    }
}
