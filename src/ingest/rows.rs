//! Arranges the samples of one report into rows: one row holds the values of a group at one
//! time, give or take a second.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::model::{GroupId, ROW_SPAN_US, SLOTS_PER_GROUP, Timestamp};
use crate::registry::Placement;

/// Rows whose memory (1 KiB each) is kept for the next report.
const KEPT_ROWS_MAX: usize = 64;

/// The rows of one report. Reused: [`RowBuilder::clear`] keeps the memory.
#[derive(Debug, Default)]
pub(super) struct RowBuilder {
    rows: Vec<Row>,
    used: usize,
    /// The row that takes a group's next sample, for groups other than the last row's.
    open: HashMap<GroupId, usize, RandomState>,
}

/// One row in the making.
#[derive(Debug)]
pub(super) struct Row {
    group: GroupId,
    first: Timestamp,
    last: Timestamp,
    present: u64,
    values: [f64; SLOTS_PER_GROUP],
    timestamps: [Timestamp; SLOTS_PER_GROUP],
}

impl RowBuilder {
    /// Removes all rows.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.open.clear();
    }

    /// Gives back the memory that an unusually large report took.
    pub(super) fn trim(&mut self) {
        self.clear();
        self.rows.truncate(KEPT_ROWS_MAX);
        self.open.shrink_to(KEPT_ROWS_MAX);
    }

    /// Adds a sample; `false` when the report holds the very same one already.
    #[inline]
    pub(super) fn push(&mut self, place: Placement, timestamp: Timestamp, value: f64) -> bool {
        let at = match self.used.checked_sub(1) {
            Some(last) if self.rows[last].group == place.group => Some(last),
            Some(_) => self.open.get(&place.group).copied(),
            None => None,
        };
        if let Some(at) = at {
            match self.rows[at].add(place, timestamp, value) {
                Added::Yes => return true,
                Added::Repeat => return false,
                Added::No => {}
            }
        }
        self.begin(place, timestamp, value);
        true
    }

    fn begin(&mut self, place: Placement, timestamp: Timestamp, value: f64) {
        if self.used == self.rows.len() {
            self.rows.push(Row::empty(place.group, timestamp));
        }
        let row = &mut self.rows[self.used];
        (row.group, row.first, row.last, row.present) = (place.group, timestamp, timestamp, 0);
        row.set(place, timestamp, value);
        // The last row is found without the map; it enters it when another group's row follows.
        if let Some(before) = self.used.checked_sub(1) {
            self.open.insert(self.rows[before].group, before);
        }
        self.open.remove(&place.group);
        self.used += 1;
    }

    /// The rows, in the order in which they were begun.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.rows[..self.used].iter()
    }
}

enum Added {
    Yes,
    No,
    Repeat,
}

impl Row {
    fn empty(group: GroupId, timestamp: Timestamp) -> Self {
        Self {
            group,
            first: timestamp,
            last: timestamp,
            present: 0,
            values: [0.0; SLOTS_PER_GROUP],
            timestamps: [timestamp; SLOTS_PER_GROUP],
        }
    }

    #[inline]
    fn add(&mut self, place: Placement, timestamp: Timestamp, value: f64) -> Added {
        let at = place.slot.index();
        if self.present >> at & 1 == 1 {
            let same =
                self.timestamps[at] == timestamp && self.values[at].to_bits() == value.to_bits();
            return if same { Added::Repeat } else { Added::No };
        }
        let (first, last) = (self.first.min(timestamp), self.last.max(timestamp));
        if last.micros() - first.micros() >= ROW_SPAN_US {
            return Added::No;
        }
        (self.first, self.last) = (first, last);
        self.set(place, timestamp, value);
        Added::Yes
    }

    #[inline]
    fn set(&mut self, place: Placement, timestamp: Timestamp, value: f64) {
        let at = place.slot.index();
        self.present |= 1 << at;
        self.values[at] = value;
        self.timestamps[at] = timestamp;
    }

    /// The group whose values these are.
    pub(super) fn group(&self) -> GroupId {
        self.group
    }

    /// The row's time: that of its earliest sample.
    pub(super) fn timestamp(&self) -> Timestamp {
        self.first
    }

    /// Bit n is set when the row has a value for slot n.
    pub(super) fn present(&self) -> u64 {
        self.present
    }

