//! How far the log is: appended, synced, flushed. Whoever follows it waits here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::LogPosition;
use super::drain::{Drain, DrainMeter};
use crate::telemetry::Telemetry;

/// The three watermarks, each of which only rises.
pub struct Progress {
    appended: AtomicU64,
    synced: AtomicU64,
    flushed: watch::Sender<LogPosition>,
    /// What must be flushed without delay ends here.
    wanted: AtomicU64,
    closed: AtomicBool,
    drain: Mutex<DrainMeter>,
    /// What must be flushed before the oldest segment goes.
    release_at: AtomicU64,
    /// The lowest position that a follower waits to see passed, or [`NOBODY`]. It lets the log's
    /// thread leave followers alone that want more than it has, thousands of times a second.
    awaited: AtomicU64,
    /// Held between looking and waiting, so that nothing happens unnoticed in between.
    followers: Mutex<()>,
    moved: Condvar,
    /// Signalled for the preparer: segments may be free, or wanted.
    upkeep: Mutex<Upkeep>,
    upkeep_wanted: Condvar,
    telemetry: Arc<Telemetry>,
}

/// No position is ever passed by this one.
const NOBODY: u64 = u64::MAX;

#[derive(Default)]
struct Upkeep {
    wanted: bool,
}

impl Progress {
    pub(super) fn new(first: LogPosition, end: LogPosition, telemetry: Arc<Telemetry>) -> Self {
        Self {
            appended: AtomicU64::new(end.get()),
            synced: AtomicU64::new(end.get()),
            flushed: watch::Sender::new(first),
            wanted: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            drain: Mutex::new(DrainMeter::new(Instant::now())),
            release_at: AtomicU64::new(first.get()),
            awaited: AtomicU64::new(NOBODY),
            followers: Mutex::new(()),
            moved: Condvar::new(),
            upkeep: Mutex::default(),
            upkeep_wanted: Condvar::new(),
            telemetry,
        }
    }

    /// The position that the next record will have.
    pub fn appended(&self) -> LogPosition {
        LogPosition::new(self.appended.load(Ordering::Acquire))
    }

    /// Every row below this position is on stable storage.
    pub fn synced(&self) -> LogPosition {
        LogPosition::new(self.synced.load(Ordering::Acquire))
    }

    /// Every row below this position is committed in PostgreSQL, as far as was told; at first
    /// the oldest position retained.
    pub fn flushed(&self) -> LogPosition {
        *self.flushed.borrow()
    }

    /// Says that every row below `position` is committed in PostgreSQL, so that segments below
    /// it may be deleted. A position below an earlier one changes nothing.
    pub fn set_flushed(&self, position: LogPosition) {
        let risen = self.flushed.send_if_modified(|flushed| {
            let risen = position > *flushed;
            *flushed = position.max(*flushed);
            risen
        });
        if risen {
            self.drain.lock().mark(Instant::now(), position);
        }
        self.show_backlog();
        self.want_upkeep();
    }

    /// How fast the log gets room again. It has when the oldest segment goes.
    pub fn drain(&self) -> Drain {
        let wanted = LogPosition::new(self.release_at.load(Ordering::Relaxed));
        self.drain.lock().drain(Instant::now(), wanted)
    }

    /// Says what must be flushed before the oldest segment goes.
    pub(super) fn set_release_at(&self, position: LogPosition) {
        self.release_at.store(position.get(), Ordering::Relaxed);
    }

    /// Asks whoever follows the log to flush now what is synced.
    pub fn request_flush(&self) {
        self.wanted.fetch_max(self.synced().get(), Ordering::AcqRel);
        self.notify_followers();
    }

    /// Whether anything from `position` on is to be flushed without delay: a flush of it was requested, or
    /// nothing will follow.
    pub fn is_wanted(&self, position: LogPosition) -> bool {
        self.wanted.load(Ordering::Acquire) > position.get() || self.is_closed()
    }

    /// Blocks until something above `position` is synced, something from `from` on is wanted, the log is
    /// closed or `timeout` is over. Says whether something above `position` is synced.
    pub fn wait_synced_beyond(
        &self,
        position: LogPosition,
        from: LogPosition,
        timeout: Duration,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        let mut followers = self.followers.lock();
        // Every wake-up forgets who waits, so each round says it again, and says it before it
        // looks: either this sees what was synced, or the log's thread sees who waits.
        while self.awaits(position) && !self.is_wanted(from) {
            if self.moved.wait_until(&mut followers, deadline).timed_out() {
                break;
            }
        }
        self.synced() > position
    }

    /// Says that a follower waits for something above `position`, unless it is there.
    fn awaits(&self, position: LogPosition) -> bool {
        self.awaited.fetch_min(position.get(), Ordering::SeqCst);
        self.synced.load(Ordering::SeqCst) <= position.get()
    }

    /// Returns once every row below `position` is in PostgreSQL. It may never come to that:
    /// bound the wait. Cancellation-safe.
    pub async fn wait_flushed(&self, position: LogPosition) {
        let mut flushed = self.flushed.subscribe();
        // The sender is part of `self`, so the channel cannot close while this waits.
        let reached = flushed.wait_for(|flushed| *flushed >= position).await;
        debug_assert!(reached.is_ok());
    }

