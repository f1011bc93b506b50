//! What a record's payload says: a sequence of entries.
//!
//! A payload is one accepted report. What an entry refers to stands before it, in the same record
//! or an earlier one. Integers and floats are little-endian; texts are UTF-8 with their length
//! before them. Decoding borrows from the payload; encoding appends to a buffer and allocates
//! only when that grows.
//!
//! ```text
//! 1 component   i64 runtime id, i64 first seen, u8 length, type, u8 length, name
//! 2 series      i64 group, u8 slot, u8 length, type, u8 length, name, u32 length, definition
//! 3 row         i64 group, i64 timestamp, i64 received at, u64 present, f64 per bit set
//! 4 row         as 3, then u32 offset per bit set
//! 5 key         i64 received at, 16 bytes digest, u8 length, key, u32 length, answer
//! 16 hole       i64 given up at, u64 from, u64 to
//! ```

mod encode;
mod hole;
#[cfg(test)]
pub(crate) mod payload;
mod row;

use crate::model::{GroupId, RuntimeId, Slot, Timestamp};

pub use encode::{encode_component, encode_hole, encode_key, encode_row, encode_series};
pub use hole::Hole;
pub use row::{ROW_OFFSET_US_END, Row, RowHead};

/// The longest form of a key that an entry holds, in bytes. What clients may send is bounded
/// elsewhere: the ingest writes a digest.
pub const STORED_KEY_BYTES_MAX: usize = 128;

const TAG_COMPONENT: u8 = 1;
const TAG_SERIES: u8 = 2;
const TAG_ROW: u8 = 3;
const TAG_ROW_WITH_OFFSETS: u8 = 4;
const TAG_KEY: u8 = 5;
/// Tags from here on are written by people's commands and not by reports.
const TAG_HOLE: u8 = 16;

/// One entry of a payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A component was seen for the first time.
    Component(Component<'a>),
    /// A series was given a slot, or its metadata changed.
    Series(SeriesSlot<'a>),
    /// Values of a group's series.
    Row(Row<'a>),
    /// The report came with an idempotency key.
    Key(Key<'a>),
    /// The record stands for others that were lost and given up.
    Hole(Hole),
}

/// A component that reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component<'a> {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// Its type, not yet checked against [`crate::model::ComponentKey`].
    pub component_type: &'a str,
    /// Its name.
    pub name: &'a str,
    /// When it was first seen.
    pub first_seen: Timestamp,
}

/// A series and its slot; once more for the same slot when the series' metadata changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesSlot<'a> {
    /// The group.
    pub group: GroupId,
    /// The slot in the group.
    pub slot: Slot,
    /// The type of the component whose series it is.
    pub component_type: &'a str,
    /// The name of that component.
    pub name: &'a str,
    /// The canonical bytes of the series, see [`crate::model::series`].
    pub definition: &'a [u8],
}

/// A client's idempotency key and what the report was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// When the server took the report.
    pub received_at: Timestamp,
    /// The key, at most [`STORED_KEY_BYTES_MAX`] bytes.
    pub key: &'a [u8],
    /// The digest of the report's body.
    pub body_digest: [u8; 16],
    /// The body of the answer.
    pub answer: &'a [u8],
}

/// A payload that is not a sequence of entries. Its record's checksum is right, so it was
/// written so: by a newer program, or by a fault in this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "byte {offset} of the payload: {flaw}; start the program that wrote this log, or report a fault"
)]
pub struct EntryError {
    /// Where in the payload the entry begins.
    pub offset: usize,
    /// What is wrong with it.
    pub flaw: EntryFlaw,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFlaw {
    /// No entry has this tag.
    #[error("no entry has the tag {0}")]
    Tag(u8),
    /// The payload ends within the entry.
    #[error("the payload ends within the entry")]
    Short,
    /// A number lies outside its range.
    #[error("a number in the entry is out of range")]
    Range,
    /// A text is not UTF-8.
    #[error("a text in the entry is not UTF-8")]
    Text,
}

/// The entries of a payload, in order. Ends at the first error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    payload_bytes: usize,
}

impl<'a> Entries<'a> {
    /// The entries of `payload`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, payload_bytes: payload.len() }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, EntryError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.rest.split_first()?;
        let offset = self.payload_bytes - self.rest.len();
        let mut fields = Fields { rest };
        match fields.entry(tag) {
            Ok(entry) => {
                self.rest = fields.rest;
                Some(Ok(entry))
            }
            Err(flaw) => {
                self.rest = &[];
                Some(Err(EntryError { offset, flaw }))
            }
        }
    }
}

/// Reads the fields of an entry one after the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    fn entry(&mut self, tag: u8) -> Result<Entry<'a>, EntryFlaw> {
        match tag {
            TAG_ROW => Ok(Entry::Row(Row::read(self, false)?)),
            TAG_ROW_WITH_OFFSETS => Ok(Entry::Row(Row::read(self, true)?)),
            TAG_SERIES => Ok(Entry::Series(SeriesSlot {
                group: self.group()?,
                slot: Slot::new(self.byte()?).ok_or(EntryFlaw::Range)?,
                component_type: self.text()?,
                name: self.text()?,
                definition: self.long_bytes()?,
            })),
            TAG_COMPONENT => Ok(Entry::Component(Component {
                runtime_id: RuntimeId::from_raw(self.i64()?),
                first_seen: self.timestamp()?,
                component_type: self.text()?,
                name: self.text()?,
            })),
            TAG_KEY => Ok(Entry::Key(Key {
                received_at: self.timestamp()?,
                body_digest: *self.array()?,
                key: self.short_bytes(STORED_KEY_BYTES_MAX)?,
                answer: self.long_bytes()?,
            })),
            TAG_HOLE => Ok(Entry::Hole(Hole::read(self)?)),
            unknown => Err(EntryFlaw::Tag(unknown)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], EntryFlaw> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(EntryFlaw::Short)?;
        self.rest = rest;
        Ok(array)
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], EntryFlaw> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(EntryFlaw::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, EntryFlaw> {
        self.array().map(|[byte]| *byte)
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, EntryFlaw> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, EntryFlaw> {
        self.array().map(|bytes| i64::from_le_bytes(*bytes))
    }

    #[inline]
    fn group(&mut self) -> Result<GroupId, EntryFlaw> {
        GroupId::from_raw(self.i64()?).ok_or(EntryFlaw::Range)
    }

    #[inline]
    fn timestamp(&mut self) -> Result<Timestamp, EntryFlaw> {
        Timestamp::from_micros(self.i64()?).ok_or(EntryFlaw::Range)
    }

    fn short_bytes(&mut self, length_max: usize) -> Result<&'a [u8], EntryFlaw> {
        let length = usize::from(self.byte()?);
        if length > length_max {
            return Err(EntryFlaw::Range);
        }
        self.bytes(length)
    }

    fn long_bytes(&mut self) -> Result<&'a [u8], EntryFlaw> {
        let length = u32::from_le_bytes(*self.array()?);
        self.bytes(length as usize)
    }

    fn text(&mut self) -> Result<&'a str, EntryFlaw> {
        let bytes = self.short_bytes(usize::from(u8::MAX))?;
        std::str::from_utf8(bytes).map_err(|_| EntryFlaw::Text)
    }
}

#[cfg(test)]
mod tests;
