//! How long the next sync waits for company.
//!
//! A sync costs the same for one record as for a hundred, so those who come together should share one. The
//! next sync waits until as many are there as should be: those who were just acknowledged, and those who
//! came meanwhile. A lone client never waits for others. See docs/decisions/0014.

use std::time::Duration;

/// How much longer than a sync the disk and the log's thread rest after it: many who come each at
/// a time of its own would otherwise have a sync each, one after the other, on a disk that is fast.
const REST: u32 = 3;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(1);
/// From so many records in a sync on, they are a crowd.
const CROWD_RECORDS: usize = 8;
/// What the first of a crowd needs to come back.
const BASE: Duration = Duration::from_micros(60);
/// What one request takes of a processor, about. So a crowd that comes as fast as it can be served is
/// waited for as a whole; one that comes more slowly is smaller each time, and soon nobody
/// waits.
const PER_RECORD: Duration = Duration::from_micros(16);
/// The longest wait for a crowd.
const MAX: Duration = Duration::from_millis(2);

/// Who is waited for, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// With so many staged records all are there.
    pub(super) records: usize,
    /// No longer than this.
    pub(super) patience: Duration,
}

/// A sync that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Synced {
    /// The records that it covered.
    pub(super) records: usize,
    /// How long it took.
    pub(super) took: Duration,
}

/// Whom to wait for after `synced`, where `staged` records came meanwhile.
pub(super) fn expected(synced: Synced, staged: usize) -> Expected {
    let records = synced.records + staged;
    let rest = synced.took.saturating_mul(REST).min(REST_MAX);
    let patience = if synced.records < CROWD_RECORDS {
        rest
    } else {
        let each = PER_RECORD.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX));
        BASE.saturating_add(each).min(MAX).max(rest)
    };
    Expected { records, patience }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(records: usize, took_us: u64, staged: usize) -> (usize, u64) {
        let synced = Synced { records, took: Duration::from_micros(took_us) };
        let Expected { records, patience } = expected(synced, staged);
        (records, patience.as_micros() as u64)
    }

    #[test]
    fn a_crowd_is_waited_for_as_a_whole_and_a_few_for_as_long_as_the_rest_takes() {
        let check = |records, took_us, staged, expected| {
            assert_eq!(after(records, took_us, staged), expected, "{records}, {took_us}, {staged}");
        };
        check(0, 0, 0, (0, 0));
        check(1, 100, 0, (1, 300));
        check(1, 100, 2, (3, 300));
        check(7, 100, 500, (507, 300));
        check(7, 5_000, 0, (7, 1_000));
        check(8, 10, 0, (8, 188));
        check(8, 100, 0, (8, 300));
        check(32, 100, 32, (64, 1_084));
        check(1000, 100, 0, (1000, 2_000));
        check(usize::MAX / 2, 100, 1, (usize::MAX / 2 + 1, 2_000));
    }

    /// Clients that send by their own clock, as workers do, are not held up for each other's sake longer
    /// than the rest takes.
    #[test]
    fn a_crowd_that_comes_at_half_the_speed_is_soon_waited_for_no_more() {
        let (arrives_every_us, took_us) = (2 * PER_RECORD.as_micros() as u64, 50);
        let (mut records, mut syncs) = (100, 0);
        while records >= CROWD_RECORDS {
            records = (after(records, took_us, 0).1 / arrives_every_us) as usize;
            syncs += 1;
            assert!(syncs < 20, "{records} are still waited for");
        }
        assert!(syncs > 1, "a hundred are not forgotten at once");
        assert_eq!(after(records, took_us, 0).1, 150);
    }

    /// One sync after the other would be one for each.
    #[test]
    fn those_who_come_one_by_one_share_more_and_more_syncs_until_the_disk_rests() {
        let (arrives_every_us, took_us) = (60, 100);
        let mut records = 1;
        for _ in 0..20 {
            let came = (took_us / arrives_every_us) as usize;
            let (expected, patience_us) = after(records, took_us, came);
            records = expected.min(came + (patience_us / arrives_every_us) as usize);
        }
        assert_eq!(records, 6, "in 400 us one comes every 60");
    }
}
