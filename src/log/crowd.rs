//! How long the next sync waits for company.
//!
//! A sync costs the same for one record as for a hundred, so those who come together should share one. A lone
//! client never waits for others: only where many were acknowledged at once, the next sync waits until
//! they are back. See docs/decisions/0014.

use std::time::Duration;

/// From so many records in a sync on, the next one waits.
const FROM_RECORDS: usize = 8;
/// What the first of a crowd needs to come back.
const BASE: Duration = Duration::from_micros(60);
/// What one request takes of a processor, about. So a crowd that comes as fast as it can be served is
/// waited for as a whole; one that comes more slowly is smaller each time, and soon nobody
/// waits.
const PER_RECORD: Duration = Duration::from_micros(16);
/// The longest wait.
const MAX: Duration = Duration::from_millis(2);

/// Who is waited for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// With so many staged records all are there.
    pub(super) records: usize,
    /// No longer than this.
    pub(super) patience: Duration,
}

/// Whom to wait for where `acknowledged` records were synced just now and `staged` ones came meanwhile;
/// `None` where nobody is.
pub(super) fn expected(acknowledged: usize, staged: usize) -> Option<Expected> {
    if acknowledged < FROM_RECORDS {
        return None;
    }
    let records = acknowledged + staged;
    let each = PER_RECORD.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX));
    Some(Expected { records, patience: BASE.saturating_add(each).min(MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_wait_for_nobody_and_a_crowd_waits_for_itself() {
        let check = |acknowledged, staged, expected_us: Option<(usize, u64)>| {
            let expected = expected(acknowledged, staged)
                .map(|expected| (expected.records, expected.patience.as_micros() as u64));
            assert_eq!(expected, expected_us, "{acknowledged} acknowledged, {staged} staged");
        };
        check(0, 0, None);
        check(1, 0, None);
        check(7, 500, None);
        check(8, 0, Some((8, 188)));
        check(32, 32, Some((64, 1084)));
        check(1000, 0, Some((1000, 2000)));
        check(usize::MAX / 2, 1, Some((usize::MAX / 2 + 1, 2000)));
    }

    /// Clients that send by their own clock, as workers do, are not held up for each other's sake.
    #[test]
    fn a_crowd_that_comes_at_half_the_speed_is_soon_waited_for_no_more() {
        let arrives_every = 2 * PER_RECORD;
        let (mut acknowledged, mut syncs) = (100_usize, 0);
        while let Some(expected) = expected(acknowledged, 0) {
            acknowledged = (expected.patience.as_nanos() / arrives_every.as_nanos()) as usize;
            syncs += 1;
            assert!(syncs < 20, "{acknowledged} are still waited for");
        }
        assert!(syncs > 1, "a hundred are not forgotten at once");
    }
}
