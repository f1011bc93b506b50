//! The task of a reporter: recording, delivery and attendance side by side, then the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::instruments::Delivery;
use super::recorder::{ClockHolder, Recorder};
use super::{Builder, Left, StartError, SystemFigures};
use crate::metrics::Metrics;
use crate::pack::Packer;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::snapshot::Reporting;
use crate::spool::Spool;
use crate::system::{HostReader, READING_INTERVAL, host_name};
use crate::transport::Transport;
use crate::worker::Worker;

/// What the parts of the task share.
pub(super) struct Task {
    pub(super) settings: Settings,
    pub(super) component_name: String,
    pub(super) hostname: Option<String>,
    pub(super) transport: tokio::sync::Mutex<Transport>,
    pub(super) delivery: Arc<Delivery>,
    /// A report was queued.
    pub(super) queued: Notify,
    /// The server does not know the component.
    pub(super) unknown: Notify,
    /// The last report was queued.
    pub(super) closing: AtomicBool,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) seed: u64,
    queue: Arc<Mutex<Queue>>,
    recorder: Arc<Mutex<Recorder>>,
    worker: Worker,
}

impl Task {
    pub(super) fn new(
        builder: Builder,
        metrics: &Metrics,
        worker: &Worker,
        delivery: Arc<Delivery>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let Builder { settings, clock, system } = builder;
        let mut queue = Queue::new(settings.queue_bytes);
        if let Some(directory) = &settings.spool_dir {
            queue = queue.with_spool(Spool::open(directory, settings.spool_bytes)?);
        }
        let host = match system {
            SystemFigures::Reported => Some(HostReader::new().map_err(StartError::System)?),
            SystemFigures::Left => None,
        };
        let (component_name, hostname) = (settings.component_name(), host_name());
        let label = |name: &str, value: &String| (name.to_owned(), value.clone());
        let labels = [
            Some(label("component", &component_name)),
            hostname.as_ref().map(|value| label("hostname", value)),
            settings.worker_id.as_ref().map(|value| label("worker_id", value)),
        ];
        let reporting = Reporting {
            component_name: component_name.clone(),
            component_type: Some(settings.component_type.clone()),
            labels: labels.into_iter().flatten().collect(),
        };
        let queue = Arc::new(Mutex::new(queue));
        let recorder = Recorder {
            reporting,
            metrics: metrics.clone(),
            delivery: Arc::clone(&delivery),
            host,
            clock: ClockHolder(clock),
            series_max: settings.series_max,
            packer: Packer::new(settings.compress_above).map_err(StartError::Random)?,
            queue: Arc::clone(&queue),
        };
        let transport = Transport::new(&settings, settings.request_timeout)?;
        Ok(Self {
            component_name,
            hostname,
            transport: tokio::sync::Mutex::new(transport),
            delivery,
            queued: Notify::new(),
            unknown: Notify::new(),
            closing: AtomicBool::new(false),
            stop,
            seed: getrandom::u64().map_err(StartError::Random)?,
            queue,
            recorder: Arc::new(Mutex::new(recorder)),
            worker: worker.clone(),
            settings,
        })
    }

    pub(super) async fn run(self) -> Left {
        let deadline = async {
            self.stopped().await;
            sleep(self.settings.shutdown_timeout).await;
        };
        let work = async {
            tokio::join!(self.record(), self.deliver(), self.attend());
            self.leave().await;
        };
        tokio::select! {
            () = work => {}
            () = deadline => {}
        }
        let reports = self.on_queue(|queue| queue.len()).await.unwrap_or_default();
        if reports > 0 {
            tracing::warn!(reports, "the worker ends before all its reports are delivered");
        }
        Left { reports }
    }

    /// Returns when it is time to stop, also where the reporter was dropped.
    pub(super) async fn stopped(&self) {
        drop(self.stop.clone().wait_for(|stop| *stop).await);
    }

    /// Waits, but not beyond the word to stop if that is still to come.
    pub(super) async fn pause(&self, pause: Duration) {
        if *self.stop.borrow() {
            sleep(pause).await;
        } else {
            // That it is over early is what `timeout` is for here.
            drop(timeout(pause, self.stopped()).await);
        }
    }

    async fn record(&self) {
        let interval = self.settings.metrics_interval;
        // A fleet that was started together does not report together, and the host's figures need
        // two readings.
        let phase = (interval / 10).mul_f64(Rng::with_seed(self.seed).f64());
        let mut ticks = interval_at(Instant::now() + READING_INTERVAL + phase, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = self.stopped() => break,
                _ = ticks.tick() => self.record_once().await,
            }
        }
        self.worker.status().set(0.0);
        self.record_once().await;
        self.closing.store(true, Ordering::Release);
        self.queued.notify_one();
    }

    async fn record_once(&self) {
        let recorder = Arc::clone(&self.recorder);
        let recorded = blocking(move || {
            recorder.lock().unwrap_or_else(PoisonError::into_inner).record();
        });
        if recorded.await.is_none() {
            tracing::warn!("a snapshot of the metrics failed; the next one is taken in its turn");
        }
        self.queued.notify_one();
    }

    /// Does something with the queue, on a thread that may block where it is on the disk; `None`
    /// where the runtime is ending.
    pub(super) async fn on_queue<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Queue) -> T + Send + 'static,
    ) -> Option<T> {
        let (queue, delivery) = (Arc::clone(&self.queue), Arc::clone(&self.delivery));
        let act = move || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let done = act(&mut queue);
            delivery.queue_reports.store(queue.len() as u64, Ordering::Relaxed);
            delivery.queue_bytes.store(queue.bytes(), Ordering::Relaxed);
            if let Ok(mut dropped) = delivery.dropped.lock() {
                *dropped = queue.dropped();
            }
            done
        };
        if self.settings.spool_dir.is_some() { blocking(act).await } else { Some(act()) }
    }
}

/// Runs what may block where that holds nobody up; `None` where it panicked, or the runtime is
/// ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
