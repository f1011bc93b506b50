//! Commits batches one after the other, for as long as it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{Batch, BatchSettings, Batcher, BatcherError, Sink, SinkError};
use crate::log::{Progress, ReadError, Readers};
use crate::model::{LogPosition, NodeNumber};
use crate::registry::Registry;
use crate::telemetry::Telemetry;

/// The first wait after a failure; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Batches that wait while one is being committed: the next is built meanwhile.
const BATCHES_WAITING: usize = 1;

/// Why the flush cannot go on. Nothing is lost: the log keeps what is not flushed.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The log does not hold what the database says comes next.
    #[error(
        "the log and the database do not fit together: {0}. Either the database was restored \
         from a backup, or the log's directory was; see docs/ARCHITECTURE.md, \"Exactly once\""
    )]
    Gap(#[from] ReadError),
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
        "the database says that this server's log is stored up to position {found}, but this \
         server stored it from {from} to {to}: another process writes this log, or the database \
         was restored. Stop the other process, or see docs/ARCHITECTURE.md, \"Exactly once\""
    )]
    Moved {
        /// What the database says.
        found: LogPosition,
        /// Where the batch in hand begins.
        from: LogPosition,
        /// Where it ends.
        to: LogPosition,
    },
}

/// The flusher.
pub struct Flusher<S> {
    sink: S,
    progress: Arc<Progress>,
    registry: Arc<Registry>,
    telemetry: Arc<Telemetry>,
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

    /// The position up to which the log is in the sink, waiting for the sink as long as it
    /// takes.
    pub async fn position(&mut self) -> Result<LogPosition, FlushError> {
        let mut backoff = Backoff::default();
        loop {
            match self.sink.position().await {
                Ok(position) => {
                    self.telemetry.flush.postgres_up.set(1);
                    return Ok(position);
                }
                Err(SinkError::Permanent(reason)) => return Err(FlushError::Permanent(reason)),
                Err(SinkError::Temporary(reason)) => self.wait(&mut backoff, &reason).await,
            }
        }
    }

    /// Brings everything that is and will be in the log into the sink, from the sink's position
    /// on, until the log is closed and at its end.
    pub async fn follow(
        mut self,
        readers: Readers,
        settings: BatchSettings,
        node: NodeNumber,
    ) -> Result<(), FlushError> {
        let position = self.position().await?;
        let reader = readers.reader(position)?;
        self.progress.set_flushed(position);
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let batcher = Batcher::new(reader, Arc::clone(&self.progress), settings, node, sender);
        let batcher = tokio::task::spawn_blocking(move || batcher.run());
        self.run(batches).await?;
        batcher.await.map_err(|error| FlushError::Died(error.to_string()))??;
        Ok(())
    }

    /// Commits batches until there are no more.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>) -> Result<(), FlushError> {
        while let Some(batch) = batches.recv().await {
            self.flush(&batch).await?;
        }
        Ok(())
    }

    /// Commits one batch, whatever it takes.
    async fn flush(&mut self, batch: &Batch) -> Result<(), FlushError> {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match self.sink.commit(batch).await {
                Ok(committed) => {
                    self.telemetry.flush.commit_seconds.observe(began.elapsed().as_secs_f64());
                    for (key, id) in committed.runtime_ids {
                        if let Some(component) =
                            self.registry.find(Some(key.component_type()), key.name())
                        {
                            self.registry.set_runtime_id(&component, id);
                        }
                    }
                    self.flushed(batch);
                    return Ok(());
                }
                Err(SinkError::Permanent(reason)) => return Err(FlushError::Permanent(reason)),
                Err(SinkError::Temporary(reason)) => self.wait(&mut backoff, &reason).await,
            }
            // Whether the attempt was committed before it failed, only the position knows.
            let found = self.position().await?;
            if found == batch.to {
                self.flushed(batch);
                return Ok(());
            }
            if found != batch.from {
                return Err(FlushError::Moved { found, from: batch.from, to: batch.to });
            }
        }
    }

    fn flushed(&self, batch: &Batch) {
        let flush = &self.telemetry.flush;
        flush.postgres_up.set(1);
        flush.batches.inc();
        flush.rows.inc_by(batch.rows());
        flush.samples.inc_by(batch.samples());
        self.progress.set_flushed(batch.to);
    }

    async fn wait(&self, backoff: &mut Backoff, reason: &str) {
        self.telemetry.flush.failures.inc();
        self.telemetry.flush.postgres_up.set(0);
        let wait = backoff.next();
        tracing::warn!(
            reason,
            retry_in_ms = wait.as_millis() as u64,
            "flush failed; reports are kept in the log"
        );
        tokio::time::sleep(wait).await;
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
