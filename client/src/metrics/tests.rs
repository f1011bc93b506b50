use serde_json::Value;

use super::*;
use crate::snapshot::Reporting;

/// What a snapshot of the metrics has: name, type, labels but for `component`, value.
fn samples(metrics: &Metrics) -> Vec<(String, String, String, Value)> {
    let reporting = Reporting {
        component_name: "w".to_owned(),
        component_type: Some("worker_pool".to_owned()),
        labels: Vec::new(),
    };
    let mut snapshot = Snapshot::new(&reporting, 1, 10_000);
    metrics.write_to(&mut snapshot);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut samples = Vec::new();
    for document in snapshot.finish() {
        let report: Value = serde_json::from_slice(&document.body).unwrap();
        for metric in report["metrics"].as_array().unwrap() {
            let labels = metric["labels"].as_object().map(|labels| {
                let labels = labels.iter().map(|(name, value)| format!("{name}={}", text(value)));
                labels.collect::<Vec<_>>().join(",")
            });
            samples.push((
                text(&metric["metric_name"]),
                text(&metric["metric_type"]),
                labels.unwrap_or_default(),
                metric["metric_value"].clone(),
            ));
        }
    }
    samples
}

fn expect(found: &[(String, String, String, Value)], expected: &[(&str, &str, &str, f64)]) {
    let found: Vec<_> = found
        .iter()
        .map(|(name, kind, labels, value)| {
            (name.as_str(), kind.as_str(), labels.as_str(), value.as_f64().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_series_has_one_handle_whoever_asks_and_in_whatever_order_of_labels() {
    let metrics = Metrics::new(100);
    metrics.counter(Series::new("jobs").label("a", "1").label("b", "2")).inc();
    metrics.counter(Series::new("jobs").label("b", "0").label("b", "2").label("a", "1")).add(2);
    metrics.counter(Series::new("jobs").label("a", "2")).inc();
    metrics.gauge("load").set(0.5);
    expect(
        &samples(&metrics),
        &[
            ("jobs", "counter", "a=1,b=2", 3.0),
            ("jobs", "counter", "a=2", 1.0),
            ("load", "gauge", "", 0.5),
        ],
    );
    assert_eq!(metrics.refused(), 0);
}

#[test]
fn histograms_and_summaries_are_the_series_of_the_contract() {
    let metrics = Metrics::new(100);
    let histogram = metrics.histogram(Series::new("h").label("q", "x"), &[0.5, 1.0]);
    [0.1, 0.7, 3.0].into_iter().for_each(|value| histogram.observe(value));
    metrics.summary("s", &[0.5]).observe(1.0);
    let found = samples(&metrics);
    expect(
        &found[..5],
        &[
            ("h_bucket", "histogram", "le=0.5,q=x", 1.0),
            ("h_bucket", "histogram", "le=1.0,q=x", 2.0),
            ("h_bucket", "histogram", "le=+Inf,q=x", 3.0),
            ("h_sum", "histogram", "q=x", 3.8),
            ("h_count", "histogram", "q=x", 3.0),
        ],
    );
    assert_eq!((found[5].0.as_str(), found[5].2.as_str()), ("s", "quantile=0.5"));
    expect(&found[6..], &[("s_sum", "summary", "", 1.0), ("s_count", "summary", "", 1.0)]);
}

#[test]
fn beyond_the_bound_or_of_another_type_a_handle_counts_for_nobody() {
    let metrics = Metrics::new(3);
    let one = metrics.counter("one");
    metrics.gauge("one").set(5.0);
    assert_eq!(metrics.refused(), 1, "another type");
    metrics.histogram("h", &[1.0]).observe(1.0);
    assert_eq!(metrics.refused(), 2, "it is four series");
    metrics.counter("two");
    metrics.counter("three");
    let four = metrics.counter("four");
    four.inc();
    assert_eq!((metrics.refused(), four.get()), (3, 1));
    one.inc();
    metrics.counter("one").inc();
    expect(
        &samples(&metrics),
        &[("one", "counter", "", 2.0), ("two", "counter", "", 0.0), ("three", "counter", "", 0.0)],
    );
}

#[test]
fn a_source_that_panics_is_counted_and_takes_nothing_with_it() {
    let metrics = Metrics::new(100);
    metrics.add_source(|_| panic!("a fault of the worker"));
    metrics.add_source(|snapshot| {
        snapshot.push(&Sample::new("mine", MetricType::Gauge, 1.0));
    });
    metrics.counter("one").inc();
    for round in 1..=2 {
        let expected = [("one", "counter", "", 1.0), ("mine", "gauge", "", 1.0)];
        expect(&samples(&metrics), &expected);
        assert_eq!(metrics.panicked(), round);
    }
}

#[cfg(feature = "prometheus")]
#[test]
fn a_registry_of_prometheus_is_taken_over() {
    use prometheus::{HistogramOpts, IntCounterVec, Opts, Registry};

    let registry = Registry::new();
    let jobs = IntCounterVec::new(Opts::new("jobs_total", "Jobs"), &["queue"]).unwrap();
    let seconds = prometheus::Histogram::with_opts(
        HistogramOpts::new("seconds", "How long").buckets(vec![1.0, 2.0]),
    )
    .unwrap();
    let load = prometheus::Gauge::new("load", "Load").unwrap();
    registry.register(Box::new(jobs.clone())).unwrap();
    registry.register(Box::new(seconds.clone())).unwrap();
    registry.register(Box::new(load.clone())).unwrap();
    jobs.with_label_values(&["mail"]).inc_by(3);
    seconds.observe(1.5);
    load.set(0.25);
    let metrics = Metrics::new(100);
    metrics.add_prometheus(registry);
    expect(
        &samples(&metrics),
        &[
            ("jobs_total", "counter", "queue=mail", 3.0),
            ("load", "gauge", "", 0.25),
            ("seconds_bucket", "histogram", "le=1.0", 0.0),
            ("seconds_bucket", "histogram", "le=2.0", 1.0),
            ("seconds_bucket", "histogram", "le=+Inf", 1.0),
            ("seconds_sum", "histogram", "", 1.5),
            ("seconds_count", "histogram", "", 1.0),
        ],
    );
}
