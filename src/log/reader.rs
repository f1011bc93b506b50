//! Follows the log: the only way by which records leave it.
//!
//! Steady state and recovery read alike, out of the page cache in the one case and from the disk
//! in the other, so whoever follows needs memory for one chunk, however far behind it is.

use std::sync::Arc;

use super::LogPosition;
use super::catalog::Catalog;
use super::cursor::Cursor;
use super::disk::Disk;
use super::entry::{Entries, Entry};
use super::error::ReadError;
use super::record;
use super::segment::Segment;
use crate::model::{LogMark, LogPlace};

/// One record of the log: an accepted report, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The position of its first row.
    pub position: LogPosition,
    /// How many rows it has. A record without rows still takes one position.
    pub rows: u32,
    /// Its entries, see [`super::entry`].
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// The position of the record that follows.
    pub fn end(&self) -> LogPosition {
        self.position.advance(u64::from(self.rows.max(1)))
    }

    /// Where the next record begins. The mark is not known behind a hole, for what another copy
    /// of the log has there was something else.
    pub fn end_place(&self) -> LogPlace {
        let hole = matches!(Entries::new(self.payload).next(), Some(Ok(Entry::Hole(_))));
        LogPlace { position: self.end(), mark: (!hole).then(|| self.mark()) }
    }

    /// What it is, wherever it stands, see `docs/format/log.md`.
    pub fn mark(&self) -> LogMark {
        record::mark(self.position, self.rows, self.payload)
    }
}

/// A place in the log that moves on with each record.
///
/// Holds its present segment open, even when that is deleted meanwhile.
pub struct Reader {
    segment: Arc<Segment>,
    cursor: Cursor,
    catalog: Arc<Catalog>,
    start: LogPlace,
    /// Keeps the directory locked for as long as somebody reads, though the log be closed.
    _disk: Arc<dyn Disk>,
}

impl Reader {
    /// A reader whose first record is the one that holds row `from`, of which the rows below
    /// `from` are the caller's to skip. `synced` is the end of what is synced.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        catalog: Arc<Catalog>,
        from: LogPosition,
        synced: LogPosition,
    ) -> Result<Self, ReadError> {
        if from > synced {
            return Err(ReadError::Beyond { from, synced });
        }
        let Some(segment) = catalog.holding(from) else {
            return Err(ReadError::Gone { from, first: catalog.first() });
        };
        let cursor = Cursor::new(segment.header.first);
        let start = LogPlace { position: segment.header.first, mark: segment.header.before };
        let mut reader = Self { segment, cursor, catalog, start, _disk: disk };
        // Only reading a record shows where it ends, so the one that holds `from` is read twice.
        while reader.cursor.position() < from {
            let (offset, position) = (reader.cursor.offset(), reader.cursor.position());
            match reader.next()? {
                Some(record) if record.end() <= from => {
                    let end = record.end_place();
                    reader.start = end;
                }
                _ => {
                    reader.cursor.rewind(offset, position);
                    break;
                }
            }
        }
        Ok(reader)
    }

    /// Where this reader began: at the record that holds the row it was asked for.
    pub fn start(&self) -> LogPlace {
        self.start
    }

    /// The position of the record that [`Reader::next`] will return.
    pub fn position(&self) -> LogPosition {
        self.cursor.position()
    }

    /// The next record; `None` when all that is synced was read. Later calls go on from there.
    #[allow(clippy::should_implement_trait)] // A record borrows the reader, which no `Iterator` can.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        let limit = loop {
            // In this order: once a segment is complete, its synced offset is final.
            let complete = self.segment.end().is_some();
            let limit = self.segment.synced_bytes();
            if self.cursor.offset() < limit {
                break limit;
            }
            if !complete {
                return Ok(None);
            }
            let Some(next) = self.catalog.after(self.segment.header.number) else {
                let (from, first) = (self.cursor.position(), self.catalog.first());
                return Err(ReadError::Gone { from, first });
            };
            self.segment = next;
            self.cursor.enter_next_segment();
        };
        let (number, offset) = (self.segment.header.number, self.cursor.offset());
        match self.cursor.next(&self.segment, limit) {
            Ok(Ok((header, payload))) => {
                Ok(Some(Record { position: header.position, rows: header.rows, payload }))
            }
            Ok(Err(flaw)) => Err(ReadError::Corrupt { segment: number, offset, flaw }),
            Err(source) => Err(ReadError::Io { segment: number, source }),
        }
    }
}
