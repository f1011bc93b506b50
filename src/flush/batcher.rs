//! Follows the log and cuts it into batches: full ones under load, small ones when it is quiet
//! or when a query waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Batch;
use super::batch::UnreadableRecord;
use super::buffers::Buffers;
use crate::log::{Progress, ReadError, Reader};
use crate::model::{LogPlace, NodeNumber, PartitionInterval};

/// When a batch is full, and when it is old enough.
#[derive(Clone, Copy, Debug)]
pub struct BatchSettings {
    /// Rows after which a batch is full.
    pub rows_max: u64,
    /// Bytes of records after which a batch is full; rows of many series reach this first. The
    /// record that reaches it is part of the batch.
    pub bytes_max: usize,
    /// How long the first row of a batch may wait for further ones.
    pub age_max: Duration,
    /// The interval of partitions.
    pub interval: PartitionInterval,
}

/// Why the batcher cannot go on. Nothing is lost: the log keeps what is not flushed.
#[derive(Debug, thiserror::Error)]
pub enum BatcherError {
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record makes no sense.
    #[error(transparent)]
    Unreadable(#[from] UnreadableRecord),
}

/// After so many rows the batcher looks into the log before the batch is due. What it does with a batch is
/// then spread over the batch's time instead of keeping a processor from others at its end, and the rows are
/// still in the processor's cache.
const ROWS_AT_ONCE: u64 = 4096;

/// How long the batcher sleeps at most while the log is quiet.
const QUIET_WAIT: Duration = Duration::from_secs(60);

/// The batcher. Runs on a thread of its own, for it reads files.
pub struct Batcher {
    reader: Reader,
    /// Where the next batch begins.
    at: LogPlace,
    progress: Arc<Progress>,
    settings: BatchSettings,
    node: NodeNumber,
    pub(super) batches: mpsc::Sender<Batch>,
    buffers: Arc<Buffers>,
}

/// Whether anything follows a batch.
#[derive(PartialEq, Eq)]
pub(super) enum Follows {
    More,
    Nothing,
}

/// What a look into the log came to.
pub(super) enum Look {
    /// The batch is to be sent.
    Send(Follows),
    /// It is to be sent once it is old.
    Wait,
    /// There is nothing in it.
    Empty,
}

impl Batcher {
    /// A batcher that goes on where `reader` stands. The channel's capacity is how many batches
    /// may wait while one is being committed.
    pub fn new(
        reader: Reader,
        progress: Arc<Progress>,
        settings: BatchSettings,
        node: NodeNumber,
        batches: mpsc::Sender<Batch>,
    ) -> Self {
        let at = reader.start();
        Self { reader, at, progress, settings, node, batches, buffers: Arc::default() }
    }

    /// Cuts batches until the log is closed and read to its end, or nobody takes them any more.
    pub fn run(mut self) -> Result<(), BatcherError> {
        loop {
            let mut batch = self.begin();
            let follows = self.gather(&mut batch)?;
            if !batch.is_empty() {
                batch.finish();
                if self.batches.blocking_send(batch).is_err() {
                    return Ok(());
                }
            }
            if follows == Follows::Nothing {
                return Ok(());
            }
        }
    }

    /// A batch of what comes next.
    pub(super) fn begin(&self) -> Batch {
        Batch::at(self.at, self.node, self.settings.interval).within(&self.buffers)
    }

    /// Gathers until the batch is full, old or wanted, or the log is at its end.
    fn gather(&mut self, batch: &mut Batch) -> Result<Follows, BatcherError> {
        let mut due = None;
        loop {
            match self.look(batch)? {
                Look::Send(follows) => return Ok(follows),
                Look::Wait => {
                    let now = Instant::now();
                    let due = *due.get_or_insert(now + self.settings.age_max);
                    if due <= now {
                        batch.spread(self.settings.age_max / 2, &self.progress);
                        return Ok(Follows::More);
                    }
                    let last_row = batch.from.advance(self.settings.rows_max.saturating_sub(1));
                    let enough = last_row.min(batch.to.advance(ROWS_AT_ONCE));
                    self.progress.wait_synced_beyond(enough, batch.from, due - now);
                }
                Look::Empty => {
                    self.progress.wait_synced_beyond(batch.to, batch.to, QUIET_WAIT);
                }
            }
        }
    }

    /// Adds to the batch what is synced by now, without waiting.
    pub(super) fn look(&mut self, batch: &mut Batch) -> Result<Look, BatcherError> {
        // Asked before reading, so that the end is not taken for one too early.
        let closed = self.progress.is_closed();
        if self.read_until_full(batch)? {
            return Ok(Look::Send(Follows::More));
        }
        Ok(match batch.is_empty() {
            _ if closed => Look::Send(Follows::Nothing),
            true => Look::Empty,
            false if self.progress.is_wanted(batch.from) => Look::Send(Follows::More),
            false => Look::Wait,
        })
    }

    /// Reads what is synced into the batch; whether that filled it.
    fn read_until_full(&mut self, batch: &mut Batch) -> Result<bool, BatcherError> {
        let BatchSettings { rows_max, bytes_max, .. } = self.settings;
        while let Some(record) = self.reader.next()? {
            batch.add(&record)?;
            self.at = batch.end();
            if batch.to.get() - batch.from.get() >= rows_max || batch.bytes() >= bytes_max {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
