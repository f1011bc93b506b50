//! How fast PostgreSQL takes what is in the log, seen from the positions it has reached.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::LogPosition;

/// What is older does not count: the rate of a minute ago says little about the next one.
const WINDOW: Duration = Duration::from_secs(30);
/// At most one mark for so long.
const STEP: Duration = Duration::from_secs(1);

/// How the backlog shrinks at the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drain {
    /// Rows that must still be flushed before the log gets room for a segment.
    pub rows_ahead: u64,
    /// Rows flushed in a second, lately; 0 when none were.
    pub rows_per_s: f64,
    /// For how long nothing has been flushed.
    pub stalled: Duration,
}

/// Marks of the flushed position, oldest first.
#[derive(Debug)]
pub(super) struct DrainMeter {
    began: Instant,
    /// Empty until the position is known at all: what was flushed before is no rate.
    /// The last one moves with the position until it is a step away from the one before.
    marks: VecDeque<(Instant, LogPosition)>,
}

impl DrainMeter {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, marks: VecDeque::new() }
    }

    /// The flushed position rose to `flushed`.
    pub(super) fn mark(&mut self, now: Instant, flushed: LogPosition) {
        if let Some(before) = self.marks.len().checked_sub(2)
            && now - self.marks[before].0 < STEP
        {
            self.marks.pop_back();
        }
        self.marks.push_back((now, flushed));
        // One mark beyond the window stays, to measure from.
        while self.marks.len() > 2 && now - self.marks[1].0 >= WINDOW {
            self.marks.pop_front();
        }
    }

    /// How it looks at `now`, when the position must come to `wanted`.
    pub(super) fn drain(&self, now: Instant, wanted: LogPosition) -> Drain {
        let Some(&(last_at, flushed)) = self.marks.back() else {
            return Drain { rows_ahead: 0, rows_per_s: 0.0, stalled: now - self.began };
        };
        let recent = self.marks.iter().find(|(at, _)| now - *at < WINDOW);
        let rows_per_s = match recent {
            Some(&(from_at, from)) if from < flushed => {
                (flushed.get() - from.get()) as f64 / (now - from_at).as_secs_f64()
            }
            _ => 0.0,
        };
        let rows_ahead = wanted.get().saturating_sub(flushed.get());
        Drain { rows_ahead, rows_per_s, stalled: now - last_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(rows: u64) -> LogPosition {
        LogPosition::new(rows)
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut meter = DrainMeter::new(start);
        let unknown = meter.drain(at(2000), position(100_000));
        assert_eq!((unknown.rows_per_s, unknown.stalled), (0.0, Duration::from_secs(2)));
        meter.mark(start, position(1000));
        let drain = |meter: &DrainMeter, ms| meter.drain(at(ms), position(100_000));
        let nothing =
            Drain { rows_ahead: 99_000, rows_per_s: 0.0, stalled: Duration::from_secs(5) };
        assert_eq!(drain(&meter, 5000), nothing);
        // A hundred rows in each tenth of a second.
        for step in 1..=600 {
            meter.mark(at(step * 100), position(1000 + step * 100));
        }
        let Drain { rows_ahead, rows_per_s, stalled } = drain(&meter, 60_000);
        assert_eq!((rows_ahead, stalled), (100_000 - 61_000, Duration::ZERO));
        assert!((rows_per_s - 1000.0).abs() < 1.0, "{rows_per_s}");
        assert!(meter.marks.len() <= 40, "{} marks are kept", meter.marks.len());
        // From here on it stands still.
        let rate = drain(&meter, 75_000).rows_per_s;
        assert!((rate - 500.0).abs() < 30.0, "half of the window: {rate}");
        let stopped = drain(&meter, 90_000);
        assert_eq!((stopped.rows_per_s, stopped.stalled), (0.0, Duration::from_secs(30)));
        // After a long pause, a first mark is a jump and not a rate to rely on for long.
        meter.mark(at(600_000), position(90_000));
        assert_eq!(drain(&meter, 600_500).rows_per_s, 0.0);
        meter.mark(at(602_000), position(92_000));
        assert!((drain(&meter, 602_000).rows_per_s - 1000.0).abs() < 1.0);
    }

    #[test]
    fn nothing_is_ahead_of_what_is_reached() {
        let start = Instant::now();
        let mut meter = DrainMeter::new(start);
        meter.mark(start, position(10));
        assert_eq!(meter.drain(start, position(5)).rows_ahead, 0);
    }
}
