//! Rows of `noetl.report` in PostgreSQL's binary COPY format. No I/O.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format"; that of
//! arrays is what `array_send` writes. All integers are big-endian.

use std::iter::Empty;

use super::timestamptz::POSTGRES_EPOCH_US;
use crate::model::{GroupId, ReportId, SLOTS_PER_GROUP, Timestamp};

/// The columns of a row, in the order in which they are written.
pub(super) const COLUMNS: &str = "group_id, ts, received_at, report_id, vals, offsets_us";

/// Signature, flags (none) and the length of the header's extension (none).
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the data.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// A length of -1 is NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

const FLOAT8: u32 = 701;
const INT4: u32 = 23;

/// Dimensions, null flag, element type, length, lower bound.
const ARRAY_HEADER_BYTES: usize = 20;
/// Column count, four columns of 8 bytes, and two arrays of all slots, lengths included.
const ROW_BYTES_MAX: usize = 2
    + 4 * (4 + 8)
    + (4 + ARRAY_HEADER_BYTES + SLOTS_PER_GROUP * (4 + 8))
    + (4 + ARRAY_HEADER_BYTES + SLOTS_PER_GROUP * (4 + 4));

/// From so many bytes on, [`Chunks`] does not go on with a chunk: some rounds of the socket, and little
/// enough to stay in the processor's cache on its way there.
const CHUNK_BYTES: usize = 64 << 10;

/// What a row has besides its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHead {
    /// The group whose slots the values belong to.
    pub group: GroupId,
    /// The time of the values; with offsets, the earliest.
    pub ts: Timestamp,
    /// When the server took the report.
    pub received_at: Timestamp,
    /// The row's id.
    pub report: ReportId,
}

/// For a row whose values are all of [`RowHead::ts`].
pub const NO_OFFSETS: Option<Empty<u32>> = None;

/// Rows on their way to one partition.
///
/// Grows with what is pushed; the caller bounds a batch.
#[derive(Debug, Default)]
pub struct CopyBuffer {
    /// The rows in the order in which they came.
    bytes: Vec<u8>,
    rows: Vec<Row>,
    samples: u64,
    finished: bool,
}

/// Where a row stands. The order is that of the finished rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    group: GroupId,
    start: u32,
    bytes: u32,
}

impl CopyBuffer {
    /// No rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one row.
    ///
    /// Bit `n` of `present` says that slot `n` has a value; `values` yields one per bit set, in
    /// ascending order of slots, and so does `offsets` (microseconds after `ts`, below
    /// 1,000,000; [`NO_OFFSETS`] when all are 0). Panics when either ends too early, after
    /// [`CopyBuffer::finish`], and when the rows before fill 4 GiB.
    pub fn push(
        &mut self,
        head: RowHead,
        present: u64,
        values: impl IntoIterator<Item = f64>,
        offsets: Option<impl IntoIterator<Item = u32>>,
    ) {
        assert!(!self.finished, "rows are pushed before the data is finished");
        let start = u32::try_from(self.bytes.len()).expect("a batch is bounded far below 4 GiB");
        self.bytes.reserve(ROW_BYTES_MAX);
        self.bytes.extend_from_slice(&6_i16.to_be_bytes());
        self.int8(head.group.get());
        self.int8(head.ts.micros() - POSTGRES_EPOCH_US);
        self.int8(head.received_at.micros() - POSTGRES_EPOCH_US);
        self.int8(head.report.get());
        self.array(FLOAT8, present, values.into_iter().map(f64::to_be_bytes));
        match offsets {
            Some(offsets) => self.array(INT4, present, offsets.into_iter().map(u32::to_be_bytes)),
            None => self.bytes.extend_from_slice(&NULL),
        }
        let bytes = (self.bytes.len() - start as usize) as u32;
        self.rows.push(Row { group: head.group, start, bytes });
        self.samples += u64::from(present.count_ones());
    }

