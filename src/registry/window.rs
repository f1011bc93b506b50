//! Which timestamps are taken: those whose partition exists, or may be made.
//!
//! Old samples are welcome, so a missing past partition is made on demand. A wild clock could
//! make thousands that way, so their number is bounded, and past the bound a sample is
//! rejected before it is acknowledged, never after.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::model::{PartitionInterval, PartitionStart, Timestamp};

/// How many intervals before the current one are always taken and never count as past: late
/// reports around midnight.
const RECENT_INTERVALS: i64 = 2;

/// The partitions that may be written to.
#[derive(Debug)]
pub struct PartitionWindow {
    interval: PartitionInterval,
    past_max: usize,
    past: Mutex<Past>,
}

/// What lies before the recent intervals.
#[derive(Debug, Default)]
struct Past {
    /// The partitions that exist, as begin and end. They may be of another interval.
    existing: BTreeMap<Timestamp, Timestamp>,
    /// Intervals without a partition that were promised one by an acknowledged sample.
    promised: BTreeSet<PartitionStart>,
    /// Partitions that are being dropped: nothing can be written for their time until that is
    /// done, and it waits for readers.
    leaving: Vec<(Timestamp, Timestamp)>,
}

impl Past {
    /// The partition that covers `timestamp`.
    fn existing(&self, timestamp: Timestamp) -> Option<AdmittedSpan> {
        let (from, to) = self.existing.range(..=timestamp).next_back()?;
        (timestamp < *to).then_some(AdmittedSpan { from: *from, to: *to })
    }

    fn is_leaving(&self, timestamp: Timestamp) -> bool {
        self.leaving.iter().any(|(from, to)| *from <= timestamp && timestamp < *to)
    }

    fn len(&self) -> usize {
        self.existing.len() + self.promised.len()
    }
}

/// A span of time whose samples are all taken; saves the look-up for the next sample.
#[derive(Clone, Copy, Debug)]
pub struct AdmittedSpan {
    from: Timestamp,
    to: Timestamp,
}

impl AdmittedSpan {
    /// Admits nothing.
    pub const EMPTY: Self = Self { from: Timestamp::MAX, to: Timestamp::MIN };

    /// Whether `timestamp` lies in the span.
    #[inline]
    pub fn contains(&self, timestamp: Timestamp) -> bool {
        self.from <= timestamp && timestamp < self.to
    }
}

impl PartitionWindow {
    /// A window that promises at most `past_max` past partitions.
    pub fn new(interval: PartitionInterval, past_max: usize) -> Self {
        Self { interval, past_max, past: Mutex::default() }
    }

    /// Learns that a sample of that time was acknowledged before a restart.
    pub fn promise(&self, timestamp: Timestamp, now: Timestamp) {
        let start = self.interval.start_of(timestamp);
        let mut past = self.past.lock();
        if start < self.recent(now) && past.existing(timestamp).is_none() {
            past.promised.insert(start);
        }
    }

    /// Learns which partitions exist, each by its begin and end, and which are being dropped.
    /// Those that are gone make room.
    pub fn learn(
        &self,
        partitions: impl IntoIterator<Item = (Timestamp, Timestamp)>,
        leaving: Vec<(Timestamp, Timestamp)>,
        now: Timestamp,
    ) {
        let recent = self.recent(now).timestamp();
        let existing = partitions.into_iter().filter(|(from, _)| *from < recent).collect();
        let mut past = self.past.lock();
        let Past { promised, .. } =
            std::mem::replace(&mut *past, Past { existing, promised: BTreeSet::new(), leaving });
        // A promise is kept once partitions cover the whole of its interval.
        past.promised = promised
            .into_iter()
            .filter(|start| {
                let end = self.interval.end_of(*start);
                let mut covered = start.timestamp();
                while let Some(span) = past.existing(covered) {
                    covered = span.to;
                }
                covered < end
            })
            .collect();
    }

    /// The admitted span around `timestamp`; `None` when its partition does not exist and no
    /// further past one may be made. Timestamps in the future are the decoder's business.
    pub fn admit(&self, timestamp: Timestamp, now: Timestamp) -> Option<AdmittedSpan> {
        let recent = self.recent(now);
        let start = self.interval.start_of(timestamp);
        if start >= recent {
            return Some(AdmittedSpan { from: recent.timestamp(), to: Timestamp::MAX });
        }
        let mut past = self.past.lock();
        if past.is_leaving(timestamp) {
            return None;
        }
        if let Some(span) = past.existing(timestamp) {
            return Some(span);
        }
        if !past.promised.contains(&start) {
            // Those that were recent once and have aged count too: they exist.
            if past.len() >= self.past_max {
                return None;
            }
            past.promised.insert(start);
        }
        Some(AdmittedSpan { from: start.timestamp(), to: self.interval.end_of(start) })
    }

