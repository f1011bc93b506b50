//! Commits batches one after the other, for as long as it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::refusal::Source;
use super::{Batch, BatchSettings, Batcher, BatcherError, RefusedRecord, Sink, SinkError};
use crate::log::{Progress, ReadError, Reader, Readers};
use crate::model::{ComponentKey, LogPlace, NodeNumber};
use crate::registry::Registry;
use crate::telemetry::Telemetry;

/// The first wait after a failure; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long the sink may take for anything. Far longer than its own limits: this is for a sink
/// that hangs where it has none, for one that hangs for ever would stop the flush for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(600);

/// Batches that wait while one is being committed: the next is built meanwhile.
const BATCHES_WAITING: usize = 1;

/// Why the flush cannot go on. Nothing is lost: the log keeps what is not flushed.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The log does not hold what the database says comes next.
    #[error(
        "the log and the database do not fit together: {0}. Either the database was restored \
         from a backup, or the log's directory was; docs/operations.md says what to do, and \
         `noetl-metrics log accept-gap` what going on as it is gives up"
    )]
    Gap(ReadError),
    /// The database has another history of this log.
    #[error(
        "the database has another history of this log up to position {stored} than the log itself: \
         its directory was copied, or restored, and both have gone on. Nothing was written. Run one \
         of the two; docs/operations.md says which, and what to do with the other"
    )]
    Foreign {
        /// What the database says.
        stored: LogPlace,
    },
    /// The batcher cannot go on.
    #[error(transparent)]
    Batcher(#[from] BatcherError),
    /// The batcher died.
    #[error("the batcher died: {0}; this is a fault of the server, please report it")]
    Died(String),
    /// The sink wants a person.
    #[error("{0}")]
    Permanent(String),
    /// The position in PostgreSQL is none that this server could have left there.
    #[error(
        "the database says that this server's log is stored up to position {}, but this server \
         stored it from {} to {}: another process writes a copy of this log, or the database was \
         restored. Stop the other process, or see docs/operations.md",
        found.position, from.position, to.position
    )]
    Moved {
        /// What the database says.
        found: LogPlace,
        /// Where the batch in hand begins.
        from: LogPlace,
        /// Where it ends.
        to: LogPlace,
    },
}

/// The flusher.
pub struct Flusher<S> {
    sink: S,
    pub(super) progress: Arc<Progress>,
    registry: Arc<Registry>,
    pub(super) telemetry: Arc<Telemetry>,
}

