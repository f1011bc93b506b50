//! What the records of one sync have in common: they are all synced, or none is acknowledged.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use parking_lot::Mutex;

use super::LogPosition;
use super::error::LogFailed;

/// The outcome of a sync and those who wait for it.
///
/// One allocation serves all records of a sync; a record adds a reference, and a waker once its
/// ticket is polled.
#[derive(Default)]
pub(super) struct Batch {
    outcome: OnceLock<Result<(), LogFailed>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Batch {
    /// Sets the outcome, the first one counts, and wakes everybody.
    pub(super) fn settle(&self, outcome: Result<(), LogFailed>) {
        let wakers = {
            let mut wakers = self.wakers.lock();
            // A failure may reach a batch twice, from the writer and from whoever cleans up.
            self.outcome.get_or_init(|| outcome);
            std::mem::take(&mut *wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }
}

/// The claim that a record will be synced; resolves when it is, or when the log failed.
///
/// Dropping a ticket does not take the record back.
#[must_use = "a record is durable only when its ticket says so"]
pub struct Ticket {
    position: LogPosition,
    /// `None` when everything was synced before the ticket was made.
    batch: Option<Arc<Batch>>,
    /// Where in the batch's list this ticket's waker stands.
    seat: Option<usize>,
}

impl Ticket {
    pub(super) fn new(position: LogPosition, batch: Option<Arc<Batch>>) -> Self {
        Self { position, batch, seat: None }
    }

    /// The position of the record's first row; of a barrier, the position that it waits for.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Blocks the thread until the ticket resolves.
    pub fn wait_blocking(mut self) -> Result<(), LogFailed> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(outcome) = Pin::new(&mut self).poll(&mut context) {
                return outcome;
            }
            std::thread::park();
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), LogFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(batch) = &this.batch else { return Poll::Ready(Ok(())) };
        if let Some(outcome) = batch.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let mut wakers = batch.wakers.lock();
        // Between the look above and the lock the batch may have been settled.
        if let Some(outcome) = batch.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        match this.seat {
            Some(seat) => wakers[seat].clone_from(context.waker()),
            None => {
                this.seat = Some(wakers.len());
                wakers.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll(ticket: &mut Ticket, wakes: &Arc<Wakes>) -> Poll<Result<(), LogFailed>> {
        Pin::new(ticket).poll(&mut Context::from_waker(&Waker::from(Arc::clone(wakes))))
    }

    #[test]
    fn one_settlement_wakes_each_ticket_once_at_its_last_waker() {
        let batch = Arc::new(Batch::default());
        let mut tickets: Vec<_> =
            (0..3).map(|_| Ticket::new(LogPosition::ZERO, Some(Arc::clone(&batch)))).collect();
        let (early, late) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        for ticket in &mut tickets {
            assert!(poll(ticket, &early).is_pending());
        }
        assert!(poll(&mut tickets[1], &late).is_pending());
        drop(tickets.pop());
        batch.settle(Ok(()));
        assert_eq!((early.0.load(Ordering::SeqCst), late.0.load(Ordering::SeqCst)), (2, 1));
        for ticket in &mut tickets {
            assert_eq!(poll(ticket, &early), Poll::Ready(Ok(())));
        }
    }

    #[test]
    fn the_first_outcome_counts() {
        let batch = Arc::new(Batch::default());
        let failed = LogFailed("gone".into());
        batch.settle(Err(failed.clone()));
        batch.settle(Ok(()));
        let ticket = Ticket::new(LogPosition::ZERO, Some(Arc::clone(&batch)));
        assert_eq!(ticket.wait_blocking(), Err(failed));
        assert_eq!(Ticket::new(LogPosition::ZERO, None).wait_blocking(), Ok(()));
    }
}
