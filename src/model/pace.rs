//! How fast something may come: a rate, and how much of it may come at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A rate with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What one of them costs, as a time; 0 where there is no limit.
    cost_ns: u64,
    /// How far ahead of the time one may be.
    burst_ns: u64,
}

/// What was taken of a [`Pace`]: the time at which all of it is paid for (the *generic cell rate
/// algorithm* of ITU-T I.371). One number, so that it is taken from without a lock. A new one has
/// the whole burst.
///
/// Times are nanoseconds of one clock, whose zero is the caller's choice.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Pace {
    /// Without a limit.
    pub const ENDLESS: Self = Self { cost_ns: 0, burst_ns: 0 };

    /// `count` in every `per`, of which `burst` may come at once.
    pub fn new(count: u64, per: Duration, burst: u64) -> Self {
        let per_ns = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let cost_ns = per_ns / count.max(1);
        Self { cost_ns, burst_ns: cost_ns.saturating_mul(burst) }
    }

    fn cost_ns(self, count: u64) -> u64 {
        self.cost_ns.saturating_mul(count)
    }
}

impl Meter {
    /// Takes `count` if there is room for all of them. Who only ever takes is never further ahead
    /// than the burst, so a meter that is tells of a clock that was set back, and starts afresh.
    pub fn take(&self, count: u64, pace: Pace, now_ns: u64) -> bool {
        let taken = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
            end_of_taking(paid, count, pace, now_ns)
        });
        taken.is_ok()
    }

    /// Whether [`Meter::take`] would take `count`.
    pub fn has_room(&self, count: u64, pace: Pace, now_ns: u64) -> bool {
        end_of_taking(self.0.load(Ordering::Relaxed), count, pace, now_ns).is_some()
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&self, count: u64, pace: Pace) {
        let less = |paid: u64| paid.saturating_sub(pace.cost_ns(count));
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Takes `count` whether there is room or not: what is too much is a debt, and nothing has room
    /// until it is paid.
    pub fn charge(&self, count: u64, pace: Pace, now_ns: u64) {
        let more = |paid: u64| paid.max(now_ns).saturating_add(pace.cost_ns(count));
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// How long it takes until there is room for one, debts paid; zero when there is.
    pub fn wait(&self, pace: Pace, now_ns: u64) -> Duration {
        let ahead = self.0.load(Ordering::Relaxed).saturating_sub(now_ns);
        let over = ahead.saturating_add(pace.cost_ns).saturating_sub(pace.burst_ns);
        Duration::from_nanos(over)
    }
}

/// What is paid for once `count` is taken, if there is room.
fn end_of_taking(paid: u64, count: u64, pace: Pace, now_ns: u64) -> Option<u64> {
    let set_back = paid > now_ns.saturating_add(pace.burst_ns);
    let begin = if set_back { now_ns } else { paid.max(now_ns) };
    let end = begin.saturating_add(pace.cost_ns(count));
    (end - now_ns <= pace.burst_ns).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_burst_may_come_at_once_and_then_the_rate() {
        let pace = Pace::new(60, Duration::from_secs(60), 5);
        let meter = Meter::default();
        let now = 1000 * SECOND_NS;
        assert!(!meter.take(6, pace, now), "all or nothing");
        assert!(meter.take(5, pace, now) && !meter.take(1, pace, now));
        assert_eq!(meter.wait(pace, now), Duration::from_secs(1));
        assert!(meter.take(1, pace, now + SECOND_NS) && !meter.take(1, pace, now + SECOND_NS));
        meter.give_back(2, pace);
        assert!(meter.take(2, pace, now + SECOND_NS) && !meter.take(1, pace, now + SECOND_NS));
        let later = now + 3600 * SECOND_NS;
        assert!(meter.take(5, pace, later) && !meter.take(1, pace, later), "no more than a burst");
    }

    #[test]
    fn a_debt_is_paid_before_anything_has_room() {
        let pace = Pace::new(10, Duration::from_secs(1), 20);
        let meter = Meter::default();
        assert_eq!(meter.wait(pace, 0), Duration::ZERO);
        meter.charge(120, pace, 0);
        assert_eq!(meter.wait(pace, 0), Duration::from_millis(10_100));
        assert_eq!(meter.wait(pace, 10 * SECOND_NS), Duration::from_millis(100));
        assert_eq!(meter.wait(pace, 11 * SECOND_NS), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_set_back_starts_afresh() {
        let pace = Pace::new(1, Duration::from_secs(1), 3);
        let meter = Meter::default();
        assert!(meter.take(3, pace, 1000 * SECOND_NS));
        assert!(meter.has_room(3, pace, 10 * SECOND_NS));
        assert!(meter.take(3, pace, 10 * SECOND_NS) && !meter.take(1, pace, 10 * SECOND_NS));
    }

    #[test]
    fn extremes_neither_panic_nor_stop_anybody() {
        let meter = Meter::default();
        let endless = Pace::ENDLESS;
        assert!(meter.take(u64::MAX, endless, 5) && meter.take(u64::MAX, endless, u64::MAX));
        let slow = Pace::new(1, Duration::MAX, u64::MAX);
        meter.charge(u64::MAX, slow, u64::MAX);
        assert!(meter.wait(slow, u64::MAX) <= Duration::from_nanos(u64::MAX));
        assert!(Meter::default().take(1, Pace::new(0, Duration::from_secs(1), 1), 0));
    }

    proptest! {
        /// A bucket of credit in whole nanoseconds, as a person would write it. One of both only
        /// takes what it has, the other may owe.
        #[test]
        fn a_meter_is_a_bucket(
            count in 1_u64..50,
            burst in 1_u64..50,
            steps in prop::collection::vec((0_u64..3 * SECOND_NS, 0_u64..60), 1..60),
        ) {
            let pace = Pace::new(count, Duration::from_secs(1), burst);
            let cost = i128::from(SECOND_NS / count);
            let full = cost * i128::from(burst);
            let (taker, debtor) = (Meter::default(), Meter::default());
            let (mut now, mut credit, mut balance) = (0, full, full);
            for (passed, wanted) in steps {
                now += passed;
                credit = (credit + i128::from(passed)).min(full);
                balance = (balance + i128::from(passed)).min(full);
                let price = i128::from(wanted) * cost;
                prop_assert_eq!(taker.has_room(wanted, pace, now), credit >= price);
                prop_assert_eq!(taker.take(wanted, pace, now), credit >= price);
                credit -= if credit >= price { price } else { 0 };
                prop_assert_eq!(taker.wait(pace, now).is_zero(), credit >= cost);
                debtor.charge(wanted, pace, now);
                balance -= price;
                let owed = u64::try_from((cost - balance).max(0)).unwrap();
                prop_assert_eq!(debtor.wait(pace, now), Duration::from_nanos(owed));
            }
        }
    }
}
