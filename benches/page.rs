//! What a scrape costs: a page made from nothing, made again after every series, a hundredth of the
//! components or nothing changed, and inflated for a client without gzip.
//!
//! A hundred thousand series; a million with `NOETL_BENCH_SERIES=1000000`. Pages are made by one
//! thread, and measured is the time that it has a processor: what it takes where nothing else keeps
//! the machine busy.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark has no callers")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noetl_metrics::clock::{Clock, SystemClock};
use noetl_metrics::exposition::{Format, Page, PageSettings};
use noetl_metrics::model::series::{MetricType, write_identity, write_metadata};
use noetl_metrics::model::{ComponentKey, NodeNumber, Timestamp};
use noetl_metrics::registry::{
    Component, GroupIds, Interned, LastValue, Registry, RegistrySettings,
};
use noetl_metrics::telemetry::Telemetry;

/// Series of one component: gauges and counters, and a histogram of ten lines.
const PLAIN: usize = 10;
const BOUNDS: [&str; 8] = ["0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "+Inf"];
const PER_COMPONENT: usize = PLAIN + BOUNDS.len() + 2;

struct Fleet {
    registry: Arc<Registry>,
    components: Vec<Arc<Component>>,
    telemetry: Arc<Telemetry>,
    page: Page,
    round: u64,
}

impl Fleet {
    fn new(series: usize) -> Self {
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..10_000_000);
        let settings = RegistrySettings::new(10_000_000, 10_000_000);
        let registry = Arc::new(Registry::new(settings, ids));
        let components = (0..series / PER_COMPONENT).map(|n| component(&registry, n)).collect();
        let telemetry = Arc::new(Telemetry::new());
        let page = page(&registry, &telemetry);
        let mut fleet = Self { registry, components, telemetry, page, round: 0 };
        fleet.report(1);
        fleet
    }

    /// Every `nth` component reports new values.
    fn report(&mut self, nth: usize) {
        self.round += 1;
        let now_s = SystemClock.now().seconds();
        for (at, component) in self.components.iter().enumerate().step_by(nth) {
            let mut state = component.lock();
            for entry in 0..PER_COMPONENT {
                let spread = (self.round * 7 + at as u64 * 3 + entry as u64 * 1_000) % 100_000;
                let value = match entry.saturating_sub(PLAIN) {
                    0 if entry < PLAIN => spread as f64 / 7.0,
                    // Each bucket has more than the one before, the count as much as the last.
                    bucket if bucket < BOUNDS.len() => (self.round * (bucket as u64 + 1)) as f64,
                    bucket if bucket == BOUNDS.len() => self.round as f64 * 2.5,
                    _ => (self.round * BOUNDS.len() as u64) as f64,
                };
                state.accept(entry, LastValue { timestamp: Timestamp::MIN, value }, now_s);
            }
            component.count_report(&mut state);
        }
    }

    /// A page that is not the one made before, which would be served for a second.
    fn scrape(&self) -> Duration {
        std::thread::sleep(Duration::from_millis(901));
        let began = on_processor();
        black_box(self.page.render(Format::OpenMetrics));
        on_processor() - began
    }
}

/// How long this thread has had a processor.
fn on_processor() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(times.split_once(' ').unwrap().0.parse().unwrap())
}

fn page(registry: &Arc<Registry>, telemetry: &Arc<Telemetry>) -> Page {
    let settings = PageSettings { stale_after_s: 86_400 };
    Page::new(Arc::clone(registry), Arc::new(SystemClock), Arc::clone(telemetry), settings)
}

fn component(registry: &Registry, n: usize) -> Arc<Component> {
    let key = ComponentKey::new("worker_pool", &format!("worker-{n:06}")).unwrap();
    let component = registry.find_or_insert(key);
    let host = format!("node-{:04}.example.internal", n % 1_000);
    let mut state = component.lock();
    let mut add = |name: &str, metric_type: MetricType, le: Option<&str>| {
        let mut labels = vec![("hostname", host.as_str())];
        labels.extend(le.map(|le| ("le", le)));
        let mut definition = Vec::new();
        write_identity(&mut definition, name, &labels);
        let identity = definition.len();
        write_metadata(&mut definition, metric_type, "What a worker says of itself", "");
        let found = registry.intern(&mut state, 0, &definition, identity, 0);
        assert!(matches!(found, Interned::New(..)), "{found:?}");
    };
    for nth in 0..PLAIN {
        let (metric_type, end) = match nth % 2 {
            0 => (MetricType::Gauge, "percent"),
            _ => (MetricType::Counter, "total"),
        };
        add(&format!("noetl_worker_figure_{nth}_{end}"), metric_type, None);
    }
    let histogram = "noetl_worker_job_duration_seconds";
    for le in BOUNDS {
        add(&format!("{histogram}_bucket"), MetricType::Histogram, Some(le));
    }
    for part in ["_sum", "_count"] {
        add(&format!("{histogram}{part}"), MetricType::Histogram, None);
    }
    drop(state);
    registry.mark_changed(&component);
    component
}

fn scrapes(criterion: &mut Criterion) {
    let series = std::env::var("NOETL_BENCH_SERIES")
        .map_or(100_000, |series| series.parse::<usize>().unwrap());
    let mut fleet = Fleet::new(series);
    let began = on_processor();
    let first = fleet.page.render(Format::OpenMetrics);
    println!(
        "{series} series: the first page took {:?}; {} bytes of text, {} compressed, {} kept",
        on_processor() - began,
        first.text_bytes(),
        first.gzip_bytes(),
        fleet.telemetry.page.memory_bytes.get(),
    );
    let mut group = criterion.benchmark_group("page");
    group.sample_size(10).throughput(Throughput::Elements(series as u64));
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(1));
    for (name, nth) in [("every component reported", 1), ("one of a hundred reported", 100)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        fleet.report(nth);
                        fleet.scrape()
                    })
                    .sum()
            });
        });
    }
    group.bench_function("nothing changed", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| fleet.scrape()).sum());
    });
    group.bench_function("served again", |bencher| {
        bencher.iter(|| black_box(first.gzip().len()));
    });
    group.bench_function("inflated", |bencher| {
        bencher.iter(|| first.text().map(|part| part.len()).sum::<usize>());
    });
    group.bench_function("made from nothing", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    fleet.components.iter().for_each(|one| fleet.registry.mark_changed(one));
                    let page = page(&fleet.registry, &fleet.telemetry);
                    let began = on_processor();
                    black_box(page.render(Format::OpenMetrics));
                    on_processor() - began
                })
                .sum()
        });
    });
    group.finish();
}

criterion_group!(benches, scrapes);
criterion_main!(benches);
