//! What a report costs from its bytes to its place in the log, whose disk costs nothing here.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark has no callers")]

#[path = "support/null_disk.rs"]
mod null_disk;
#[path = "support/report.rs"]
mod report;

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use noetl_metrics::access::Caller;
use noetl_metrics::clock::{Clock, SystemClock};
use noetl_metrics::ingest::{Ingest, IngestError, IngestParts, IngestSettings};
use noetl_metrics::log::{AppendError, Log, LogSettings};
use noetl_metrics::model::{NodeNumber, PartitionInterval};
use noetl_metrics::registry::{
    ComponentLoader, GroupIds, PartitionWindow, Registry, RegistrySettings,
};
use noetl_metrics::telemetry::Telemetry;
use null_disk::NullDisk;

/// Workers that report in turns, so that their memory is not always at hand.
const WORKERS: usize = 10_000;

struct Bench {
    ingest: Ingest,
    log: Log,
    round: u64,
}

impl Bench {
    fn new() -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let settings = LogSettings { budget_bytes: 1 << 40, ..LogSettings::default() };
        let log = Log::open(Arc::new(NullDisk), settings, Arc::clone(&telemetry), &mut |_| {});
        let log = log.unwrap();
        let registry = RegistrySettings::new(20_000_000, 20_000_000);
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1 << 30);
        let parts = IngestParts {
            registry: Arc::new(Registry::new(registry, ids)),
            appender: log.appender(),
            window: Arc::new(PartitionWindow::new(PartitionInterval::Day, 10)),
            keys: Arc::default(),
            outlines: Arc::default(),
            // Nobody loads: a component that is not in memory is new at once.
            loader: ComponentLoader::new(1).0,
            clock: Arc::new(SystemClock) as Arc<dyn Clock>,
            telemetry,
        };
        Self { ingest: Ingest::new(parts, IngestSettings::default()), log, round: 0 }
    }

    /// The next report of some worker; none equals an earlier one.
    fn next(&mut self, metrics: usize) -> String {
        self.round += 1;
        let (worker, round) = (self.round % WORKERS as u64, self.round / WORKERS as u64);
        let time = format!("2024-01-01T12:{:02}:{:02}.{:06}Z", round / 60 % 60, round % 60, worker);
        report::report(&format!("worker-{worker:06}"), metrics, &time)
    }

    /// Up to the log, and not until the sync.
    fn take(&self, document: &str) {
        while let Some(Err(error)) =
            self.ingest.report(document.as_bytes(), None, Caller::trusted()).now_or_never()
        {
            let IngestError::Log(AppendError::StagingFull) = error else { panic!("{error}") };
            self.log.progress().set_flushed(self.log.progress().synced());
            std::thread::yield_now();
        }
    }
}

fn reports(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    for metrics in [10, 100] {
        let mut bench = Bench::new();
        // Registered by the first report, learned by the second.
        for _ in 0..3 * WORKERS {
            let document = bench.next(metrics);
            runtime.block_on(async {
                bench.ingest.report(document.as_bytes(), None, Caller::trusted()).await.unwrap()
            });
            bench.log.progress().set_flushed(bench.log.progress().synced());
        }
        let mut group = criterion.benchmark_group("ingest");
        group.throughput(Throughput::Elements(metrics as u64));
        group.bench_function(BenchmarkId::new("known_report", metrics), |bencher| {
            let mut nth = 0_u32;
            let bench = std::cell::RefCell::new(&mut bench);
            bencher.iter_batched(
                || {
                    nth += 1;
                    let mut bench = bench.borrow_mut();
                    if nth.is_multiple_of(1024) {
                        bench.log.progress().set_flushed(bench.log.progress().synced());
                    }
                    bench.next(metrics)
                },
                |document| bench.borrow().take(&document),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("decoded_report", metrics), |bencher| {
            let bench = std::cell::RefCell::new(&mut bench);
            bencher.iter_batched(
                || {
                    let mut bench = bench.borrow_mut();
                    bench.log.progress().set_flushed(bench.log.progress().synced());
                    // A value that is no number has to be looked at.
                    bench.next(metrics).replacen(": 0.25,", ": null,", 1)
                },
                |document| bench.borrow().take(&document),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, reports);
criterion_main!(benches);
