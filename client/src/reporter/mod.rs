//! Reports by itself: registers, sends heartbeats and reports, and takes its leave.
//!
//! Guarantees that whatever happens to the server or to the reporter, the worker is neither held
//! up nor ended by it, and that a report that was begun is delivered once or counted as dropped.
//! All work is done by one task, on a thread of its own ([`Reporter::start`]) or on the worker's
//! runtime ([`Builder::spawn`]), and what blocks on threads that are for that.

mod attendance;
mod delivery;
mod instruments;
mod recorder;
mod task;

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{oneshot, watch};

pub use instruments::Delivery;
use task::Task;

use crate::metrics::Metrics;
use crate::settings::{InvalidSettings, Settings};
use crate::spool::SpoolError;
use crate::transport::TlsError;
use crate::worker::Worker;

/// Why a worker cannot report.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment says something that cannot be.
    #[error("the worker's variables have mistakes:\n{0}")]
    Settings(#[from] InvalidSettings),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Reports cannot be kept on the disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The operating system gives no random bytes, of which keys are made.
    #[error("read random bytes: {0}")]
    Random(getrandom::Error),
    /// The host cannot be measured.
    #[error("read the figures of the host: {0}")]
    System(sysinfo::Error),
    /// The operating system gives no thread.
    #[error("start the reporter's thread: {0}")]
    Thread(std::io::Error),
}

/// What was not delivered when a reporter ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Reports; those of a spool are sent by the next start.
    pub reports: usize,
}

/// Tells the time in microseconds since the Unix epoch.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Whether figures of the host and the process are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemFigures {
    /// They are.
    Reported,
    /// They are not.
    Left,
}

/// What a reporter is made of.
pub struct Builder {
    settings: Settings,
    clock: Clock,
    system: SystemFigures,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Builder {
    /// With these settings, the system's clock, and the figures of the host.
    pub fn new(settings: Settings) -> Self {
        Self { settings, clock: Arc::new(now_us), system: SystemFigures::Reported }
    }

    /// With another clock, which tells microseconds since the Unix epoch.
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// With or without the figures of host and process.
    pub fn system_figures(mut self, system: SystemFigures) -> Self {
        self.system = system;
        self
    }

    /// Starts on a thread of its own, which needs nothing of the worker.
    ///
    /// # Errors
    /// Where the spool, the host's figures or the thread cannot be had.
    pub fn start(self) -> Result<Reporter, StartError> {
        let (reporter, task, ended) = self.build()?;
        // The runtime lives and dies on its thread: dropped on one of another runtime, it panics.
        let (began, begun) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => return drop(began.send(Err(error))),
            };
            drop(began.send(Ok(())));
            let left = runtime.block_on(task.run());
            // Nobody may be waiting for it any more.
            drop(ended.send(left));
        };
        std::thread::Builder::new()
            .name("noetl-reporter".to_owned())
            .spawn(work)
            .map_err(StartError::Thread)?;
        begun.recv().unwrap_or(Ok(())).map_err(StartError::Thread)?;
        Ok(reporter)
    }

    /// Starts as a task of the tokio runtime that this is called on.
    ///
    /// # Errors
    /// Where the spool or the host's figures cannot be had.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn spawn(self) -> Result<Reporter, StartError> {
        let (reporter, task, ended) = self.build()?;
        tokio::spawn(async move {
            drop(ended.send(task.run().await));
        });
        Ok(reporter)
    }

    fn build(self) -> Result<(Reporter, Task, oneshot::Sender<Left>), StartError> {
        let metrics = Metrics::new(self.settings.series_max);
        let worker = Worker::new(metrics.clone());
        let (stop, stopped) = watch::channel(false);
        let (ended, end) = oneshot::channel();
        let delivery = Arc::new(Delivery::default());
        let task = Task::new(self, &metrics, &worker, Arc::clone(&delivery), stopped)?;
        Ok((Reporter { metrics, worker, delivery, stop, end }, task, ended))
    }
}

/// Reports until it is shut down. Where it is dropped instead, it takes its leave in the
/// background, if the process goes on for so long.
#[derive(Debug)]
pub struct Reporter {
    metrics: Metrics,
    worker: Worker,
    delivery: Arc<Delivery>,
    stop: watch::Sender<bool>,
    end: oneshot::Receiver<Left>,
}

impl Reporter {
    /// Starts as the environment says, on a thread of its own.
    ///
    /// # Errors
    /// Where the environment has mistakes, all of which are named, or the operating system gives
    /// not what is needed.
    pub fn start() -> Result<Self, StartError> {
        Builder::new(Settings::from_env()?).start()
    }

    /// The metrics that are reported.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The worker's own figures.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// How the delivery goes.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The same, for longer than the reporter is there.
    pub fn shared_delivery(&self) -> Arc<Delivery> {
        Arc::clone(&self.delivery)
    }

    /// Takes a last report, delivers what is left, and deregisters; all within the setting
    /// `worker-shutdown-timeout`.
    pub async fn shutdown(self) -> Left {
        self.stop.send_replace(true);
        self.end.await.unwrap_or_default()
    }

    /// The same for a worker without a runtime.
    ///
    /// # Panics
    /// On a thread of a tokio runtime.
    pub fn shutdown_blocking(self) -> Left {
        self.stop.send_replace(true);
        self.end.blocking_recv().unwrap_or_default()
    }
}

/// The system's clock.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
