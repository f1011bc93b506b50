//! A worker's own figures, by the names that fleets know.

use crate::metrics::{Gauge, Metrics, Series};

/// Where a worker says how busy it is. A figure is reported from the first time that its gauge is
/// asked for.
#[derive(Clone, Debug)]
pub struct Worker {
    metrics: Metrics,
    status: Gauge,
}

impl Worker {
    /// Figures among these metrics.
    pub(crate) fn new(metrics: Metrics) -> Self {
        let status = metrics.gauge(
            Series::new("noetl_worker_status")
                .help("Worker status (1=active, 0=inactive)")
                .unit("status"),
        );
        status.set(1.0);
        Self { metrics, status }
    }

    /// `noetl_worker_status`: 1 while the worker is active, which is how it begins; 0 in the last
    /// report.
    pub fn status(&self) -> &Gauge {
        &self.status
    }

    /// `noetl_worker_active_tasks`: what the worker does now. See also [`Worker::begin_task`].
    pub fn active_tasks(&self) -> Gauge {
        self.gauge("noetl_worker_active_tasks", "Number of active tasks", "tasks")
    }

    /// `noetl_worker_max_workers`: how much it may do at once.
    pub fn max_workers(&self) -> Gauge {
        self.gauge("noetl_worker_max_workers", "Maximum number of tasks at once", "workers")
    }

    /// `noetl_worker_queue_size`: what waits for it.
    pub fn queue_size(&self) -> Gauge {
        self.gauge("noetl_worker_queue_size", "Number of tasks that wait", "tasks")
    }

    /// Counts a task as active until the value is dropped.
    pub fn begin_task(&self) -> ActiveTask {
        let active = self.active_tasks();
        active.add(1.0);
        ActiveTask(active)
    }

    fn gauge(&self, name: &str, help: &str, unit: &str) -> Gauge {
        self.metrics.gauge(Series::new(name).help(help).unit(unit))
    }
}

/// A task that is under way, also where it ends by a panic.
#[derive(Debug)]
#[must_use = "the task is over when this is dropped"]
pub struct ActiveTask(Gauge);

impl Drop for ActiveTask {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}
