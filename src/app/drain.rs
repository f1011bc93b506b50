//! From a running server to its end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout_at};

use super::supervisor::Supervisor;
use super::{AppError, Running};
use crate::flush::FlushError;
use crate::http::Latch;
use crate::log::{AppendError, Log};

/// What was left when the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Rows in the log that are not in PostgreSQL; the next start brings them there.
    pub rows_left: u64,
    /// Connections that were cut off.
    pub connections_cut: usize,
}

/// What is left of the drain after a second signal: enough to sync the log, and to flush where
/// PostgreSQL answers.
const HURRY: Duration = Duration::from_secs(1);

/// How long PostgreSQL may take to stop once everything else has ended.
const POSTGRES_STOP: Duration = Duration::from_secs(60);

/// SIGTERM or SIGINT, as often as they come.
pub(super) struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

impl Running {
    /// Runs until a signal, or until the flush or PostgreSQL give up, and drains.
    pub(super) async fn run(
        mut self,
        signals: &mut Signals,
        supervisor: &Supervisor,
    ) -> Result<Drained, AppError> {
        let failure = tokio::select! {
            () = signals.next() => None,
            failure = self.failure() => Some(failure),
        };
        self.readiness.raise(Latch::Stopping);
        supervisor.stopping();
        let failure = match failure {
            None if !self.drain_delay.is_zero() => self.linger(signals).await,
            failure => failure,
        };
        if let Some(failure) = &failure {
            tracing::error!(error = %failure, "stopping");
        }
        let flush_ended = self.flush.is_finished();
        let drained = self.drain(signals, flush_ended).await;
        match failure {
            Some(failure) => Err(failure),
            None => Ok(drained),
        }
    }

    /// Why the server cannot go on, as soon as that is so.
    async fn failure(&mut self) -> AppError {
        tokio::select! {
            ended = &mut self.flush => flush_failure(ended, &self.log),
            failed = postgres_failure(&mut self.postgres) => failed,
            ended = &mut self.server => AppError::Died(format!("the port closed: {ended:?}")),
        }
    }

    /// Goes on until the load balancers have turned to others.
    async fn linger(&mut self, signals: &mut Signals) -> Option<AppError> {
        let delay = self.drain_delay;
        tracing::info!(?delay, "stopping after drain-delay; until then requests are taken");
        tokio::select! {
            () = sleep(delay) => None,
            () = signals.next() => None,
            failure = self.failure() => Some(failure),
        }
    }

    async fn drain(mut self, signals: &mut Signals, flush_ended: bool) -> Drained {
        tracing::info!("stopping: finishing requests, syncing the log, flushing");
        let mut patience = Patience { deadline: Instant::now() + self.drain_timeout, signals };
        self.api.drain();
        self.stop.stop();
        self.readiness.raise(Latch::Port);
        let connections_cut = if self.server.is_finished() {
            0
        } else {
            patience.wait(&mut self.server).await.and_then(Result::ok).unwrap_or(0)
        };
        self.readiness.raise(Latch::Tasks);
        let log = self.log;
        let closing = tokio::task::spawn_blocking(move || log.close());
        match timeout_at(patience.deadline, closing).await {
            Ok(Ok(Ok(_))) => {}
            Ok(failed) => tracing::error!(?failed, "the log did not close well"),
            Err(_) => tracing::error!("the log did not close in time"),
        }
        self.readiness.raise(Latch::Log);
        if !flush_ended && patience.wait(&mut self.flush).await.is_none() {
            self.flush.abort();
        }
        if patience.wait(&mut self.runtime).await.is_none() {
            self.runtime.abort();
        }
        for job in &mut self.jobs {
            job.abort();
        }
        self.stop_postgres.stop();
        if let Some(postgres) = self.postgres.take_if(|postgres| !postgres.is_finished()) {
            match timeout_at(Instant::now() + POSTGRES_STOP, postgres).await {
                Ok(Ok(Ok(()))) => {}
                failed => tracing::error!(?failed, "PostgreSQL did not stop well"),
            }
        }
        let rows_left = self.progress.synced().get().saturating_sub(self.progress.flushed().get());
        Drained { rows_left, connections_cut }
    }
}

/// How long a drain waits: to the deadline, which a further signal brings near.
struct Patience<'a> {
    deadline: Instant,
    signals: &'a mut Signals,
}

impl Patience<'_> {
    /// The outcome of `work`, unless the deadline or a signal comes first.
    async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            outcome = timeout_at(self.deadline, work) => outcome.ok(),
            () = self.signals.next() => {
                tracing::info!("stopping at once: another signal came");
                self.deadline = self.deadline.min(Instant::now() + HURRY);
                None
            }
        }
    }
}

/// Why the flush ended while the server runs. It ends well only behind a log that takes nothing
/// any more: then all that was synced is in PostgreSQL, and the next start reads what the disk
/// really has.
fn flush_failure(ended: Result<Result<(), FlushError>, JoinError>, log: &Log) -> AppError {
    match ended {
        Ok(Err(error)) => error.into(),
        Ok(Ok(())) => match log.appender().admit() {
            Err(AppendError::Failed(failed)) => failed.into(),
            _ => AppError::Died("the flush ended".to_owned()),
        },
        Err(error) => AppError::Died(format!("the flush: {error}")),
    }
}

/// Resolves when the embedded PostgreSQL is given up; never where there is none.
async fn postgres_failure(
    postgres: &mut Option<
        tokio::task::JoinHandle<Result<(), crate::postgres::embedded::EmbeddedError>>,
    >,
) -> AppError {
    match postgres {
        None => std::future::pending().await,
        Some(task) => match task.await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) => AppError::Died("the supervision of PostgreSQL ended".to_owned()),
            Err(error) => AppError::Died(format!("the supervision of PostgreSQL: {error}")),
        },
    }
}
