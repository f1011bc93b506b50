//! A hole: what stands in the place of records that were lost.

use super::{EntryFlaw, Fields};
use crate::model::{LogPosition, Timestamp};

/// As many positions as a record can have rows.
const POSITIONS_MAX: u64 = u32::MAX as u64;

/// Positions whose records were lost, and which somebody has given up for the log to go on.
///
/// A hole is alone in its record, whose rows are as many as its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// The first position that is lost.
    pub from: LogPosition,
    /// The first position behind it, at most 2^32 - 1 further on.
    pub to: LogPosition,
}

impl Hole {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, EntryFlaw> {
        let given_up_at = fields.timestamp()?;
        let (from, to) = (LogPosition::new(fields.u64()?), LogPosition::new(fields.u64()?));
        match to.get().checked_sub(from.get()) {
            Some(1..=POSITIONS_MAX) => Ok(Self { given_up_at, from, to }),
            _ => Err(EntryFlaw::Range),
        }
    }

    /// How many positions are lost; the rows of the hole's record.
    pub fn positions(&self) -> u32 {
        let positions = self.to.get().saturating_sub(self.from.get());
        u32::try_from(positions).expect("the bounds of a hole were checked")
    }

    /// Holes that together are as long as `from..to`.
    pub fn split(
        given_up_at: Timestamp,
        from: LogPosition,
        to: LogPosition,
    ) -> impl Iterator<Item = Self> {
        let mut at = from;
        std::iter::from_fn(move || {
            let left = to.get().checked_sub(at.get()).filter(|left| *left > 0)?;
            let end = at.advance(left.min(POSITIONS_MAX));
            let hole = Self { given_up_at, from: at, to: end };
            at = end;
            Some(hole)
        })
    }
}