    /// Whether nothing is taken for that time because its partition is being dropped.
    pub fn is_leaving(&self, timestamp: Timestamp) -> bool {
        self.past.lock().is_leaving(timestamp)
    }

    /// How many past partitions may exist.
    pub fn past_max(&self) -> usize {
        self.past_max
    }

    fn recent(&self, now: Timestamp) -> PartitionStart {
        self.interval.start_of(now.offset_by(-RECENT_INTERVALS * self.interval.micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_micros(number * DAY + 5).unwrap()
    }

    fn existing(number: i64) -> (Timestamp, Timestamp) {
        let at = |number: i64| Timestamp::from_micros(number * DAY).unwrap();
        (at(number), at(number + 1))
    }

    #[test]
    fn recent_days_are_free_and_past_days_are_bounded() {
        let window = PartitionWindow::new(PartitionInterval::Day, 2);
        let now = day(20_000);
        for recent in 19_998..20_001 {
            assert!(window.admit(day(recent), now).is_some(), "day {recent}");
        }
        assert!(window.admit(day(100), now).is_some());
        assert!(window.admit(day(200), now).is_some());
        assert!(window.admit(day(300), now).is_none(), "a third past partition is one too many");
        assert!(window.admit(day(100), now).is_some(), "a promised one stays open");
        window.learn([existing(100), existing(200)], vec![], now);
        assert!(window.admit(day(300), now).is_none(), "a kept promise still counts, once");
        window.learn([existing(200)], vec![], now);
        assert!(window.admit(day(300), now).is_some(), "a dropped one makes room");
    }

    #[test]
    fn an_admitted_span_covers_its_partition_and_no_more() {
        let window = PartitionWindow::new(PartitionInterval::Day, 2);
        let span = window.admit(day(100), day(20_000)).unwrap();
        assert!(span.contains(Timestamp::from_micros(100 * DAY).unwrap()));
        assert!(span.contains(Timestamp::from_micros(101 * DAY - 1).unwrap()));
        assert!(!span.contains(Timestamp::from_micros(101 * DAY).unwrap()));
        assert!(!AdmittedSpan::EMPTY.contains(day(1)));
        let recent = window.admit(day(20_000), day(20_000)).unwrap();
        assert!(recent.contains(day(19_998)) && !recent.contains(day(19_997)));
    }

    #[test]
    fn existing_partitions_count_against_the_bound() {
        let window = PartitionWindow::new(PartitionInterval::Day, 1);
        window.learn([existing(100), existing(20_000)], vec![], day(20_000));
        assert!(window.admit(day(101), day(20_000)).is_none());
    }

    #[test]
    fn every_hour_of_an_existing_day_is_taken() {
        let window = PartitionWindow::new(PartitionInterval::Hour, 1);
        window.learn([existing(100)], vec![], day(20_000));
        for hour in 0..24 {
            let timestamp = day(100).offset_by(hour * PartitionInterval::Hour.micros());
            let span = window.admit(timestamp, day(20_000)).unwrap();
            assert!(span.contains(day(100)), "hour {hour}");
        }
        assert!(window.admit(day(101), day(20_000)).is_none());
    }

    #[test]
    fn nothing_is_taken_for_a_partition_that_is_being_dropped() {
        let window = PartitionWindow::new(PartitionInterval::Day, 3);
        window.learn([existing(101)], vec![existing(100)], day(20_000));
        assert!(window.admit(day(100), day(20_000)).is_none() && window.is_leaving(day(100)));
        assert!(window.admit(day(101), day(20_000)).is_some() && !window.is_leaving(day(101)));
        window.learn([existing(101)], vec![], day(20_000));
        assert!(window.admit(day(100), day(20_000)).is_some(), "it is gone, and may be made again");
    }

    #[test]
    fn a_promise_is_kept_when_its_whole_interval_is_covered() {
        let window = PartitionWindow::new(PartitionInterval::Day, 3);
        let noon = existing(100).0.offset_by(DAY / 2);
        window.promise(day(100), day(20_000));
        window.learn([(noon, existing(100).1)], vec![], day(20_000));
        assert_eq!(window.past.lock().promised.len(), 1, "the morning is missing");
        window.learn([(existing(100).0, noon), (noon, existing(100).1)], vec![], day(20_000));
        assert_eq!(window.past.lock().promised.len(), 0);
        window.promise(noon, day(20_000));
        assert_eq!(window.past.lock().len(), 2, "what exists needs no promise");
    }
}
