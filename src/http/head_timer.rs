//! The clock by which hyper bounds the wait for a request's head.
//!
//! hyper starts a timer before each head and ends it when the head is there. Thousands of times a
//! second that would enter a timer into the runtime's wheel and take it out again, under locks
//! that all connections share. Here a deadline is a number that the connection's own task
//! compares, and one timer per connection goes off now and then to have it compared.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// No deadline is set.
const NONE: u64 = u64::MAX;

/// The timer of one connection, for hyper and for the connection's task.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    /// Microseconds after `epoch` at which the wait in progress is over, or [`NONE`].
    deadline_us: AtomicU64,
}

impl HeadTimer {
    pub(super) fn new() -> Self {
        let deadline_us = AtomicU64::new(NONE);
        Self { shared: Arc::new(Shared { epoch: Instant::now(), deadline_us }) }
    }

    /// Resolves when a deadline has come. Then hyper is to be polled by the same task, which finds
    /// that it is too late; and it never resolves early.
    ///
    /// Every deadline is at least `shortest` after it was set, so a look at such intervals finds
    /// each of them in time.
    pub(super) async fn due(&self, shortest: Duration) {
        loop {
            let deadline_us = self.shared.deadline_us.load(Ordering::Relaxed);
            let wake = if deadline_us == NONE {
                Instant::now() + shortest
            } else {
                self.shared.epoch + Duration::from_micros(deadline_us)
            };
            if wake <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(wake.into()).await;
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let after = deadline.saturating_duration_since(self.shared.epoch);
        let deadline_us = u64::try_from(after.as_micros()).unwrap_or(NONE - 1);
        self.shared.deadline_us.store(deadline_us, Ordering::Relaxed);
        Box::pin(Wait { shared: Arc::clone(&self.shared), deadline })
    }
}

/// A wait of hyper's; there is one at a time.
struct Wait {
    shared: Arc<Shared>,
    deadline: Instant,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    /// Wakes nobody by itself: [`HeadTimer::due`] wakes the task, which polls this again.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.deadline { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.deadline_us.store(NONE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_millis(20);

    async fn is_due(timer: &HeadTimer) -> bool {
        tokio::select! {
            biased;
            () = timer.due(KEEP_ALIVE) => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_deadline_comes_in_time_and_only_while_somebody_waits() {
        let timer = HeadTimer::new();
        assert!(!is_due(&timer).await, "nobody waits");
        let mut wait = timer.sleep(KEEP_ALIVE);
        let began = Instant::now();
        assert!(!is_due(&timer).await, "it is too early");
        timer.due(KEEP_ALIVE).await;
        assert!(began.elapsed() >= KEEP_ALIVE / 2);
        std::future::poll_fn(|context| wait.as_mut().poll(context)).await;
        drop(wait);
        assert!(!is_due(&timer).await, "the wait is over");
    }

    #[tokio::test]
    async fn a_wait_that_began_later_is_seen_at_its_own_deadline() {
        let timer = HeadTimer::new();
        let due = timer.due(KEEP_ALIVE);
        tokio::pin!(due);
        // The first look happens while no head is waited for.
        assert!((&mut due).now_or_never().is_none());
        let began = Instant::now();
        let _wait = timer.sleep(3 * KEEP_ALIVE);
        due.await;
        assert!(began.elapsed() >= 3 * KEEP_ALIVE);
    }
}
