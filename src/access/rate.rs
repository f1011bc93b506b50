//! How many samples a token may send.

use std::fmt;
use std::time::{Duration, Instant};

use crate::model::{Meter, Pace};

/// The largest rate.
pub const SAMPLES_PER_SECOND_MAX: u32 = 1_000_000_000;
/// Its word in a line of the file, before the number.
pub(super) const WORD: &str = "samples-per-second=";
/// So many seconds' worth may come at once: most workers report once a minute, and those of one
/// token may do so together.
const BURST_S: u64 = 60;

/// A token's rate, and what was sent of it on all connections together. Reports are taken while
/// there is room for a sample, each with all that it has; what is too much is paid for by waiting.
pub struct SampleRate {
    per_second: u32,
    pace: Pace,
    meter: Meter,
    /// Durations are measured by it, so that a clock that is set changes nothing.
    began: Instant,
}

/// A number that is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("samples per second are a whole number from 1 to {SAMPLES_PER_SECOND_MAX}")]
pub struct InvalidRate;

/// The token has no samples left for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this token may send {per_second} samples a second, and has sent more; report less often or \
     with fewer metrics, or have the server's operator raise its samples-per-second"
)]
pub struct OverRate {
    /// What it may send.
    pub per_second: u32,
    /// How long it takes until something is taken.
    pub wait: Duration,
}

impl SampleRate {
    /// So many samples a second.
    ///
    /// # Errors
    /// Where the number is out of range.
    pub fn new(per_second: u32) -> Result<Self, InvalidRate> {
        if !(1..=SAMPLES_PER_SECOND_MAX).contains(&per_second) {
            return Err(InvalidRate);
        }
        let count = u64::from(per_second);
        let pace = Pace::new(count, Duration::from_secs(1), count * BURST_S);
        Ok(Self { per_second, pace, meter: Meter::default(), began: Instant::now() })
    }

    /// The rate of a number in digits.
    pub(super) fn parse(digits: &str) -> Result<Self, InvalidRate> {
        // A sign is none of them.
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| plain);
        Self::new(number.ok_or(InvalidRate)?)
    }

    /// Samples a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Whether something may be sent now.
    pub(super) fn admit(&self) -> Result<(), OverRate> {
        let wait = self.meter.wait(self.pace, self.now_ns());
        if wait.is_zero() { Ok(()) } else { Err(OverRate { per_second: self.per_second, wait }) }
    }

    /// Notes that so many samples were sent.
    pub(super) fn charge(&self, samples: usize) {
        self.meter.charge(samples as u64, self.pace, self.now_ns());
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for SampleRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SampleRate({})", self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_whole_number_within_bounds() {
        for digits in ["1", "007", "1000000000"] {
            let rate = SampleRate::parse(digits).unwrap();
            assert_eq!(rate.per_second(), digits.parse::<u32>().unwrap());
        }
        for wrong in ["", "0", "-1", "+1", "1.5", "1e3", "1_000", "1000000001", "4294967297"] {
            assert_eq!(SampleRate::parse(wrong).unwrap_err(), InvalidRate, "{wrong}");
        }
    }

    #[test]
    fn a_minute_may_come_at_once_and_what_is_more_is_waited_for() {
        let rate = SampleRate::new(10).unwrap();
        rate.charge(599);
        assert_eq!(rate.admit(), Ok(()));
        rate.charge(1_000_000);
        let over = rate.admit().unwrap_err();
        assert_eq!(over.per_second, 10);
        // 999,999 too many, and one that is to be sent; the test itself takes less than a minute.
        let waits = Duration::from_secs(99_940)..=Duration::from_secs(100_000);
        assert!(waits.contains(&over.wait), "{:?}", over.wait);
    }
}
