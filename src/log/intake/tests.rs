use std::thread;
use std::time::Duration;

use super::*;
use crate::telemetry::Telemetry;

/// Longer than any test takes: who waits so long was not woken.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(1);

fn intake(staging_bytes_max: usize) -> Intake {
    let bounds = IntakeBounds { segment_room: 1 << 20, staging_bytes_max, budget_bytes: 1 << 30 };
    let progress = Progress::new(LogPosition::ZERO, LogPosition::ZERO, Arc::new(Telemetry::new()));
    Intake::new(bounds, LogPosition::ZERO, 1 << 20, Arc::new(progress))
}

fn append(intake: &Intake) {
    drop(intake.append(b"a report", 1).unwrap());
}

/// Waits in a thread while `meanwhile` happens, and says how many records were there at the end and
/// whether the wait was ended before `patience`.
fn gathered(
    intake: &Intake,
    records: usize,
    patience: Duration,
    meanwhile: impl FnOnce(),
) -> (usize, bool) {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let began = Instant::now();
            let mut staging = intake.staging.lock();
            intake.await_crowd(&mut staging, Expected { records, patience });
            assert_eq!(staging.awaited, 0, "nobody is waited for any more");
            (staging.records, began.elapsed() < patience)
        });
        while intake.staging.lock().awaited != records && !waiting.is_finished() {
            thread::yield_now();
        }
        meanwhile();
        waiting.join().unwrap()
    })
}

#[test]
fn a_wait_ends_with_the_last_of_the_crowd() {
    let intake = intake(1 << 20);
    append(&intake);
    let crowd = || (0..3).for_each(|_| append(&intake));
    assert_eq!(gathered(&intake, 4, LONG, crowd), (4, true));
    assert_eq!(gathered(&intake, 4, LONG, || ()), (4, true), "all were there before");
}

#[test]
fn a_wait_ends_when_its_time_is_over() {
    let intake = intake(1 << 20);
    assert_eq!(gathered(&intake, 4, SOON, || append(&intake)), (1, false));
    let mut work = Work::default();
    assert!(intake.take(&mut work));
    assert_eq!((work.records, intake.staging.lock().records), (1, 0));
}

#[test]
fn a_wait_ends_where_nobody_can_come() {
    let full = intake(64);
    append(&full);
    let refused = || assert_eq!(full.append(b"a report", 1).err(), Some(AppendError::StagingFull));
    assert_eq!(gathered(&full, 4, LONG, refused), (1, true));
    let closed = intake(1 << 20);
    assert_eq!(gathered(&closed, 4, LONG, || closed.close()), (0, true));
    let failed = intake(1 << 20);
    append(&failed);
    assert_eq!(gathered(&failed, 4, LONG, || failed.fail(&LogFailed("gone".into()))), (0, true));
}
