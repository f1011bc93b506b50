//! How long to wait before the next attempt.

use std::time::Duration;

use fastrand::Rng;

/// The longest pause before the second attempt.
const FIRST: Duration = Duration::from_millis(500);
/// What a server may ask for at most; its own `Retry-After` ends at 300 s.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Pauses that grow: each is drawn from zero to a bound that doubles (*full jitter*), so that
/// a fleet that was refused together does not come back together.
#[derive(Debug)]
pub struct Backoff {
    max: Duration,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    /// With pauses of at most `max`, and the luck of `seed`.
    pub fn new(max: Duration, seed: u64) -> Self {
        Self { max, failures: 0, rng: Rng::with_seed(seed) }
    }

    /// Begins anew, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure: never shorter than the server asks for, and up to half of
    /// that longer.
    pub fn pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        match retry_after.map(|after| after.min(RETRY_AFTER_MAX)) {
            Some(after) => after + self.up_to((after / 2).max(FIRST)),
            None => self.up_to(bound),
        }
    }

    fn up_to(&mut self, bound: Duration) -> Duration {
        bound.mul_f64(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_bound_and_begin_anew() {
        let max = Duration::from_secs(30);
        let longest = |failures: u32| {
            let pauses = (0..200).map(|seed| {
                let mut backoff = Backoff::new(max, seed);
                for _ in 0..failures {
                    backoff.pause(None);
                }
                backoff.pause(None)
            });
            pauses.max().unwrap()
        };
        for (failures, bound) in [(0, 0.5), (1, 1.0), (3, 4.0), (6, 30.0), (1000, 30.0)] {
            let longest = longest(failures).as_secs_f64();
            assert!(longest <= bound && longest > bound * 0.9, "{failures}: {longest}");
        }
        let mut backoff = Backoff::new(max, 1);
        for _ in 0..10 {
            backoff.pause(None);
        }
        backoff.reset();
        assert!(backoff.pause(None) <= FIRST);
    }

    #[test]
    fn a_server_that_names_a_time_is_obeyed() {
        let mut backoff = Backoff::new(Duration::from_secs(1), 7);
        for asked in [1, 5, 300] {
            let asked = Duration::from_secs(asked);
            for _ in 0..100 {
                let pause = backoff.pause(Some(asked));
                assert!(pause >= asked && pause <= asked + (asked / 2).max(FIRST), "{pause:?}");
            }
        }
        assert!(backoff.pause(Some(Duration::MAX)) <= RETRY_AFTER_MAX * 2);
    }
}
