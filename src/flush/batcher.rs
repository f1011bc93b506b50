//! Follows the log and cuts it into batches: full ones under load, small ones when it is quiet
//! or when a query waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Batch;
use super::batch::UnreadableRecord;
use crate::log::{Progress, ReadError, Reader};
use crate::model::{LogPosition, NodeNumber, PartitionInterval};

/// When a batch is full, and when it is old enough.
#[derive(Clone, Copy, Debug)]
pub struct BatchSettings {
    /// Rows after which a batch is full.
    pub rows_max: u64,
    /// Bytes after which a batch is full; rows of many series reach this first.
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

/// How often a batch's size in bytes is looked at, in records.
const BYTES_CHECK_RECORDS: u32 = 64;
/// How long the batcher sleeps at most while the log is quiet.
const QUIET_WAIT: Duration = Duration::from_secs(60);

/// The batcher. Runs on a thread of its own, for it reads files.
pub struct Batcher {
    reader: Reader,
    progress: Arc<Progress>,
    settings: BatchSettings,
    node: NodeNumber,
    batches: mpsc::Sender<Batch>,
}

enum Gathered {
    /// The batch has its size, or someone waits for it.
    Due,
    /// It has all there is, and may wait for more.
    Waiting,
    /// It has all there will ever be.
    Final,
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
        Self { reader, progress, settings, node, batches }
    }

    /// Cuts batches until the log is closed and read to its end, or nobody takes them any more.
    pub fn run(mut self) -> Result<(), BatcherError> {
        let mut batch = self.begin();
        loop {
            // Taken before reading, so that a request is answered with all that was synced
            // when it was made.
            let requested = self.progress.take_flush_request();
            let closed = self.progress.is_closed();
            let opened = Instant::now();
            let mut gathered = self.gather(&mut batch, closed)?;
            if !requested && matches!(gathered, Gathered::Waiting) && !batch.is_empty() {
                gathered = self.gather_until(&mut batch, opened + self.settings.age_max)?;
            }
            let last = matches!(gathered, Gathered::Final);
            if !batch.is_empty() {
                batch.finish();
                if self.batches.blocking_send(batch).is_err() {
                    return Ok(());
                }
                batch = self.begin();
            } else if !last {
                self.progress.wait_synced_beyond(self.reader.position(), QUIET_WAIT);
            }
            if last {
                return Ok(());
            }
        }
    }

    fn begin(&self) -> Batch {
        Batch::new(self.reader.position(), self.node, self.settings.interval)
    }

    /// Gathers until the batch is due or `deadline` has come.
    fn gather_until(
        &mut self,
        batch: &mut Batch,
        deadline: Instant,
    ) -> Result<Gathered, BatcherError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let full_at = LogPosition::new(batch.from.get() + self.settings.rows_max);
            if left.is_zero() {
                return Ok(Gathered::Due);
            }
            self.progress.wait_synced_beyond(full_at, left);
            let requested = self.progress.take_flush_request();
            let closed = self.progress.is_closed();
            match self.gather(batch, closed)? {
                Gathered::Waiting if requested => return Ok(Gathered::Due),
                Gathered::Waiting => {}
                done => return Ok(done),
            }
        }
    }

    /// Reads what is synced into the batch.
    fn gather(&mut self, batch: &mut Batch, closed: bool) -> Result<Gathered, BatcherError> {
        let mut until_check = BYTES_CHECK_RECORDS;
        while let Some(record) = self.reader.next()? {
            batch.add(&record)?;
            if batch.to.get() - batch.from.get() >= self.settings.rows_max {
                return Ok(Gathered::Due);
            }
            until_check -= 1;
            if until_check == 0 {
                until_check = BYTES_CHECK_RECORDS;
                if batch.bytes() >= self.settings.bytes_max {
                    return Ok(Gathered::Due);
                }
            }
        }
        Ok(if closed { Gathered::Final } else { Gathered::Waiting })
    }
}
