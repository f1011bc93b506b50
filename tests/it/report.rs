//! Reports that are taken, and what a client is told of them.

use serde_json::{Value, json};

use crate::client::{REPORT, gauges};
use crate::server::{Launch, Server};

/// The example of the HTTP contract, as `component`.
fn example(component: &str) -> Value {
    json!({
        "component_name": component,
        "component_type": "worker_pool",
        "metrics": [{
            "metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
            "metric_value": 45.2, "timestamp": "2024-01-01T12:00:00Z",
            "labels": {"component": component, "hostname": "node-1"},
            "help_text": "CPU usage percentage", "unit": "percent"
        }]
    })
}

#[test]
fn the_example_is_found_by_query_page_and_sql() {
    let server = Server::shared();
    let client = server.client();
    let answer = client.report(&example("report-example"));
    let runtime_id = answer["runtime_id"].as_i64().unwrap();
    assert_eq!(
        answer,
        json!({"status": "ok", "runtime_id": runtime_id, "metrics_inserted": 1, "durable": true})
    );

    let mut found = client.query(&[("component_name", "report-example")]);
    let sample = &mut found["metrics"][0];
    assert!(sample["metric_id"].take().as_str().unwrap().parse::<i64>().is_ok());
    assert!(sample["created_at"].take().as_str().unwrap() > "2025");
    assert_eq!(
        found,
        json!({
            "metrics": [{
                "metric_id": null, "runtime_id": runtime_id,
                "component_name": "report-example", "component_type": "worker_pool",
                "metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
                "metric_value": 45.2,
                "labels": {"component": "report-example", "hostname": "node-1"},
                "help_text": "CPU usage percentage", "unit": "percent",
                "timestamp": "2024-01-01T12:00:00Z", "created_at": null
            }],
            "count": 1, "limit": 1000, "next_cursor": null
        })
    );

    let page = client.get("/api/metrics/prometheus?component_name=report-example").text();
    assert_eq!(
        page,
        "# HELP noetl_system_cpu_usage_percent CPU usage percentage\n\
         # TYPE noetl_system_cpu_usage_percent gauge\n\
         noetl_system_cpu_usage_percent{component=\"report-example\",\
         component_type=\"worker_pool\",hostname=\"node-1\"} 45.2\n"
    );

    let row: (String, f64, String, String) = server.sql().row(
        "SELECT metric_name, metric_value, unit, (\"timestamp\" AT TIME ZONE 'UTC')::text
           FROM noetl.metrics WHERE component_name = 'report-example'",
    );
    let name = "noetl_system_cpu_usage_percent".to_owned();
    assert_eq!(row, (name, 45.2, "percent".to_owned(), "2024-01-01 12:00:00".to_owned()));
}