/// What moves the sink's position on.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// Storing a batch.
    Commit(&'a Batch),
    /// Setting a record aside that cannot be stored.
    SetAside(&'a RefusedRecord),
}

/// What the sink has to say to a [`Step`].
pub(super) enum Answer {
    /// The position is at the step's end.
    Taken,
    /// The position is at the step's start and will not move by this step.
    Refused(String),
}

impl<S: Sink> Flusher<S> {
    /// A flusher into `sink`.
    pub fn new(
        sink: S,
        progress: Arc<Progress>,
        registry: Arc<Registry>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self { sink, progress, registry, telemetry }
    }

    /// Brings everything that is and will be in the log into the sink, from the sink's position
    /// on, until the log is closed and at its end.
    ///
    /// The batcher's thread ends with this future, or, where that ends early, with the log.
    pub async fn follow(
        mut self,
        readers: Readers,
        settings: BatchSettings,
        node: NodeNumber,
    ) -> Result<(), FlushError> {
        let (batcher, batches, source) = self.begin(readers, settings, node).await?;
        let (ended, outcome) = oneshot::channel();
        std::thread::Builder::new()
            .name("batcher".to_owned())
            .spawn(move || {
                if ended.send(batcher.run()).is_err() {
                    tracing::debug!("the flush ended before its batcher");
                }
            })
            .map_err(|error| FlushError::Died(error.to_string()))?;
        self.store_all(batches, &source).await?;
        outcome.await.map_err(|_| FlushError::Died("its thread panicked".to_owned()))??;
        Ok(())
    }

    /// Finds out where to go on, and makes the batcher that does.
    pub(super) async fn begin(
        &mut self,
        readers: Readers,
        settings: BatchSettings,
        node: NodeNumber,
    ) -> Result<(Batcher, mpsc::Receiver<Batch>, Source), FlushError> {
        let stored = self.position().await?;
        let reader = reader_at(&readers, stored)?;
        self.progress.set_flushed(stored.position);
        self.learn_missing_ids().await?;
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let batcher = Batcher::new(reader, Arc::clone(&self.progress), settings, node, sender);
        Ok((batcher, batches, Source { readers, node, interval: settings.interval }))
    }

    /// Stores batch after batch until no further one comes.
    pub(super) async fn store_all(
        &mut self,
        mut batches: mpsc::Receiver<Batch>,
        source: &Source,
    ) -> Result<(), FlushError> {
        while let Some(batch) = batches.recv().await {
            self.flush(&batch, source).await?;
        }
        Ok(())
    }

    /// Stores one batch, whatever it takes.
    async fn flush(&mut self, batch: &Batch, source: &Source) -> Result<(), FlushError> {
        let began = Instant::now();
        match self.take(Step::Commit(batch)).await? {
            Answer::Taken => {
                self.telemetry.flush.commit_seconds.observe(began.elapsed().as_secs_f64());
                self.stored(batch).await
            }
            Answer::Refused(reason) => {
                tracing::warn!(
                    from = batch.from.get(),
                    to = batch.to.get(),
                    reason,
                    "PostgreSQL refuses a batch for its content; storing it in pieces"
                );
                self.store_in_pieces(batch, source).await
            }
        }
    }

    /// Has the sink take the step, however often it takes.
    pub(super) async fn take(&mut self, step: Step<'_>) -> Result<Answer, FlushError> {
        let mut backoff = Backoff::default();
        let (from, to) = step.range();
        loop {
            let attempt = match step {
                Step::Commit(batch) => in_time(self.sink.commit(batch)).await,
                Step::SetAside(record) => in_time(self.sink.set_aside(record)).await,
            };
            match attempt {
                Ok(()) => return Ok(Answer::Taken),
                Err(SinkError::Refused(reason)) => return Ok(Answer::Refused(reason)),
                Err(error) => self.wait(&mut backoff, error).await?,
            }
            // Whether the attempt was committed before it failed, only the position knows.
            match self.position().await? {
                found if found.agrees_with(&to) => return Ok(Answer::Taken),
                found if found.agrees_with(&from) => {}
                found => return Err(FlushError::Moved { found, from, to }),
            }
        }
    }

    /// The position up to which the log is in the sink, waiting for the sink as long as it
    /// takes.
    async fn position(&mut self) -> Result<LogPlace, FlushError> {
        let mut backoff = Backoff::default();
        loop {
            match in_time(self.sink.position()).await {
                Ok(position) => return Ok(position),
                Err(error) => self.wait(&mut backoff, error).await?,
            }
        }
    }

    /// Tells everyone that the batch is in the sink.
    pub(super) async fn stored(&mut self, batch: &Batch) -> Result<(), FlushError> {
        let flush = &self.telemetry.flush;
        flush.postgres_up.set(1);
        flush.batches.inc();
        flush.rows.inc_by(batch.rows());
        flush.samples.inc_by(batch.samples());
        if batch.lost() > 0 {
            tracing::warn!(
                from = batch.from.get(),
                to = batch.to.get(),
                positions = batch.lost(),
                "passed over positions of the log that were given up: their reports are not in \
                 PostgreSQL"
            );
        }
        self.progress.set_flushed(batch.to);
        let components: Vec<_> = batch.components.iter().map(|one| &one.key).collect();
        self.learn_runtime_ids(&components).await
    }

    /// Learns the ids of components that only the log has told of: their definitions are flushed,
    /// some of them, and nobody asks for their ids again.
    async fn learn_missing_ids(&mut self) -> Result<(), FlushError> {
        let mut components = self.registry.all();
        components.retain(|component| !component.lock().is_stored_known());
        let keys: Vec<_> = components.iter().map(|component| component.key()).collect();
        self.learn_runtime_ids(&keys).await
    }

    /// Gives the components the ids that they have in the sink. Asked for after the commit and
    /// not answered by it, so that an answer which is lost takes nothing along.
    pub(super) async fn learn_runtime_ids(
        &mut self,
        keys: &[&ComponentKey],
    ) -> Result<(), FlushError> {
        let mut backoff = Backoff::default();
        while !keys.is_empty() {
            match in_time(self.sink.runtime_ids(keys)).await {
                Ok(ids) => {
                    for (key, id) in ids {
                        if let Some(component) =
                            self.registry.find(Some(key.component_type()), key.name())
                        {
                            self.registry.set_runtime_id(&component, id);
                        }
                    }
                    break;
                }
                Err(error) => self.wait(&mut backoff, error).await?,
            }
        }
        Ok(())
    }

    /// Waits before the next attempt, if there is to be one. Exclusive, so that a sink need not be
    /// `Sync`.
    async fn wait(&mut self, backoff: &mut Backoff, error: SinkError) -> Result<(), FlushError> {
        let reason = match error {
            SinkError::Temporary(reason) => reason,
            SinkError::Permanent(reason) | SinkError::Refused(reason) => {
                return Err(FlushError::Permanent(reason));
            }
        };
        self.telemetry.flush.failures.inc();
        self.telemetry.flush.postgres_up.set(0);
        let wait = backoff.next();
        tracing::warn!(
            reason,
            retry_in_ms = wait.as_millis() as u64,
            "flush failed; reports are kept in the log"
        );
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// The sink's answer, if it comes in time.
async fn in_time<T>(answer: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
    timeout(ANSWER_WAIT, answer).await.unwrap_or_else(|_| {
        Err(SinkError::Temporary(format!("the database did not answer within {ANSWER_WAIT:?}")))
    })
}

impl Step<'_> {
    fn range(self) -> (LogPlace, LogPlace) {
        match self {
            Self::Commit(batch) => (batch.start(), batch.end()),
            Self::SetAside(record) => (record.from, record.to),
        }
    }
}

impl From<ReadError> for FlushError {
    fn from(error: ReadError) -> Self {
        Self::Gap(error)
    }
}

/// A reader that goes on where the log is `stored` up to, if that is a place in its history.
pub fn reader_at(readers: &Readers, stored: LogPlace) -> Result<Reader, FlushError> {
    let reader = readers.reader(stored.position)?;
    // Within a record, the start is where that begins.
    if reader.start().agrees_with(&stored) {
        Ok(reader)
    } else {
        Err(FlushError::Foreign { stored })
    }
}

/// Waits that double. One client per server needs no jitter.
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let wait = self.last.map_or(BACKOFF_MIN, |last| (last * 2).min(BACKOFF_MAX));
        self.last = Some(wait);
        wait
    }
}
