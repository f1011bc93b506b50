//! The way from the log into the database, by hand: the batcher without its thread, and the
//! flusher as a task.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::mpsc::error::TrySendError;

use super::task::Task;
use crate::flush::batcher::{Follows, Look};
use crate::flush::{Batch, BatchSettings, Batcher, BatcherError, FlushError, Flusher, Sink};
use crate::log::Readers;
use crate::log::by_hand::Turn;
use crate::model::NodeNumber;

/// The flush of one process.
pub(super) struct Following {
    flusher: Task<Result<(), FlushError>>,
    /// There once the flusher knows where to begin.
    batcher: Rc<RefCell<Option<BatcherThread>>>,
    /// How the batcher ended, if it failed.
    failed: Option<BatcherError>,
    ended: Option<Result<(), FlushError>>,
}

struct BatcherThread {
    batcher: Batcher,
    batch: Option<Batch>,
    /// A batch that waits for its place in the channel.
    full: Option<Batch>,
    last: bool,
}

impl Following {
    pub(super) fn new<S: Sink>(
        mut flusher: Flusher<S>,
        readers: Readers,
        settings: BatchSettings,
        node: NodeNumber,
    ) -> Self {
        let batcher = Rc::<RefCell<Option<BatcherThread>>>::default();
        let place = Rc::clone(&batcher);
        let flusher = Task::new(async move {
            let (batcher, batches, source) = flusher.begin(readers, settings, node).await?;
            *place.borrow_mut() =
                Some(BatcherThread { batcher, batch: None, full: None, last: false });
            flusher.store_all(batches, &source).await
        });
        Self { flusher, batcher, failed: None, ended: None }
    }

    /// The flusher has its turn; how it ended, once it has.
    pub(super) fn flush(&mut self) -> Option<&Result<(), FlushError>> {
        if self.ended.is_none() {
            self.ended = self.flusher.turn();
            // The batcher's error is the reason where it was the batcher that ended.
            if matches!(self.ended, Some(Ok(())))
                && let Some(error) = self.failed.take()
            {
                self.ended = Some(Err(error.into()));
            }
        }
        self.ended.as_ref()
    }

    pub(super) fn ended(&self) -> Option<&Result<(), FlushError>> {
        self.ended.as_ref()
    }

    /// The batcher has its turn. `old` is whether the batch has waited long enough.
    pub(super) fn batch(&mut self, old: bool) -> Turn {
        let mut place = self.batcher.borrow_mut();
        let Some(thread) = place.as_mut() else { return Turn::Idle };
        let turn = thread.turn(old).unwrap_or_else(|error| {
            self.failed = Some(error);
            Turn::Over
        });
        if turn == Turn::Over {
            *place = None;
        }
        turn
    }

    /// Bytes of the batch that is being gathered, or waits.
    pub(super) fn batch_bytes(&self) -> usize {
        let place = self.batcher.borrow();
        let batch =
            place.as_ref().and_then(|thread| thread.full.as_ref().or(thread.batch.as_ref()));
        batch.map_or(0, Batch::bytes)
    }
}

impl BatcherThread {
    fn turn(&mut self, old: bool) -> Result<Turn, BatcherError> {
        if let Some(full) = self.full.take() {
            return Ok(match self.batcher.batches.try_send(full) {
                Ok(()) if self.last => Turn::Over,
                Ok(()) => Turn::Done,
                Err(TrySendError::Full(full)) => {
                    self.full = Some(full);
                    Turn::Idle
                }
                Err(TrySendError::Closed(_)) => Turn::Over,
            });
        }
        let batcher = &mut self.batcher;
        let mut batch = self.batch.take().unwrap_or_else(|| batcher.begin());
        let before = batch.to;
        let follows = match batcher.look(&mut batch)? {
            Look::Send(follows) => follows,
            Look::Wait if old => Follows::More,
            Look::Wait | Look::Empty => {
                let moved = batch.to > before;
                self.batch = Some(batch);
                return Ok(if moved { Turn::Done } else { Turn::Idle });
            }
        };
        self.last = follows == Follows::Nothing;
        if batch.is_empty() {
            return Ok(if self.last { Turn::Over } else { Turn::Done });
        }
        batch.finish();
        self.full = Some(batch);
        Ok(Turn::Done)
    }
}
