//! What finding the series of a report's metrics costs: known ones in their usual order and in
//! another, and new ones.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark has no callers")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use noetl_metrics::model::series::{MetricType, write_identity, write_metadata};
use noetl_metrics::model::{ComponentKey, NodeNumber};
use noetl_metrics::registry::{Component, GroupIds, Interned, Registry, RegistrySettings};

/// The canonical bytes of a worker's series, each with how many of them are its identity.
fn definitions(series: usize) -> Vec<(Vec<u8>, usize)> {
    let definition = |n: usize| {
        let mut bytes = Vec::new();
        let (name, queue) =
            (format!("noetl_worker_figure_{}_total", n % 10), format!("q{}", n / 10));
        let labels =
            [("component", "worker-000001"), ("hostname", "node-1.internal"), ("queue", &*queue)];
        write_identity(&mut bytes, &name, &labels);
        let identity = bytes.len();
        write_metadata(&mut bytes, MetricType::Counter, "What a worker says of itself", "tasks");
        (bytes, identity)
    };
    (0..series).map(definition).collect()
}

fn registry() -> Registry {
    let settings = RegistrySettings::new(usize::MAX, usize::MAX);
    Registry::new(settings, GroupIds::new(NodeNumber::new(1).unwrap(), 0..1 << 40))
}

fn component(registry: &Registry, n: usize) -> Arc<Component> {
    registry.find_or_insert(ComponentKey::new("worker_pool", &format!("worker-{n:09}")).unwrap())
}

/// Interns all of a report; how many were known.
fn intern(registry: &Registry, component: &Component, report: &[(Vec<u8>, usize)]) -> usize {
    let mut state = component.lock();
    let mut known = |(nth, (definition, identity)): (usize, &(Vec<u8>, usize))| {
        let found = registry.intern(&mut state, nth, definition, *identity, 0);
        matches!(black_box(found), Interned::Known(..))
    };
    report.iter().enumerate().filter(|one| known(*one)).count()
}

fn series(criterion: &mut Criterion) {
    let registry = registry();
    let mut workers = 1000;
    for series in [10, 100] {
        let report = definitions(series);
        let reversed: Vec<_> = report.iter().rev().cloned().collect();
        let known = component(&registry, series);
        intern(&registry, &known, &report);
        let mut group = criterion.benchmark_group("intern");
        group.throughput(Throughput::Elements(series as u64));
        group.bench_function(BenchmarkId::new("known", series), |bencher| {
            bencher.iter(|| assert_eq!(intern(&registry, &known, &report), series));
        });
        // Each order is unlike the one before.
        let mut turn = false;
        group.bench_function(BenchmarkId::new("reordered", series), |bencher| {
            bencher.iter(|| {
                turn = !turn;
                let order = if turn { &reversed } else { &report };
                assert_eq!(intern(&registry, &known, order), series);
            });
        });
        group.bench_function(BenchmarkId::new("new", series), |bencher| {
            bencher.iter_batched(
                || {
                    workers += 1;
                    component(&registry, workers)
                },
                |component| assert_eq!(intern(&registry, &component, &report), 0),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, series);
criterion_main!(benches);
