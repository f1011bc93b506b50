//! When requests are due. In an open loop they are due at fixed times, whatever the server does,
//! and latency counts from then: a server that stalls is charged for every request that should
//! have been sent meanwhile ("coordinated omission", Gil Tene).

use std::time::{Duration, Instant};

/// The due times of one connection's requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    /// As soon as the last one is answered.
    Closed,
    /// Every `interval_seconds`, the first one at `first`.
    Open {
        /// When the first request is due.
        first: Instant,
        /// Seconds from one request to the next.
        interval_seconds: f64,
    },
}

impl Schedule {
    /// The schedule of connection `index` of `connections`, which together send
    /// `requests_per_second`, evenly spaced, from `start` on.
    pub(crate) fn open(
        start: Instant,
        requests_per_second: f64,
        index: u32,
        connections: u32,
    ) -> Self {
        let spacing_seconds = 1.0 / requests_per_second;
        Self::Open {
            first: start + Duration::from_secs_f64(spacing_seconds * f64::from(index)),
            interval_seconds: spacing_seconds * f64::from(connections),
        }
    }

    /// When the connection's request number `sequence` is due; None when that is at once.
    pub(crate) fn due(&self, sequence: u64) -> Option<Instant> {
        match self {
            Self::Closed => None,
            // A product of a count and an interval does not drift as a sum of intervals would.
            Self::Open { first, interval_seconds } => {
                Some(*first + Duration::from_secs_f64(interval_seconds * sequence as f64))
            }
        }
    }

    /// How many requests from number `sequence` on are due before `end`.
    pub(crate) fn due_before(&self, sequence: u64, end: Instant) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Open { first, interval_seconds } => {
                let span_seconds = end.saturating_duration_since(*first).as_secs_f64();
                #[expect(clippy::cast_sign_loss, reason = "spans and intervals are positive")]
                let due = (span_seconds / interval_seconds).ceil() as u64;
                due.saturating_sub(sequence)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_rate_evenly() {
        let start = Instant::now();
        let mut due: Vec<Duration> = (0..4)
            .map(|index| Schedule::open(start, 1_000.0, index, 4))
            .flat_map(|schedule| (0..25).map(move |n| schedule.due(n).unwrap() - start))
            .collect();
        due.sort();
        for (index, at) in due.iter().enumerate() {
            assert!(at.abs_diff(Duration::from_millis(index as u64)) < Duration::from_micros(1));
        }
    }

    #[test]
    fn due_times_do_not_drift() {
        let start = Instant::now();
        let schedule = Schedule::open(start, 30_000.0, 0, 1);
        let error =
            (schedule.due(30_000 * 3_600).unwrap() - start).abs_diff(Duration::from_secs(3_600));
        assert!(error < Duration::from_micros(10), "{error:?}");
    }

    #[test]
    fn requests_that_were_due_are_counted() {
        let start = Instant::now();
        let schedule = Schedule::open(start, 100.0, 0, 1);
        let end = start + Duration::from_secs(1);
        assert_eq!(schedule.due_before(0, end), 100);
        assert_eq!(schedule.due_before(60, end), 40);
        assert_eq!(schedule.due_before(160, end), 0);
        assert_eq!(Schedule::Closed.due_before(0, end), 0);
        assert!(Schedule::Closed.due(5).is_none());
    }
}