    /// Puts the present values into `values` and, per value, its time after the row's in
    /// microseconds into `offsets_us`, both in the order of their slots. Says whether any
    /// offset is not 0.
    pub(super) fn pack(&self, values: &mut Vec<f64>, offsets_us: &mut Vec<u32>) -> bool {
        values.clear();
        values.extend(slots(self.present).map(|at| self.values[at]));
        offsets_us.clear();
        if self.first == self.last {
            return false;
        }
        offsets_us.extend(slots(self.present).map(|at| {
            let offset = self.timestamps[at].micros() - self.first.micros();
            u32::try_from(offset).expect("a row spans less than a second")
        }));
        true
    }
}

/// The numbers of the set bits, ascending.
fn slots(mut present: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (present != 0).then(|| {
            let slot = present.trailing_zeros() as usize;
            present &= present - 1;
            slot
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeNumber, Slot};

    fn place(group: u64, slot: u8) -> Placement {
        Placement {
            group: GroupId::new(NodeNumber::new(0).unwrap(), group),
            slot: Slot::new(slot).unwrap(),
        }
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + micros).unwrap()
    }

    /// The rows as (group, time, [(slot, offset, value)]).
    type Shape = Vec<(u64, i64, Vec<(usize, u32, f64)>)>;

    fn shape(builder: &RowBuilder) -> Shape {
        builder
            .rows()
            .map(|row| {
                let (mut values, mut offsets) = (Vec::new(), Vec::new());
                if !row.pack(&mut values, &mut offsets) {
                    offsets.resize(values.len(), 0);
                }
                let cells = slots(row.present()).zip(offsets).zip(values);
                let cells = cells.map(|((slot, offset), value)| (slot, offset, value)).collect();
                (row.group().counter(), row.timestamp().micros() - 10_000_000, cells)
            })
            .collect()
    }

    #[test]
    fn samples_are_arranged_into_rows() {
        let check = |samples: &[(u64, u8, i64, f64)], expected: &Shape| {
            let mut builder = RowBuilder::default();
            // The second round must be the same as the first: nothing stays behind.
            for _ in 0..2 {
                builder.clear();
                for &(group, slot, micros, value) in samples {
                    builder.push(place(group, slot), at(micros), value);
                }
                assert_eq!(&shape(&builder), expected, "{samples:?}");
            }
        };
        check(&[], &vec![]);
        check(&[(1, 3, 0, 1.0), (1, 0, 0, 2.0)], &vec![(1, 0, vec![(0, 0, 2.0), (3, 0, 1.0)])]);
        check(
            &[(1, 0, 500, 1.0), (1, 1, 0, 2.0), (1, 2, 999_999, 3.0)],
            &vec![(1, 0, vec![(0, 500, 1.0), (1, 0, 2.0), (2, 999_999, 3.0)])],
        );
        check(
            &[(1, 0, 0, 1.0), (1, 1, 1_000_000, 2.0)],
            &vec![(1, 0, vec![(0, 0, 1.0)]), (1, 1_000_000, vec![(1, 0, 2.0)])],
        );
        check(
            &[(1, 0, 0, 1.0), (1, 0, 7, 2.0), (1, 1, 7, 3.0)],
            &vec![(1, 0, vec![(0, 0, 1.0)]), (1, 7, vec![(0, 0, 2.0), (1, 0, 3.0)])],
        );
        check(
            &[(1, 0, 0, 1.0), (2, 0, 0, 2.0), (1, 1, 0, 3.0), (2, 1, 0, 4.0)],
            &vec![(1, 0, vec![(0, 0, 1.0), (1, 0, 3.0)]), (2, 0, vec![(0, 0, 2.0), (1, 0, 4.0)])],
        );
    }

    #[test]
    fn only_the_very_same_sample_is_a_repeat() {
        let mut builder = RowBuilder::default();
        assert!(builder.push(place(1, 0), at(0), f64::NAN));
        assert!(!builder.push(place(1, 0), at(0), f64::NAN));
        assert!(builder.push(place(1, 0), at(0), 1.0));
        assert!(builder.push(place(1, 0), at(1), 1.0));
        assert_eq!(builder.rows().len(), 3);
    }
}