#[test]
fn a_bad_metric_is_named_and_the_others_are_taken() {
    let client = Server::shared().client();
    let metric = |name: Value, kind: Value, value: Value| json!({"metric_name": name, "metric_type": kind, "metric_value": value, "timestamp": 1_704_110_400});
    let good = |name: &str| metric(json!(name), json!("gauge"), json!(1));
    let mut labels = good("p7");
    labels["labels"] = json!([]);
    let mut future = good("p8");
    future["timestamp"] = json!("2999-01-01T00:00:00Z");
    let body = json!({"component_name": "report-partial", "metrics": [
        good("p0"), metric(json!(""), json!("gauge"), json!(1)),
        metric(json!("p2"), json!("meter"), json!(1)), metric(json!("p3"), json!("gauge"), json!("much")),
        metric(json!("p4"), json!("gauge"), json!(true)), metric(json!("x".repeat(256)), json!("gauge"), json!(1)),
        metric(json!(7), json!("gauge"), json!(1)), labels, future, 17, good("p10")
    ]});
    let answer = client.post(&[], body.to_string().as_bytes()).ok();
    assert_eq!(answer["metrics_inserted"], 2, "{answer}");
    let rejected = answer["metrics_rejected"].as_array().unwrap();
    let indexes: Vec<_> = rejected.iter().map(|one| one["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7, 8, 9], "{answer}");
    for one in rejected {
        assert!(one["reason"].as_str().unwrap().len() > 10, "{one}");
    }
    let mut names: Vec<_> = client
        .samples_of("report-partial")
        .iter()
        .map(|sample| sample["metric_name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["p0", "p10"]);
}

#[test]
fn every_form_of_a_value_and_a_time_comes_back_as_it_was_meant() {
    let client = Server::shared().client();
    let nanos: i64 = 1_704_110_405_000_000_999;
    let metrics = json!([
        {"metric_name": "v", "metric_type": "gauge", "metric_value": null, "timestamp": "2024-01-01T12:00:00Z"},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": "NaN", "timestamp": "2024-01-01T13:00:01.5+01:00"},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": "+Inf", "timestamp": 1_704_110_402},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": "-Inf", "timestamp": 1_704_110_403_000_i64},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": 0.1, "timestamp": 1_704_110_404_000_001_i64},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": 5e-324, "timestamp": nanos},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": -1.7976931348623157e308, "timestamp": "2024-01-01 12:00:06.123456789Z"},
        {"metric_name": "v", "metric_type": "gauge", "metric_value": 9_007_199_254_740_993_i64, "timestamp": "2024-01-01T12:00:07Z",
         "labels": {"n": 1, "b": true, "s": "x"}, "help_text": null, "unit": null},
    ]);
    let report = json!({"component_name": "report-forms", "metrics": metrics});
    assert_eq!(client.report(&report)["metrics_inserted"], 8);
    let answer = client.query(&[("component_name", "report-forms"), ("order", "asc")]);
    let seen: Vec<_> = answer["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| (sample["timestamp"].as_str().unwrap(), sample["metric_value"].clone()))
        .collect();
    assert_eq!(
        seen,
        [
            ("2024-01-01T12:00:00Z", json!("NaN")),
            ("2024-01-01T12:00:01.500000Z", json!("NaN")),
            ("2024-01-01T12:00:02Z", json!("+Inf")),
            ("2024-01-01T12:00:03Z", json!("-Inf")),
            ("2024-01-01T12:00:04.000001Z", json!(0.1)),
            ("2024-01-01T12:00:05Z", json!(5e-324)),
            ("2024-01-01T12:00:06.123456Z", json!(-1.797_693_134_862_315_7e308)),
            ("2024-01-01T12:00:07Z", json!(9_007_199_254_740_992.0)),
        ]
    );
    let last = &answer["metrics"][7];
    assert_eq!(last["labels"], json!({"n": "1", "b": "true", "s": "x"}));
    assert_eq!((&last["help_text"], &last["unit"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_repeat_is_stored_once_and_counted_as_taken() {
    let server = Server::shared();
    let client = server.client();
    let report = gauges("report-repeat", "r", &[1.0]);
    for _ in 0..3 {
        assert_eq!(client.report(&report)["metrics_inserted"], 1);
    }
    let other = gauges("report-repeat", "r", &[2.0]);
    client.report(&other);
    assert_eq!(client.samples_of("report-repeat").len(), 2);
}

#[test]
fn an_idempotency_key_gives_the_first_answer_again() {
    let client = Server::shared().client();
    let key = [("idempotency-key", "report-key-1")];
    let body = gauges("report-key", "k", &[1.0, 2.0, 3.0]).to_string();
    let first = client.post(&key, body.as_bytes()).ok();
    // The newest of the repeat's samples is the last one taken, the older ones are not.
    let again = client.post(&key, body.as_bytes()).ok();
    assert_eq!(first, again);
    assert_eq!(client.samples_of("report-key").len(), 3);

    let other = gauges("report-key", "k", &[4.0]).to_string();
    assert_eq!(client.post(&key, other.as_bytes()).error(409), "idempotency_key_reused");
    let long = "k".repeat(129);
    let refused = client.post(&[("idempotency-key", &long)], other.as_bytes());
    assert_eq!(refused.error(400), "invalid_idempotency_key");
    assert_eq!(client.samples_of("report-key").len(), 3);
}

#[test]
fn lines_are_reports_each_and_bad_ones_are_named() {
    let client = Server::shared().client();
    let headers = [("content-type", "application/x-ndjson")];
    let one = gauges("report-lines-1", "l", &[1.0, 2.0]);
    let two = gauges("report-lines-2", "l", &[3.0]);
    let body = format!("{one}\n\nno json\n{two}");
    let answer = client.post(&headers, body.as_bytes()).ok();
    assert_eq!(
        (&answer["lines"], &answer["metrics_inserted"], &answer["durable"]),
        (&json!(3), &json!(3), &json!(true)),
        "{answer}"
    );
    assert_eq!(answer["lines_rejected"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["lines_rejected"][0]["line"], 3, "{answer}");
    assert_eq!(client.samples_of("report-lines-1").len(), 2);
    assert_eq!(client.samples_of("report-lines-2").len(), 1);
    assert_eq!(client.post(&headers, b"\n \n").error(400), "no_lines");
}

#[test]
fn a_component_may_be_named_by_its_runtime_id() {
    let client = Server::shared().client();
    let named = client.report(&gauges("report-id", "i", &[1.0]));
    let mut report = gauges("", "i", &[2.0]);
    report.as_object_mut().unwrap().remove("component_name");
    report["runtime_id"] = named["runtime_id"].clone();
    assert_eq!(client.report(&report)["runtime_id"], named["runtime_id"]);
    assert_eq!(client.samples_of("report-id").len(), 2);

    report["runtime_id"] = json!(4);
    let unknown = client.post(&[], report.to_string().as_bytes());
    assert_eq!(unknown.error(404), "component_not_found");
    report.as_object_mut().unwrap().remove("runtime_id");
    assert_eq!(client.post(&[], report.to_string().as_bytes()).error(400), "no_component");
}

#[test]
fn a_hundred_thousand_metrics_come_in_one_body() {
    let server = Launch::new().flag("component-series-max", "100_000").start();
    let metric = |n: u32| {
        format!(
            r#"{{"metric_name":"m{n}","metric_type":"counter","metric_value":{n},"timestamp":1704110400}}"#
        )
    };
    let metrics: Vec<_> = (0..100_000).map(metric).collect();
    let body = format!(r#"{{"component_name":"report-huge","metrics":[{}]}}"#, metrics.join(","));
    let client = server.client();
    assert_eq!(client.post(&[], body.as_bytes()).ok()["metrics_inserted"], 100_000);
    client.query(&[("component_name", "report-huge"), ("limit", "1")]);
    let (count, sum): (i64, f64) = server.sql().row(
        "SELECT count(DISTINCT metric_name), sum(metric_value) FROM noetl.metrics
          WHERE component_name = 'report-huge'",
    );
    assert_eq!((count, sum), (100_000, 4_999_950_000.0));
}

#[test]
fn wrong_paths_and_methods_are_told_what_is_right() {
    let client = Server::shared().client();
    assert_eq!(client.get("/api/metrics/nothing").error(404), "not_found");
    let wrong = client.get(REPORT);
    assert_eq!(wrong.error(405), "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    for path in [
        "/api/metrics/query",
        "/api/metrics/prometheus",
        "/api/metrics/components",
        "/health",
        "/ready",
        "/metrics",
    ] {
        let wrong = client.delete(path);
        assert_eq!(wrong.error(405), "method_not_allowed", "{path}");
        assert_eq!(wrong.header("allow"), Some("GET, HEAD"), "{path}");
        let head = client.head(path);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    assert_eq!(client.get("/health").ok(), json!({"status": "ok"}));
    let ready = client.get("/ready").ok();
    assert_eq!((&ready["status"], &ready["database"]), (&json!("ready"), &json!("up")));
}
