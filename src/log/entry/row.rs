//! A row: the values of a group's series at one time. The entry that there are most of.

use super::{EntryFlaw, Fields};
use crate::model::{GroupId, Slot, Timestamp};

/// Every offset of a row lies below this, in microseconds: a row spans less than a second.
pub const ROW_OFFSET_US_END: u32 = 1_000_000;

/// What a row says besides its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHead {
    /// The group whose series have the values.
    pub group: GroupId,
    /// The time of the earliest value.
    pub timestamp: Timestamp,
    /// When the server received it.
    pub received_at: Timestamp,
    /// Bit `n` says that slot `n` has a value; at least one has.
    pub present: u64,
}

/// A row, borrowed from the payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// What the row says besides its values.
    pub head: RowHead,
    values: &'a [[u8; 8]],
    offsets: Option<&'a [[u8; 4]]>,
}

impl<'a> Row<'a> {
    #[inline]
    pub(super) fn read(fields: &mut Fields<'a>, with_offsets: bool) -> Result<Self, EntryFlaw> {
        let head = RowHead {
            group: fields.group()?,
            timestamp: fields.timestamp()?,
            received_at: fields.timestamp()?,
            present: fields.u64()?,
        };
        let count = head.present.count_ones() as usize;
        if count == 0 {
            return Err(EntryFlaw::Range);
        }
        let values = fields.bytes(8 * count)?.as_chunks().0;
        let offsets = match with_offsets {
            false => None,
            true => Some(fields.bytes(4 * count)?.as_chunks().0),
        };
        let in_row = |offset: &[u8; 4]| u32::from_le_bytes(*offset) < ROW_OFFSET_US_END;
        if offsets.is_some_and(|offsets| !offsets.iter().all(in_row)) {
            return Err(EntryFlaw::Range);
        }
        Ok(Self { head, values, offsets })
    }

    /// The slots that have a value, ascending.
    #[inline]
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let mut left = self.head.present;
        std::iter::from_fn(move || {
            let slot = Slot::new(left.trailing_zeros() as u8)?;
            left &= left - 1;
            Some(slot)
        })
    }

    /// The values, in the order of [`Row::slots`].
    #[inline]
    pub fn values(&self) -> impl ExactSizeIterator<Item = f64> + Clone + use<'a> {
        self.values.iter().map(|bytes| f64::from_le_bytes(*bytes))
    }

    /// How long after the row's timestamp each value was taken, in microseconds, in the order of
    /// [`Row::slots`]; `None` when all were taken at that time.
    #[inline]
    pub fn offsets_us(&self) -> Option<impl ExactSizeIterator<Item = u32> + Clone + use<'a>> {
        self.offsets.map(|offsets| offsets.iter().map(|bytes| u32::from_le_bytes(*bytes)))
    }
}