    /// Whether nothing further will be synced: the log was closed and has synced what was staged,
    /// or it failed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn set_appended(&self, position: LogPosition) {
        self.appended.store(position.get(), Ordering::Release);
    }

    pub(super) fn set_synced(&self, position: LogPosition) {
        self.synced.store(position.get(), Ordering::SeqCst);
        self.show_backlog();
        if position.get() > self.awaited.load(Ordering::SeqCst) {
            self.notify_followers();
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify_followers();
        self.want_upkeep();
    }

    /// Wakes the preparer.
    pub(super) fn want_upkeep(&self) {
        self.upkeep.lock().wanted = true;
        self.upkeep_wanted.notify_one();
    }

    /// Waits until upkeep is wanted, or for `timeout` where there is one. Says whether it is.
    pub(super) fn wait_upkeep(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut upkeep = self.upkeep.lock();
        while !upkeep.wanted {
            match deadline {
                None => self.upkeep_wanted.wait(&mut upkeep),
                Some(deadline) => {
                    if self.upkeep_wanted.wait_until(&mut upkeep, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        std::mem::take(&mut upkeep.wanted)
    }

    fn notify_followers(&self) {
        // Whoever looked before the change holds the lock until it waits.
        let followers = self.followers.lock();
        self.awaited.store(NOBODY, Ordering::SeqCst);
        drop(followers);
        self.moved.notify_all();
    }

    fn show_backlog(&self) {
        let rows = self.synced().get().saturating_sub(self.flushed().get());
        self.telemetry.log.backlog_rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("appended", &self.appended())
            .field("synced", &self.synced())
            .field("flushed", &self.flushed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress::new(LogPosition::ZERO, LogPosition::ZERO, Arc::new(Telemetry::new()))
    }

    const LONG: Duration = Duration::from_secs(30);
    /// Nothing from there on is ever wanted.
    const NOTHING: LogPosition = LogPosition::new(u64::MAX);

    #[test]
    fn a_follower_is_woken_by_a_sync_a_request_and_the_close() {
        let progress = progress();
        let from = LogPosition::ZERO;
        let all = LogPosition::new(1);
        assert!(!progress.wait_synced_beyond(from, from, Duration::ZERO));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| progress.wait_synced_beyond(from, from, LONG));
            progress.set_synced(all);
            assert!(waiting.join().unwrap());
            assert!(!progress.is_wanted(from));
            let waiting = scope.spawn(|| progress.wait_synced_beyond(all, from, LONG));
            progress.request_flush();
            assert!(!waiting.join().unwrap());
            assert!(progress.is_wanted(from) && !progress.is_wanted(all));
            let waiting = scope.spawn(|| progress.wait_synced_beyond(all, all, LONG));
            progress.close();
            assert!(progress.is_wanted(all));
            assert!(!waiting.join().unwrap());
        });
    }

    #[test]
    fn a_follower_that_wants_more_is_left_alone() {
        let progress = progress();
        let awaited = || progress.awaited.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let far =
                scope.spawn(|| progress.wait_synced_beyond(LogPosition::new(9), NOTHING, LONG));
            wait_until(|| awaited() == 9);
            progress.set_synced(LogPosition::new(9));
            assert_eq!(awaited(), 9, "nobody was notified, or nobody would be awaited now");
            let near =
                scope.spawn(|| progress.wait_synced_beyond(LogPosition::new(9), NOTHING, LONG));
            progress.set_synced(LogPosition::new(10));
            assert!(near.join().unwrap() && far.join().unwrap());
        });
        // The one who comes last may have said so and found at once what it wanted.
        progress.set_synced(LogPosition::new(11));
        assert_eq!(awaited(), NOBODY);
    }

    #[test]
    fn no_wake_up_is_missed_between_looking_and_waiting() {
        const END: u64 = 20_000;
        let progress = progress();
        std::thread::scope(|scope| {
            for step in [1, 2, 7, 100] {
                let progress = &progress;
                scope.spawn(move || {
                    let mut at = progress.synced().get();
                    while at < END {
                        let target = LogPosition::new((at + step).min(END) - 1);
                        assert!(
                            progress.wait_synced_beyond(target, NOTHING, LONG),
                            "missed {target}"
                        );
                        at = progress.synced().get();
                    }
                });
            }
            for position in 1..=END {
                progress.set_synced(LogPosition::new(position));
            }
        });
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + LONG;
        while !condition() {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn waiting_for_a_flush_ends_when_it_is_reached_and_flushed_never_falls() {
        let progress = Arc::new(progress());
        let waiting = tokio::spawn({
            let progress = Arc::clone(&progress);
            async move { progress.wait_flushed(LogPosition::new(5)).await }
        });
        progress.set_flushed(LogPosition::new(4));
        progress.set_flushed(LogPosition::new(7));
        progress.set_flushed(LogPosition::new(6));
        waiting.await.unwrap();
        assert_eq!(progress.flushed(), LogPosition::new(7));
    }
}
