//! When a client that was refused should come back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::log::Drain;

/// The shortest and the longest wait that is named, in seconds.
const WAIT_S: (f64, f64) = (1.0, 300.0);
/// The same while nothing is flushed: PostgreSQL may be back at any moment.
const STALLED_WAIT_S: (f64, f64) = (5.0, 60.0);
/// By how much of its length a wait is lengthened at most, so that those who were refused together
/// come back one after the other.
const SPREAD: f64 = 0.5;

/// The wait in seconds until the log has room again, lengthened by `share`, from 0 up to 1, of
/// the spread.
///
/// It is what is ahead divided by the rate at which it shrinks. While it does not shrink, it is
/// as long as that has lasted: a short outage is noticed soon, a long one costs few attempts.
pub(super) fn retry_after_s(drain: Drain, share: f64) -> u32 {
    let (wait_s, (min_s, max_s)) = if drain.rows_per_s > 0.0 {
        (drain.rows_ahead as f64 / drain.rows_per_s, WAIT_S)
    } else {
        (drain.stalled.as_secs_f64(), STALLED_WAIT_S)
    };
    lengthened_s(wait_s, (min_s, max_s), share)
}

/// A wait that is known, lengthened by `share` of the spread, within the bounds of all.
pub(super) fn spread_s(wait: Duration, share: f64) -> u32 {
    lengthened_s(wait.as_secs_f64().ceil(), WAIT_S, share)
}

fn lengthened_s(wait_s: f64, (min_s, max_s): (f64, f64), share: f64) -> u32 {
    let spread_s = wait_s.clamp(min_s, max_s) * (1.0 + SPREAD * share);
    let whole = Duration::from_secs_f64(spread_s.round().min(max_s)).as_secs();
    u32::try_from(whole).unwrap_or(u32::MAX)
}

/// Shares for [`retry_after_s`]: whoever is refused next gets another one, and any number of them
/// in a row lie evenly between 0 and 1.
#[derive(Debug, Default)]
pub(super) struct Spread(AtomicU32);

impl Spread {
    /// The next share.
    pub(super) fn next(&self) -> f64 {
        // Multiples of the golden ratio, of which only the fraction is kept.
        const GOLDEN: u32 = 0x9e37_79b9;
        f64::from(self.0.fetch_add(GOLDEN, Ordering::Relaxed)) / 2_f64.powi(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_what_is_ahead_over_the_rate_within_its_bounds() {
        let check = |rows_ahead: u64, rows_per_s: f64, stalled_s: u64, expected: [u32; 2]| {
            let drain = Drain { rows_ahead, rows_per_s, stalled: Duration::from_secs(stalled_s) };
            let waits = [0.0, 1.0].map(|share| retry_after_s(drain, share));
            assert_eq!(waits, expected, "{drain:?}");
        };
        check(100_000, 10_000.0, 0, [10, 15]);
        check(100_000, 1000.0, 3, [100, 150]);
        check(10, 10_000.0, 0, [1, 2]);
        check(0, 10_000.0, 0, [1, 2]);
        check(u64::MAX, 0.001, 29, [300, 300]);
        check(250_000, 1000.0, 0, [250, 300]);
        // PostgreSQL is away.
        check(100_000, 0.0, 0, [5, 8]);
        check(100_000, 0.0, 20, [20, 30]);
        check(100_000, 0.0, 3600, [60, 60]);
    }

    #[test]
    fn a_wait_that_is_known_is_named_in_whole_seconds() {
        let check = |millis, expected: [u32; 2]| {
            let wait = Duration::from_millis(millis);
            assert_eq!([0.0, 1.0].map(|share| spread_s(wait, share)), expected, "{millis} ms");
        };
        check(1, [1, 2]);
        check(9_100, [10, 15]);
        check(100_000_000, [300, 300]);
    }

    #[test]
    fn those_who_are_refused_together_come_back_evenly() {
        let spread = Spread::default();
        let drain = Drain { rows_ahead: 100_000, rows_per_s: 1000.0, stalled: Duration::ZERO };
        let mut come_back = [0; 51];
        for _ in 0..5000 {
            let wait_s = retry_after_s(drain, spread.next());
            come_back[wait_s as usize - 100] += 1;
        }
        // The first and the last second are half as wide.
        assert!(come_back[1..50].iter().all(|count| (90..=110).contains(count)), "{come_back:?}");
    }
}
