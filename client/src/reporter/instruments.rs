//! What a reporter says of itself: every report tells how those before it fared.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::metrics::{Counter, Metrics};
use crate::queue::Dropped;
use crate::snapshot::{Sample, Snapshot};
use crate::vocabulary::MetricType;

/// How the delivery goes, for whoever wants to know it in the process.
#[derive(Debug, Default)]
pub struct Delivery {
    pub(super) delivered: Counter,
    pub(super) retried: Counter,
    pub(super) samples_rejected: Counter,
    pub(super) spool_failures: Counter,
    pub(super) queue_reports: AtomicU64,
    pub(super) queue_bytes: AtomicU64,
    pub(super) dropped: Mutex<Dropped>,
    /// By how many seconds this host's clock is ahead of the server's, once that is known.
    pub(super) clock_ahead_s: Mutex<Option<f64>>,
}

impl Delivery {
    /// Reports that the server has.
    pub fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Attempts that were not the first of their report.
    pub fn retried(&self) -> u64 {
        self.retried.get()
    }

    /// Reports that were dropped.
    pub fn dropped(&self) -> Dropped {
        self.dropped.lock().map_or_else(|poisoned| *poisoned.into_inner(), |dropped| *dropped)
    }

    /// Samples that the server rejected.
    pub fn samples_rejected(&self) -> u64 {
        self.samples_rejected.get()
    }

    /// Bytes of the reports that wait.
    pub fn queue_bytes(&self) -> u64 {
        self.queue_bytes.load(Relaxed)
    }

    pub(super) fn set_clock_ahead(&self, seconds: Option<f64>) {
        if let (Ok(mut known), Some(seconds)) = (self.clock_ahead_s.lock(), seconds) {
            *known = Some(seconds);
        }
    }

    pub(super) fn clock_ahead_s(&self) -> Option<f64> {
        self.clock_ahead_s.lock().ok().and_then(|known| *known)
    }

    pub(super) fn write_to(&self, metrics: &Metrics, snapshot: &mut Snapshot) {
        let mut push = |name, metric_type, value, labels: &[(&str, &str)], unit, help| {
            snapshot.push(&Sample { labels, unit, help, ..Sample::new(name, metric_type, value) });
        };
        let dropped = self.dropped();
        let reasons = [
            ("overflowed", dropped.overflowed),
            ("damaged", dropped.damaged),
            ("refused", dropped.refused),
        ];
        for (reason, count) in reasons {
            push(
                "noetl_client_reports_dropped_total",
                MetricType::Counter,
                count as f64,
                &[("reason", reason)],
                "reports",
                "Reports of this client that are lost",
            );
        }
        let counters = [
            (
                "noetl_client_reports_delivered_total",
                self.delivered(),
                "reports",
                "Reports of this client that the server has",
            ),
            (
                "noetl_client_reports_retried_total",
                self.retried(),
                "attempts",
                "Attempts to deliver a report again",
            ),
            (
                "noetl_client_samples_rejected_total",
                self.samples_rejected(),
                "samples",
                "Samples of this client that the server rejected",
            ),
            (
                "noetl_client_series_refused_total",
                metrics.refused(),
                "series",
                "Metrics refused by the client's bound on series, or for another type",
            ),
            (
                "noetl_client_source_panics_total",
                metrics.panicked(),
                "panics",
                "Panics of what the worker has the client call for further metrics",
            ),
            (
                "noetl_client_spool_failures_total",
                self.spool_failures.get(),
                "reports",
                "Reports that could not be written to the spool and were kept in memory",
            ),
        ];
        for (name, count, unit, help) in counters {
            push(name, MetricType::Counter, count as f64, &[], unit, help);
        }
        let gauges = [
            (
                "noetl_client_queue_reports",
                Some(self.queue_reports.load(Relaxed) as f64),
                "reports",
                "Reports that wait for their delivery",
            ),
            (
                "noetl_client_queue_bytes",
                Some(self.queue_bytes() as f64),
                "bytes",
                "Memory and disk space of the reports that wait",
            ),
            (
                "noetl_client_clock_ahead_seconds",
                self.clock_ahead_s(),
                "seconds",
                "By how much this host's clock is ahead of the server's, to about a second",
            ),
        ];
        for (name, value, unit, help) in gauges {
            if let Some(value) = value {
                push(name, MetricType::Gauge, value, &[], unit, help);
            }
        }
    }
}
