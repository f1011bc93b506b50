//! What decoding a report costs, beside the tape alone and serde_json and sonic-rs into typed structs.

#[path = "support/report.rs"]
mod report;

use std::borrow::Cow;
use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use noetl_metrics::model::Timestamp;
use noetl_metrics::protocol::report::PADDING_BYTES;
use noetl_metrics::protocol::{DecodeSettings, ReportDecoder};
use serde::Deserialize;
use simd_json::{Buffers, Tape, fill_tape_padded};

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    component_name: Cow<'a, str>,
    #[serde(borrow)]
    metrics: Vec<Metric<'a>>,
}

#[derive(Deserialize)]
struct Metric<'a> {
    #[serde(borrow)]
    metric_name: Cow<'a, str>,
    #[serde(borrow)]
    metric_type: Cow<'a, str>,
    metric_value: f64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    labels: HashMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(borrow)]
    help_text: Cow<'a, str>,
    #[serde(borrow)]
    unit: Cow<'a, str>,
}

impl Report<'_> {
    /// Has all of it taken for used.
    fn read(&self) -> usize {
        for metric in &self.metrics {
            black_box((&metric.metric_name, &metric.metric_type, metric.metric_value));
            black_box((&metric.timestamp, &metric.labels));
            black_box((&metric.help_text, &metric.unit));
        }
        black_box(self.component_name.len())
    }
}

fn decode(criterion: &mut Criterion) {
    let now = Timestamp::from_micros(1_704_110_401_000_000).expect("in range");
    let settings = DecodeSettings::default();
    for metrics in [10, 100, 1_000] {
        let body = report::report("worker-cpu-01", metrics, "2024-01-01T12:00:00.123456+00:00");
        let body = body.into_bytes();
        let mut padded = body.clone();
        padded.resize(body.len() + PADDING_BYTES, 0);
        let mut group = criterion.benchmark_group("decode");
        group.throughput(Throughput::Elements(metrics as u64));

        let mut decoder = ReportDecoder::default();
        group.bench_function(BenchmarkId::new("report", metrics), |bencher| {
            // Nothing is escaped in this report, so decoding in place leaves it as it is.
            bencher.iter(|| {
                let report = decoder.decode_padded(&mut padded, body.len(), now, &settings);
                assert_eq!(report.expect("a good report").batch.samples.len(), metrics);
            });
        });

        let mut buffers = Buffers::with_max_depth(0, 16);
        let mut tape = Tape(Vec::new());
        group.bench_function(BenchmarkId::new("tape_alone", metrics), |bencher| {
            bencher.iter(|| {
                let mut filled = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
                fill_tape_padded(&mut padded, body.len(), &mut buffers, &mut filled)
                    .expect("good JSON");
                tape = black_box(filled).reset();
            });
        });

        group.bench_function(BenchmarkId::new("serde_json", metrics), |bencher| {
            bencher.iter(|| {
                let report: Report<'_> = serde_json::from_slice(&body).expect("good JSON");
                report.read()
            });
        });
        group.bench_function(BenchmarkId::new("sonic_rs", metrics), |bencher| {
            bencher.iter(|| {
                let report: Report<'_> = sonic_rs::from_slice(&body).expect("good JSON");
                report.read()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