    /// Rows pushed.
    pub fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Values in them.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// About how many pieces [`CopyBuffer::chunks`] has.
    pub fn pieces(&self) -> usize {
        self.bytes.len().div_ceil(CHUNK_BYTES)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sorts the rows by group, those of one group in the order in which they came; nothing can be
    /// pushed afterwards. Further calls do nothing.
    ///
    /// The index of a partition begins with the group: rows in its order touch each of its pages
    /// once, and rows in the order of their arrival touch one at random each.
    pub fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.rows.sort_unstable();
        }
    }

    /// What COPY takes, piece by piece, any number of times. Panics before [`CopyBuffer::finish`].
    pub fn chunks(&self) -> Chunks<'_> {
        assert!(self.finished, "the rows of a COPY are in their order");
        Chunks { buffer: self, chunk: Vec::new(), done: 0, state: ChunksState::Header }
    }

    /// All of [`CopyBuffer::chunks`] in one piece.
    #[cfg(test)]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (mut bytes, mut chunks) = (Vec::new(), self.chunks());
        while let Some(chunk) = chunks.next() {
            bytes.extend_from_slice(chunk);
        }
        bytes
    }

    /// Takes the end of the last row away, and ends the rows.
    #[cfg(test)]
    pub(crate) fn cut_off(&mut self, bytes: u32) {
        self.finish();
        self.rows.last_mut().expect("there is a row").bytes -= bytes;
    }

    /// Empties the buffer for other rows. Keeps its memory, but for what these ones were far from
    /// needing.
    pub fn clear(&mut self) {
        let (bytes, rows) = (self.bytes.len(), self.rows.len());
        self.bytes.clear();
        self.bytes.shrink_to(4 * bytes);
        self.rows.clear();
        self.rows.shrink_to(4 * rows);
        (self.samples, self.finished) = (0, false);
    }

    fn int8(&mut self, value: i64) {
        let mut field = [0; 12];
        field[..4].copy_from_slice(&8_u32.to_be_bytes());
        field[4..].copy_from_slice(&value.to_be_bytes());
        self.bytes.extend_from_slice(&field);
    }

    /// An array that ends with the last slot present, NULL in the slots that are not.
    fn array<const N: usize>(
        &mut self,
        element_type: u32,
        present: u64,
        mut elements: impl Iterator<Item = [u8; N]>,
    ) {
        let length = u64::BITS - present.leading_zeros();
        let absent = length - present.count_ones();
        let element_bytes = present.count_ones() as usize * (4 + N) + absent as usize * 4;
        let dimensions = u32::from(length > 0);
        let header = [dimensions, u32::from(absent > 0), element_type, length, 1];
        // An array without elements has no dimension, hence neither length nor bound.
        let header = if length == 0 { &header[..3] } else { &header[..] };
        self.bytes.extend_from_slice(&((header.len() * 4 + element_bytes) as u32).to_be_bytes());
        for part in header {
            self.bytes.extend_from_slice(&part.to_be_bytes());
        }
        for slot in 0..length {
            if present >> slot & 1 == 1 {
                let element = elements.next().expect("there is an element per slot present");
                self.bytes.extend_from_slice(&(N as u32).to_be_bytes());
                self.bytes.extend_from_slice(&element);
            } else {
                self.bytes.extend_from_slice(&NULL);
            }
        }
    }
}

/// The pieces of a COPY. Rows are put in their order only here, so that there never is a second copy of
/// a batch.
#[derive(Debug)]
pub struct Chunks<'a> {
    buffer: &'a CopyBuffer,
    chunk: Vec<u8>,
    /// Rows handed out.
    done: usize,
    state: ChunksState,
}

#[derive(Debug, PartialEq, Eq)]
enum ChunksState {
    Header,
    Rows,
    Ended,
}

impl Chunks<'_> {
    /// The next piece, not much longer than 64 KiB; `None` after the last one.
    #[expect(clippy::should_implement_trait, reason = "a piece borrows, which no `Iterator` can")]
    pub fn next(&mut self) -> Option<&[u8]> {
        self.chunk.clear();
        match self.state {
            ChunksState::Header => self.chunk.extend_from_slice(HEADER),
            ChunksState::Rows => {}
            ChunksState::Ended => return None,
        }
        self.state = ChunksState::Rows;
        let CopyBuffer { bytes, rows, .. } = self.buffer;
        for row in &rows[self.done..] {
            if self.chunk.len() >= CHUNK_BYTES {
                return Some(&self.chunk);
            }
            let start = row.start as usize;
            self.chunk.extend_from_slice(&bytes[start..start + row.bytes as usize]);
            self.done += 1;
        }
        self.state = ChunksState::Ended;
        self.chunk.extend_from_slice(&TRAILER);
        Some(&self.chunk)
    }
}

#[cfg(test)]
pub(crate) mod decoder;
#[cfg(test)]
mod tests;
