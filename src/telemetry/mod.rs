//! The server's own instruments, served at `/metrics`.
//!
//! Owns one [`prometheus::Registry`] and every instrument in it. An instrument that is touched
//! per report is resolved once, here, so that the hot path only adds to an atomic. User series
//! never come here (see `exposition`).

mod http;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::model::RejectKind;
pub use http::{HttpInstruments, Route};

/// All instruments. Built once by the application and shared.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    /// Reports and samples.
    pub ingest: IngestInstruments,
    /// The write-ahead log.
    pub log: LogInstruments,
    /// The way into PostgreSQL.
    pub flush: FlushInstruments,
    /// The runtime registry.
    pub runtime: RuntimeInstruments,
    /// The page for Prometheus.
    pub page: PageInstruments,
    /// What it leads to.
    pub partitions: PartitionInstruments,
    /// Requests.
    pub http: HttpInstruments,
}

/// What is counted of reports and samples.
#[derive(Debug)]
pub struct IngestInstruments {
    /// Reports that were acknowledged.
    pub reports: IntCounter,
    /// Reports that were read by an outline, without a parser.
    pub reports_by_outline: IntCounter,
    /// Samples that were acknowledged and stored.
    pub samples: IntCounter,
    /// Samples that were acknowledged as a client's repeat and not stored again.
    pub samples_repeated: IntCounter,
    /// Components in memory.
    pub components: IntGauge,
    /// Series in memory.
    pub series: IntGauge,
    /// How many may be.
    pub series_max: IntGauge,
    /// How many of one component may be active.
    pub component_series_max: IntGauge,
    /// Reports refused because their token had no samples left.
    pub reports_over_rate: IntCounter,
    rejected: Vec<IntCounter>,
}

impl IngestInstruments {
    /// The counter of samples rejected for `kind`.
    pub fn rejected(&self, kind: RejectKind) -> &IntCounter {
        &self.rejected[kind as usize]
    }
}

/// What is measured of the log.
#[derive(Debug)]
pub struct LogInstruments {
    /// Bytes that the retained segments occupy on disk.
    pub bytes: IntGauge,
    /// The budget for those bytes.
    pub budget_bytes: IntGauge,
    /// Segments retained.
    pub segments: IntGauge,
    /// Rows that are synced and not yet in PostgreSQL.
    pub backlog_rows: IntGauge,
    /// Records synced.
    pub records: IntCounter,
    /// Bytes of records written.
    pub written_bytes: IntCounter,
    /// Seconds from handing bytes to the OS to the end of fdatasync.
    pub sync_seconds: Histogram,
    /// 1 when a write or sync failed and the log takes nothing any more.
    pub failed: IntGauge,
}

/// What is measured of the flush.
#[derive(Debug)]
pub struct FlushInstruments {
    /// Rows committed into `noetl.report`.
    pub rows: IntCounter,
    /// Samples committed.
    pub samples: IntCounter,
    /// Batches committed.
    pub batches: IntCounter,
    /// Attempts that failed and are tried again.
    pub failures: IntCounter,
    /// Rows set aside because PostgreSQL refuses them for their content.
    pub quarantined_rows: IntCounter,
    /// Seconds from the first statement of a batch to its commit, with its pauses.
    pub commit_seconds: Histogram,
    /// 1 when the last contact with PostgreSQL succeeded.
    pub postgres_up: IntGauge,
}

/// What is measured of the partitions of `noetl.report`.
#[derive(Debug)]
pub struct PartitionInstruments {
    /// Those known to exist.
    pub existing: IntGauge,
    /// Seconds from now on that have their partition already.
    pub ahead_seconds: IntGauge,
    /// Those that this server made before their time or on request.
    pub created: IntCounter,
    /// Those that this server dropped.
    pub dropped: IntCounter,
    /// Runs of the maintenance that failed.
    pub failures: IntCounter,
}

/// What is counted of the runtime registry.
#[derive(Debug)]
pub struct RuntimeInstruments {
    /// Heartbeats written into PostgreSQL.
    pub heartbeats_written: IntCounter,
    /// Components marked offline because they were silent.
    pub components_silenced: IntCounter,
    /// Components whose registration PostgreSQL lacks.
    pub registrations_waiting: IntGauge,
}

/// What is measured of the page for Prometheus.
#[derive(Debug)]
pub struct PageInstruments {
    /// Seconds that bringing the page up to date took.
    pub render_seconds: Histogram,
    /// Lines of the last page.
    pub series: IntGauge,
    /// Bytes that are kept to make the next page from.
    pub memory_bytes: IntGauge,
}

