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
/// Grows with what is pushed and keeps its memory for the next batch; the caller bounds a batch.
#[derive(Debug)]
pub struct CopyBuffer {
    bytes: Vec<u8>,
    rows: u64,
    samples: u64,
    finished: bool,
}

impl CopyBuffer {
    /// No rows yet.
    pub fn new() -> Self {
        Self { bytes: HEADER.to_vec(), rows: 0, samples: 0, finished: false }
    }

    /// Appends one row.
    ///
    /// Bit `n` of `present` says that slot `n` has a value; `values` yields one per bit set, in
    /// ascending order of slots, and so does `offsets` (microseconds after `ts`, below
    /// 1,000,000; [`NO_OFFSETS`] when all are 0). Panics when either ends too early, and after
    /// [`CopyBuffer::finish`].
    pub fn push(
        &mut self,
        head: RowHead,
        present: u64,
        values: impl IntoIterator<Item = f64>,
        offsets: Option<impl IntoIterator<Item = u32>>,
    ) {
        assert!(!self.finished, "a finished buffer is cleared before rows are pushed");
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
        self.rows += 1;
        self.samples += u64::from(present.count_ones());
    }

    /// Rows pushed.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values in them.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What COPY takes; complete after [`CopyBuffer::finish`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Ends the data. Further calls do nothing.
    pub fn finish(&mut self) {
        if !self.finished {
            self.bytes.extend_from_slice(&TRAILER);
            self.finished = true;
        }
    }

    /// Drops the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER.len());
        self.rows = 0;
        self.samples = 0;
        self.finished = false;
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

impl Default for CopyBuffer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
pub(crate) mod decoder;
#[cfg(test)]
mod tests;
