//! Whether this server has listened long enough to call others silent.

use std::time::{Duration, Instant};

use crate::model::Timestamp;

/// By how much PostgreSQL's clock may run fast or slow between two turns before it counts as set.
const JUMP_MAX: Duration = Duration::from_secs(5);

/// Watches whether turn follows turn and PostgreSQL's clock runs evenly.
///
/// Whoever was not heard for `silence` is offline, but only if there was somebody to hear it: not
/// after a start, nor after PostgreSQL was away and with it the heartbeats that other servers have
/// in memory, nor after this process was stopped or a clock was set. All of that shows as an error,
/// as a gap between turns, or as a difference between PostgreSQL's clock and the monotonic one.
#[derive(Debug)]
pub(super) struct Listening {
    silence: Duration,
    /// The first and the last turn of the even ones.
    since: Option<(Instant, Instant, Timestamp)>,
}

impl Listening {
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, since: None }
    }

    /// Notes a turn at `at`, when PostgreSQL's clock showed `clock`. Returns whether it has been
    /// even for so long that silence counts.
    pub(super) fn turn(&mut self, at: Instant, clock: Timestamp) -> bool {
        let first = match self.since {
            Some((first, last, before)) if self.is_even(at - last, clock, before) => first,
            _ => at,
        };
        self.since = Some((first, at, clock));
        at - first >= self.silence
    }

    fn is_even(&self, passed: Duration, clock: Timestamp, before: Timestamp) -> bool {
        let shown_us = clock.micros().abs_diff(before.micros());
        let set_back = clock < before;
        let passed_us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let jump_us = if set_back { shown_us } else { shown_us.abs_diff(passed_us) };
        passed <= self.silence && Duration::from_micros(jump_us) <= JUMP_MAX
    }

    /// Notes that a turn failed.
    pub(super) fn interrupted(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(180);

    /// Turns at seconds of the monotonic clock and of PostgreSQL's; which of them may sweep.
    fn sweeps(turns: &[(u64, i64)]) -> Vec<bool> {
        let start = Instant::now();
        let mut listening = Listening::new(SILENCE);
        let clock = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
        turns
            .iter()
            .map(|(at, shown)| {
                listening.turn(start + Duration::from_secs(*at), clock(1_000_000 + shown))
            })
            .collect()
    }

    #[test]
    fn silence_counts_after_it_was_listened_to_for_as_long() {
        assert_eq!(
            sweeps(&[(0, 0), (90, 90), (179, 179), (180, 180)]),
            [false, false, false, true]
        );
    }

    #[test]
    fn a_clock_that_is_set_begins_anew() {
        let turns = [(0, 0), (180, 180), (195, 3795), (370, 3970), (375, 3975)];
        assert_eq!(sweeps(&turns), [false, true, false, false, true]);
        let turns = [(0, 0), (180, 180), (195, -3405), (370, -3230), (375, -3225)];
        assert_eq!(sweeps(&turns), [false, true, false, false, true]);
        let drifting = [(0, 0), (90, 94), (180, 188)];
        assert_eq!(sweeps(&drifting), [false, false, true]);
    }

    #[test]
    fn a_process_that_stood_still_begins_anew() {
        assert_eq!(
            sweeps(&[(0, 0), (180, 180), (361, 361), (362, 362)]),
            [false, true, false, false]
        );
    }

    #[test]
    fn a_failure_begins_anew() {
        let (start, clock) = (Instant::now(), Timestamp::MIN);
        let mut listening = Listening::new(Duration::ZERO);
        assert!(listening.turn(start, clock));
        let mut listening = Listening::new(SILENCE);
        listening.turn(start, clock);
        listening.interrupted();
        assert!(!listening.turn(start + SILENCE, clock.offset_by(180_000_000)));
    }
}