impl Telemetry {
    /// Registers every instrument.
    pub fn new() -> Self {
        let registry = Registry::new();
        let make = Maker { registry: &registry };
        let rejected =
            make.counters("samples_rejected_total", "Samples rejected, by reason.", "reason");
        let ingest = IngestInstruments {
            reports: make.counter("reports_total", "Reports acknowledged."),
            reports_by_outline: make.counter(
                "reports_by_outline_total",
                "Reports that were like an earlier one but for their numbers, and not parsed.",
            ),
            samples: make.counter("samples_total", "Samples acknowledged and stored."),
            samples_repeated: make.counter(
                "samples_repeated_total",
                "Samples acknowledged as a repeat of the last one and not stored again.",
            ),
            components: make.gauge("components", "Components in memory."),
            series: make.gauge("series", "Series in memory."),
            series_max: make.gauge("series_max", "Series that may be in memory."),
            component_series_max: make
                .gauge("component_series_max", "Series of one component that may be active."),
            reports_over_rate: make.counter(
                "reports_over_rate_total",
                "Reports refused because their token had sent its samples per second.",
            ),
            rejected: RejectKind::ALL
                .iter()
                .map(|kind| rejected.with_label_values(&[kind.as_str()]))
                .collect(),
        };
        let log = LogInstruments {
            bytes: make.gauge("log_bytes", "Bytes that the retained log segments occupy."),
            budget_bytes: make.gauge("log_budget_bytes", "Bytes that the log may occupy."),
            segments: make.gauge("log_segments", "Log segments retained."),
            backlog_rows: make
                .gauge("log_backlog_rows", "Rows synced in the log and not yet in PostgreSQL."),
            records: make.counter("log_records_total", "Records synced in the log."),
            written_bytes: make
                .counter("log_written_bytes_total", "Bytes of records written to the log."),
            sync_seconds: make.latency(
                "log_sync_seconds",
                "Seconds that one write and fdatasync of the log took.",
            ),
            failed: make.gauge(
                "log_failed",
                "1 when a write or sync of the log failed and nothing is acknowledged any more.",
            ),
        };
        let flush = FlushInstruments {
            rows: make.counter("flush_rows_total", "Rows committed into noetl.report."),
            samples: make.counter("flush_samples_total", "Samples committed into noetl.report."),
            batches: make.counter("flush_batches_total", "Batches committed."),
            failures: make.counter(
                "flush_failures_total",
                "Attempts to commit a batch that failed and are tried again.",
            ),
            quarantined_rows: make.counter(
                "flush_quarantined_rows_total",
                "Rows that PostgreSQL refused for their content, set aside in noetl.quarantine.",
            ),
            commit_seconds: make.latency(
                "flush_commit_seconds",
                "Seconds from the first statement of a batch to its commit, with its pauses.",
            ),
            postgres_up: make
                .gauge("postgres_up", "1 when the last contact with PostgreSQL succeeded."),
        };
        let partitions = PartitionInstruments {
            existing: make.gauge("partitions", "Partitions of noetl.report."),
            ahead_seconds: make.gauge(
                "partition_ahead_seconds",
                "Seconds from now on that have their partition already.",
            ),
            created: make.counter(
                "partitions_created_total",
                "Partitions made ahead of their time or on request.",
            ),
            dropped: make
                .counter("partitions_dropped_total", "Partitions dropped after their retention."),
            failures: make.counter(
                "partition_failures_total",
                "Runs that looked after the partitions and failed.",
            ),
        };
        let runtime = RuntimeInstruments {
            heartbeats_written: make
                .counter("heartbeats_written_total", "Heartbeats written into noetl.runtime."),
            components_silenced: make.counter(
                "components_silenced_total",
                "Components that this server marked offline because they were silent.",
            ),
            registrations_waiting: make.gauge(
                "registrations_waiting",
                "Registrations that wait in memory for PostgreSQL.",
            ),
        };
        let page = PageInstruments {
            render_seconds: make.latency(
                "page_render_seconds",
                "Seconds that bringing the page for Prometheus up to date took.",
            ),
            series: make.gauge("page_series", "Series on the last page for Prometheus."),
            memory_bytes: make.gauge(
                "page_memory_bytes",
                "Bytes of memory that are kept to make the next page for Prometheus from.",
            ),
        };
        let http = HttpInstruments::new(&registry);
        #[cfg(target_os = "linux")]
        must_register(
            &registry,
            Box::new(prometheus::process_collector::ProcessCollector::for_self()),
        );
        Self { registry, ingest, log, flush, partitions, runtime, page, http }
    }

    /// The instruments as Prometheus text 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        let mut page = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .expect("writing metrics to a Vec cannot fail");
        page
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers instruments under the prefix `noetl_metrics_`.
struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str) -> IntCounter {
        let counter = IntCounter::with_opts(opts(name, help)).expect("instrument names are valid");
        must_register(self.registry, Box::new(counter.clone()));
        counter
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        let counters =
            IntCounterVec::new(opts(name, help), &[label]).expect("instrument names are valid");
        must_register(self.registry, Box::new(counters.clone()));
        counters
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        let gauge = IntGauge::with_opts(opts(name, help)).expect("instrument names are valid");
        must_register(self.registry, Box::new(gauge.clone()));
        gauge
    }

    /// Buckets from 50 µs to 13 s, each twice the one before.
    fn latency(&self, name: &str, help: &str) -> Histogram {
        let buckets = prometheus::exponential_buckets(50e-6, 2.0, 18).expect("bucket bounds rise");
        let options = HistogramOpts::from(opts(name, help)).buckets(buckets);
        let histogram = Histogram::with_opts(options).expect("instrument names are valid");
        must_register(self.registry, Box::new(histogram.clone()));
        histogram
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("noetl_metrics_{name}"), help)
}

/// Two instruments of one name are a programmer's error, found by the first test that runs.
fn must_register(registry: &Registry, collector: Box<dyn prometheus::core::Collector>) {
    registry.register(collector).expect("every instrument has a name of its own");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reject_has_its_counter() {
        let telemetry = Telemetry::new();
        for kind in RejectKind::ALL {
            telemetry.ingest.rejected(kind).inc();
        }
        let page = String::from_utf8(telemetry.render()).unwrap();
        for kind in RejectKind::ALL {
            let line =
                format!("noetl_metrics_samples_rejected_total{{reason=\"{}\"}} 1", kind.as_str());
            assert!(page.contains(&line), "{line} is missing from:\n{page}");
        }
    }
}
