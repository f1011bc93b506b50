//! What is kept of a segment that goes: its idempotency keys.
//!
//! Segments are deleted as soon as PostgreSQL has their rows, under load within seconds, but a
//! client may come back with its key minutes later, to a server that was restarted meanwhile. So
//! before a segment goes, its keys are copied into a *key file*, which looks like a segment and
//! whose records hold keys alone. Keys that are no longer to be remembered go with their file.

use std::collections::VecDeque;
use std::io;

use uuid::Uuid;

use super::cursor::Cursor;
use super::disk::{Disk, DiskFile};
use super::entry::{Entries, Entry, Key, encode_key};
use super::error::OpenError;
use super::reader::Record;
use super::record::{Flaw, seal, stage};
use super::segment::{
    RECORDS_START, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, random_identity,
};
use super::{LogPosition, LogSettings};
use crate::model::Timestamp;
use crate::model::limits::{KEPT_ANSWERS_BYTES_MAX, KEYS_KEPT_MAX, KEYS_KEPT_S};

/// The name of a key file that is being written.
const DRAFT_NAME: &str = "keys.new";
/// Bytes of entries after which a record is written.
const RECORD_BYTES: usize = 64 << 10;

/// `0000000000000042.keys`: what is kept of segment 42.
fn keys_name(number: u64) -> String {
    format!("{number:016}.keys")
}

/// The number in a key file's name; `None` for any other name.
pub(super) fn keys_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".keys")?.parse().ok()?;
    (keys_name(number) == name).then_some(number)
}

/// The key files, oldest first.
pub(super) struct KeyFiles {
    log_id: Uuid,
    /// What they may take of the log's budget; the oldest go when they take more.
    bytes_max: u64,
    files: VecDeque<KeyFile>,
    /// The last time in the segment that went last. The log has no other clock; what stands before
    /// is no time to go by, for the server's clock may have been set back since.
    now: Timestamp,
}

struct KeyFile {
    number: u64,
    bytes: u64,
    stock: Stock,
}

/// How much a key file holds.
struct Stock {
    keys: usize,
    answer_bytes: usize,
    newest: Timestamp,
}

impl KeyFiles {
    /// Hands the records of all key files to `visit`, oldest first.
    ///
    /// A damaged file is read up to the damage and the start goes on: what is at stake is to know
    /// a retry of the last ten minutes, and all reports are elsewhere.
    pub(super) fn open(
        disk: &dyn Disk,
        log_id: Uuid,
        settings: &LogSettings,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<Self, OpenError> {
        let names = disk.list().map_err(OpenError::io("list the log directory"))?;
        if names.iter().any(|name| name == DRAFT_NAME) {
            disk.remove(DRAFT_NAME).map_err(OpenError::io(format!("remove {DRAFT_NAME}")))?;
        }
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| keys_number(name)).collect();
        numbers.sort_unstable();
        let least = LogSettings::SEGMENTS_MIN * settings.segment_bytes;
        let bytes_max = settings.budget_bytes.saturating_sub(least).min(settings.budget_bytes / 8);
        let mut kept = Self { log_id, bytes_max, files: VecDeque::new(), now: Timestamp::MIN };
        for number in numbers {
            let reading = OpenError::io(format!("read {}", keys_name(number)));
            kept.read(disk, number, visit).map_err(reading)?;
        }
        // A crash may have come before the oldest were removed, or the budget was lowered. Nothing
        // would remove them where they leave no room for a further segment.
        kept.forget(disk).map_err(OpenError::io("remove old idempotency keys"))?;
        Ok(kept)
    }

    /// Bytes of all key files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Copies the keys of a complete segment, so that they are on stable storage when this
    /// returns, and forgets those whose time is over. Nothing half is left after an error.
    pub(super) fn keep(&mut self, disk: &dyn Disk, segment: &Segment) -> io::Result<()> {
        let mut draft = Draft::new(disk, self.log_id, &segment.header);
        let kept = self.copy(segment, &mut draft).and_then(|()| draft.finish());
        match kept {
            Ok(Some(file)) => self.add(file),
            Ok(None) => {}
            Err(error) => {
                draft.discard()?;
                return Err(error);
            }
        }
        self.forget(disk)
    }

