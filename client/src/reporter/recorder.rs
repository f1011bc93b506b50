//! Takes a snapshot and queues it as reports.

use std::sync::{Arc, Mutex, PoisonError};

use super::Clock;
use super::instruments::Delivery;
use crate::metrics::Metrics;
use crate::pack::Packer;
use crate::queue::Queue;
use crate::snapshot::{Reporting, Sample, Snapshot};
use crate::system::HostReader;
use crate::vocabulary::MetricType;

/// Everything that a snapshot needs. Its work may block.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) reporting: Reporting,
    pub(super) metrics: Metrics,
    pub(super) delivery: Arc<Delivery>,
    pub(super) host: Option<HostReader>,
    pub(super) clock: ClockHolder,
    pub(super) series_max: usize,
    pub(super) packer: Packer,
    pub(super) queue: Arc<Mutex<Queue>>,
}

/// A clock without a form for people.
pub(super) struct ClockHolder(pub(super) Clock);

impl std::fmt::Debug for ClockHolder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Clock")
    }
}

impl Recorder {
    /// Queues what all metrics are now.
    pub(super) fn record(&mut self) {
        let now_us = (self.clock.0)();
        // Its own figures are beside the bound, so that they are always there.
        let mut snapshot = Snapshot::new(&self.reporting, now_us, self.series_max + 32);
        if let Some(host) = &mut self.host {
            let now_s = u64::try_from(now_us / 1_000_000).unwrap_or_default();
            for figure in host.read().named(now_s) {
                let sample = Sample::new(figure.name, MetricType::Gauge, figure.value);
                snapshot.push(&Sample { unit: figure.unit, help: figure.help, ..sample });
            }
        }
        self.delivery.write_to(&self.metrics, &mut snapshot);
        self.metrics.write_to(&mut snapshot);
        self.metrics.add_refused(snapshot.refused());
        for document in snapshot.finish() {
            let report = self.packer.pack(document);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = queue.push(report) {
                if self.delivery.spool_failures.get() == 0 {
                    tracing::warn!(%error, "reports are kept in memory");
                }
                self.delivery.spool_failures.inc();
            }
        }
    }
}
