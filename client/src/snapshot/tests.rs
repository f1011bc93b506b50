use serde_json::{Value, json};

use super::*;

fn reporting(labels: &[(&str, &str)]) -> Reporting {
    Reporting {
        component_name: "a \"worker\"".to_owned(),
        component_type: Some("worker_pool".to_owned()),
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
    }
}

fn snapshot(series_max: usize) -> Snapshot {
    Snapshot::new(&reporting(&[("hostname", "node-1")]), 1_700_000_000_000_001, series_max)
}

fn read(documents: &[Document]) -> Vec<Value> {
    documents.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect()
}

#[test]
fn a_report_is_what_the_contract_says() {
    let mut snapshot = snapshot(10);
    snapshot.push(&Sample {
        labels: &[("queue", "a\n"), ("hostname", "other")],
        help: "Jobs done",
        unit: "jobs",
        ..Sample::new("jobs_total", MetricType::Counter, 7.0)
    });
    let timestamp_us = Some(5);
    let load = Sample { timestamp_us, ..Sample::new("load", MetricType::Gauge, 0.1) };
    snapshot.push(&load);
    let reports = read(&snapshot.finish());
    let expected = json!({
        "component_name": "a \"worker\"", "component_type": "worker_pool",
        "metrics": [
            {"metric_name": "jobs_total", "metric_type": "counter", "metric_value": 7,
             "labels": {"hostname": "other", "queue": "a\n"}, "help_text": "Jobs done",
             "unit": "jobs", "timestamp": 1_700_000_000_000_001_i64},
            {"metric_name": "load", "metric_type": "gauge", "metric_value": 0.1,
             "labels": {"hostname": "node-1"}, "timestamp": 5},
        ]
    });
    assert_eq!(reports, [expected]);
}

#[test]
fn every_float_is_written_so_that_it_comes_back() {
    let mut snapshot = snapshot(100);
    let floats = [0.1, -0.0, 1e300, 5e-324, 1e15, 9_007_199_254_740_993.0, -3.0, f64::MAX];
    for (n, value) in floats.iter().enumerate() {
        snapshot.push(&Sample::new(&format!("m{n}"), MetricType::Gauge, *value));
    }
    for (name, value) in [("nan", f64::NAN), ("up", f64::INFINITY), ("down", f64::NEG_INFINITY)] {
        snapshot.push(&Sample::new(name, MetricType::Gauge, value));
    }
    let report = read(&snapshot.finish()).remove(0);
    let values: Vec<_> =
        report["metrics"].as_array().unwrap().iter().map(|m| &m["metric_value"]).collect();
    for (value, float) in values.iter().zip(floats) {
        assert_eq!(value.as_f64(), Some(float));
    }
    assert_eq!(values[floats.len()..], [&json!("NaN"), &json!("+Inf"), &json!("-Inf")]);
}

#[test]
fn what_a_server_would_reject_or_count_twice_is_refused() {
    let mut snapshot = snapshot(3);
    let good = Sample::new("good", MetricType::Gauge, 1.0);
    let long = "x".repeat(256);
    let many: Vec<String> = (0..64).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(|n| (n.as_str(), "")).collect();
    let check = |snapshot: &mut Snapshot, sample: Sample<'_>, refused: u64| {
        snapshot.push(&sample);
        assert_eq!(snapshot.refused(), refused, "{sample:?}");
    };
    check(&mut snapshot, good, 0);
    check(&mut snapshot, Sample { value: 2.0, ..good }, 1);
    check(&mut snapshot, Sample { labels: &[("a", "b")], ..good }, 1);
    check(&mut snapshot, Sample { name: "", ..good }, 2);
    check(&mut snapshot, Sample { name: &long, ..good }, 3);
    check(&mut snapshot, Sample { name: "a\0", ..good }, 4);
    check(&mut snapshot, Sample { unit: &long, ..good }, 5);
    check(&mut snapshot, Sample { labels: &many, ..good }, 6);
    check(&mut snapshot, Sample { labels: &[("", "b")], ..good }, 7);
    check(&mut snapshot, Sample { name: "third", help: &"ä".repeat(2000), ..good }, 7);
    check(&mut snapshot, Sample { name: "fourth", ..good }, 8);
    let report = read(&snapshot.finish()).remove(0);
    assert_eq!(report["metrics"].as_array().unwrap().len(), 3);
    assert_eq!(report["metrics"][2]["help_text"].as_str().unwrap().len(), 1024);
}

#[test]
fn a_large_snapshot_is_several_reports_and_an_empty_one_is_none() {
    assert_eq!(snapshot(10).finish(), []);
    let mut snapshot = snapshot(usize::MAX);
    for n in 0..20_000 {
        let number = n.to_string();
        let labels = [("n", number.as_str())];
        snapshot.push(&Sample { labels: &labels, ..Sample::new("m", MetricType::Gauge, 0.0) });
    }
    let documents = snapshot.finish();
    assert!(documents.len() > 1);
    let total: u32 = documents.iter().map(|one| one.samples).sum();
    assert_eq!(total, 20_000);
    for (document, report) in documents.iter().zip(read(&documents)) {
        assert!(document.body.len() < REPORT_BYTES_MAX + 10_000);
        assert_eq!(report["metrics"].as_array().unwrap().len(), document.samples as usize);
    }
}
