//! Ranges of sample timestamps, consumed from the end where the answer begins.

use super::filter::Order;
use crate::model::{ROW_SPAN_US, Timestamp};

/// Sample timestamps from `from`, inclusive, to `to`, exclusive. Empty when they meet or cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeRange {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl TimeRange {
    pub(super) fn is_empty(self) -> bool {
        self.from >= self.to
    }

    pub(super) fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Takes off up to `width_us` microseconds: the latest of them when the newest samples come
    /// first, the earliest when the oldest do.
    pub(super) fn take(&mut self, order: Order, width_us: i64) -> Self {
        match order {
            Order::NewestFirst => {
                let cut = self.to.offset_by(-width_us).max(self.from);
                let taken = Self { from: cut, to: self.to };
                self.to = cut;
                taken
            }
            Order::OldestFirst => {
                let cut = self.from.offset_by(width_us).min(self.to);
                let taken = Self { from: self.from, to: cut };
                self.from = cut;
                taken
            }
        }
    }

    /// Passes over what is known to hold nothing: no sample comes before the row at `ts`, the
    /// nearest there is. A row's samples follow its `ts` within [`ROW_SPAN_US`].
    pub(super) fn skip_to_row(&mut self, order: Order, ts: Timestamp) {
        match order {
            Order::NewestFirst => self.to = self.to.min(ts.offset_by(ROW_SPAN_US)),
            Order::OldestFirst => self.from = self.from.max(ts),
        }
    }

    /// The part of the range that holds all samples of the rows from where the answer begins up to
    /// the one at `ts`, or as far as `reach` goes without one: its width in microseconds.
    pub(super) fn width_to_row(self, order: Order, ts: Option<Timestamp>, reach: Self) -> i64 {
        let width = match order {
            Order::NewestFirst => self.to.micros() - ts.unwrap_or(reach.from).micros(),
            Order::OldestFirst => {
                let end = ts.map_or(reach.to, |ts| ts.offset_by(ROW_SPAN_US));
                end.micros() - self.from.micros()
            }
        };
        width.max(ROW_SPAN_US)
    }

    /// The bounds on `ts` of the rows that may hold these samples.
    pub(super) fn rows(self) -> Self {
        Self { from: self.from.offset_by(1 - ROW_SPAN_US), to: self.to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: i64, to: i64) -> TimeRange {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        TimeRange { from: at(from), to: at(to) }
    }

    #[test]
    fn a_range_is_consumed_from_the_end_where_the_answer_begins() {
        let check = |order, width, taken: TimeRange, left: TimeRange| {
            let mut rest = range(100, 200);
            assert_eq!(rest.take(order, width), taken);
            assert_eq!(rest, left);
        };
        check(Order::NewestFirst, 30, range(170, 200), range(100, 170));
        check(Order::OldestFirst, 30, range(100, 130), range(130, 200));
        check(Order::NewestFirst, 100, range(100, 200), range(100, 100));
        check(Order::OldestFirst, i64::MAX, range(100, 200), range(200, 200));
    }

    #[test]
    fn ranges_that_do_not_meet_have_nothing_in_common() {
        assert_eq!(range(1, 5).intersect(range(3, 9)), range(3, 5));
        assert!(range(1, 5).intersect(range(5, 9)).is_empty());
        assert!(range(1, 5).intersect(range(7, 9)).is_empty());
    }

    #[test]
    fn the_width_to_a_row_holds_its_samples() {
        let (rest, reach) = (range(5_000_000, 9_000_000), range(4_000_000, 9_000_000));
        let check = |order, ts: Option<i64>, expected| {
            let ts = ts.map(|micros| Timestamp::from_micros(micros).unwrap());
            assert_eq!(rest.width_to_row(order, ts, reach), expected, "{order:?} {ts:?}");
        };
        check(Order::NewestFirst, Some(6_000_000), 3_000_000);
        check(Order::NewestFirst, Some(8_900_000), 1_000_000);
        check(Order::NewestFirst, None, 5_000_000);
        check(Order::OldestFirst, Some(6_000_000), 2_000_000);
        check(Order::OldestFirst, None, 4_000_000);
    }

    #[test]
    fn a_row_reaches_almost_a_second_behind_its_time() {
        let span = range(5_000_000, 9_000_000);
        assert_eq!(span.rows(), range(4_000_001, 9_000_000));
        assert_eq!(range(5, 9).rows(), range(0, 9));
        let check = |order, row, expected| {
            let mut rest = span;
            rest.skip_to_row(order, Timestamp::from_micros(row).unwrap());
            assert_eq!(rest, expected);
        };
        check(Order::NewestFirst, 7_000_000, range(5_000_000, 8_000_000));
        check(Order::NewestFirst, 8_500_000, span);
        check(Order::OldestFirst, 7_000_000, range(7_000_000, 9_000_000));
        check(Order::OldestFirst, 4_000_001, span);
    }
}
