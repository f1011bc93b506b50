//! The pauses between the pieces of a batch.

use tokio::time::Instant;

use super::*;
use crate::flush::pace::{Pace, Spread};

/// A log of ten records, and half a second for a batch of it.
fn spread() -> (Log, Spread) {
    let log = open_log();
    (0..10).for_each(|n| log_value(&log, n));
    let spread = Spread { time: Duration::from_millis(500), progress: log.progress() };
    (log, spread)
}

#[test]
fn pieces_are_spread_evenly_over_the_time_and_a_few_over_less() {
    let (_log, spread) = spread();
    let pauses = |spread, pieces| {
        let began = Instant::now();
        let mut pace = Pace::new(spread, position(0), pieces);
        let dues: Vec<_> = (0..3).map_while(|_| pace.next()).collect();
        assert!(dues.first().is_none_or(|first| *first > began));
        dues.windows(2).map(|pair| (pair[1] - pair[0]).as_micros()).collect::<Vec<_>>()
    };
    assert_eq!(pauses(Some(&spread), 200), [2_500; 2]);
    assert_eq!(pauses(Some(&spread), 20), [5_000; 2]);
    assert_eq!(pauses(Some(&spread), 0), [5_000; 2]);
    assert!(pauses(None, 200).is_empty());
}

#[test]
fn a_batch_that_somebody_waits_for_makes_no_pauses() {
    let (log, spread) = spread();
    let mut early = Pace::new(Some(&spread), position(9), 200);
    let mut late = Pace::new(Some(&spread), position(10), 200);
    assert!(early.next().is_some());
    spread.progress.request_flush();
    assert!(early.next().is_none());
    assert!(late.next().is_some(), "it begins behind what is waited for");
    log.close().unwrap();
    assert!(late.next().is_none());
}