    fn copy(&mut self, segment: &Segment, draft: &mut Draft<'_>) -> io::Result<()> {
        let mut cursor = Cursor::new(segment.header.first);
        let limit = segment.synced_bytes();
        self.now = Timestamp::MIN;
        while cursor.offset() < limit {
            let payload = match cursor.next(segment, limit)? {
                Ok((_, payload)) => payload,
                Err(flaw) => {
                    damaged(&segment.name(), cursor.offset(), flaw);
                    break;
                }
            };
            // An unreadable record is the flush's to report.
            for entry in Entries::new(payload).map_while(Result::ok) {
                match entry {
                    Entry::Key(key) => {
                        self.now = key.received_at;
                        draft.push(&key)?;
                    }
                    Entry::Row(row) => self.now = row.head.received_at,
                    Entry::Component(_) | Entry::Series(_) | Entry::Hole(_) => {}
                }
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        disk: &dyn Disk,
        number: u64,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> io::Result<()> {
        let name = keys_name(number);
        let file = disk.open(&name)?;
        let mut header = [0; SEGMENT_HEADER_BYTES];
        file.read_full_at(&mut header, 0)?;
        let header = match SegmentHeader::decode(&header) {
            Ok(header) if header.number == number && header.log_id == self.log_id => header,
            _ => {
                damaged(&name, 0, Flaw::Absent);
                return Ok(());
            }
        };
        let bytes = file.bytes()?;
        let file = Segment::new(header, file, bytes, bytes);
        let mut cursor = Cursor::new(header.first);
        let mut stock = Stock::default();
        while cursor.offset() < bytes {
            let (header, payload) = match cursor.next(&file, bytes)? {
                Ok(record) => record,
                Err(flaw) => {
                    damaged(&name, cursor.offset(), flaw);
                    break;
                }
            };
            for entry in Entries::new(payload).map_while(Result::ok) {
                if let Entry::Key(key) = entry {
                    stock.count(&key);
                }
            }
            visit(Record { position: header.position, rows: header.rows, payload });
        }
        self.add(KeyFile { number, bytes, stock });
        Ok(())
    }

    fn add(&mut self, file: KeyFile) {
        // A crash between keeping and deleting has a segment kept twice.
        self.files.retain(|known| known.number != file.number);
        self.files.push_back(file);
    }

    /// Removes the oldest files that hold nothing which is still to be remembered.
    fn forget(&mut self, disk: &dyn Disk) -> io::Result<()> {
        while let Some(oldest) = self.files.front() {
            let newer = self.files.iter().skip(1).map(|file| &file.stock);
            let (keys, answer_bytes) = newer.fold((0, 0), |(keys, bytes), stock| {
                (keys + stock.keys, bytes + stock.answer_bytes)
            });
            let age_us = self.now.micros() - oldest.stock.newest.micros();
            let wanted = keys < KEYS_KEPT_MAX
                && answer_bytes < KEPT_ANSWERS_BYTES_MAX
                && age_us <= i64::from(KEYS_KEPT_S) * 1_000_000;
            if wanted && self.bytes() <= self.bytes_max {
                break;
            }
            disk.remove(&keys_name(oldest.number))?;
            self.files.pop_front();
        }
        Ok(())
    }
}

impl Stock {
    fn count(&mut self, key: &Key<'_>) {
        self.keys += 1;
        self.answer_bytes += key.answer.len();
        self.newest = self.newest.max(key.received_at);
    }
}

impl Default for Stock {
    fn default() -> Self {
        Self { keys: 0, answer_bytes: 0, newest: Timestamp::MIN }
    }
}

fn damaged(name: &str, offset: u64, flaw: Flaw) {
    tracing::error!(
        file = name,
        offset,
        "idempotency keys are damaged and forgotten from here on: {flaw}; check the disk"
    );
}

/// A key file that is being written. There is none until a key is pushed.
struct Draft<'a> {
    disk: &'a dyn Disk,
    file: Option<Box<dyn DiskFile>>,
    header: SegmentHeader,
    /// Entries of the next record.
    entries: Vec<u8>,
    frame: Vec<u8>,
    offset: u64,
    position: LogPosition,
    stock: Stock,
}

impl<'a> Draft<'a> {
    fn new(disk: &'a dyn Disk, log_id: Uuid, segment: &SegmentHeader) -> Self {
        let SegmentHeader { number, first, .. } = *segment;
        Self {
            disk,
            file: None,
            header: SegmentHeader {
                log_id,
                identity: random_identity(),
                number,
                first,
                before: None,
            },
            entries: Vec::new(),
            frame: Vec::new(),
            offset: RECORDS_START,
            position: first,
            stock: Stock::default(),
        }
    }

    fn push(&mut self, key: &Key<'_>) -> io::Result<()> {
        self.stock.count(key);
        encode_key(&mut self.entries, key);
        if self.entries.len() < RECORD_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = self.file.insert(self.disk.create(DRAFT_NAME)?);
                file.write_all_at(&self.header.encode(), 0)?;
                file
            }
        };
        self.frame.clear();
        stage(&mut self.frame, self.position, 0, &self.entries);
        let sealed = seal(&mut self.frame, self.header.identity, self.position);
        file.write_all_at(&self.frame, self.offset)?;
        self.offset += self.frame.len() as u64;
        self.position = sealed.end;
        self.entries.clear();
        Ok(())
    }

    /// Syncs the file under its name; `None` when there was no key.
    fn finish(&mut self) -> io::Result<Option<KeyFile>> {
        if !self.entries.is_empty() {
            self.write()?;
        }
        let Some(file) = self.file.take() else { return Ok(None) };
        file.sync_data()?;
        let number = self.header.number;
        self.disk.rename(DRAFT_NAME, &keys_name(number))?;
        self.disk.sync_dir()?;
        let stock = std::mem::take(&mut self.stock);
        Ok(Some(KeyFile { number, bytes: self.offset, stock }))
    }

    fn discard(self) -> io::Result<()> {
        self.disk.remove_if_there(DRAFT_NAME)
    }
}
