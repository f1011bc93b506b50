//! What it costs a worker to touch a metric.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use noetl_metrics_client::{DURATION_BOUNDS, Metrics, Series};

fn handles(criterion: &mut Criterion) {
    let metrics = Metrics::new(10_000);
    let series = || Series::new("jobs").label("queue", "mail");
    let mut group = criterion.benchmark_group("touch");
    let counter = metrics.counter("jobs_total");
    group.bench_function("counter", |bencher| bencher.iter(|| counter.inc()));
    let gauge = metrics.gauge("load");
    group.bench_function("gauge_set", |bencher| bencher.iter(|| gauge.set(black_box(0.5))));
    group.bench_function("gauge_add", |bencher| bencher.iter(|| gauge.add(black_box(0.5))));
    let histogram = metrics.histogram("seconds", &DURATION_BOUNDS);
    group
        .bench_function("histogram", |bencher| bencher.iter(|| histogram.observe(black_box(0.07))));
    let summary = metrics.summary("bytes", &[0.5, 0.99]);
    group.bench_function("summary", |bencher| bencher.iter(|| summary.observe(black_box(700.0))));
    group.finish();
    criterion.bench_function("look_up", |bencher| bencher.iter(|| metrics.counter(series()).inc()));
}

criterion_group!(benches, handles);
criterion_main!(benches);
