//! Questions to the server: what is found, and that it is found at once.

use serde_json::{Value, json};

use crate::client::gauges;
use crate::output::until;
use crate::server::Server;

fn values(answer: &Value) -> Vec<f64> {
    let samples = answer["metrics"].as_array().unwrap();
    assert_eq!(answer["count"], samples.len());
    samples.iter().map(|sample| sample["metric_value"].as_f64().unwrap()).collect()
}

#[test]
fn a_sample_is_visible_as_soon_as_it_is_acknowledged() {
    let client = Server::shared().client();
    for n in 0..20 {
        let name = format!("q{n}");
        client.report(&gauges("query-at-once", &name, &[f64::from(n)]));
        let answer = client.query(&[("component_name", "query-at-once"), ("metric_name", &name)]);
        assert_eq!(values(&answer), [f64::from(n)]);
    }
}

#[test]
fn an_eventual_query_sees_it_in_the_end() {
    let client = Server::shared().client();
    client.report(&gauges("query-eventual", "e", &[1.0]));
    until("the sample", || {
        let answer =
            client.query(&[("component_name", "query-eventual"), ("consistency", "eventual")]);
        (values(&answer) == [1.0]).then_some(())
    });
}

#[test]
fn each_filter_selects_what_it_says() {
    let client = Server::shared().client();
    let metric = |name: &str, kind: &str, value: u32, labels: Value| {
        json!({"metric_name": name, "metric_type": kind, "metric_value": value,
               "timestamp": 1_704_110_400 + value, "labels": labels})
    };
    let report = |component: &str, metrics: Value| {
        client.report(&json!({"component_name": component, "metrics": metrics}))
    };
    let first = report(
        "query-filter-a",
        json!([
            metric("cpu_user", "gauge", 1, json!({"core": "0", "host": "x"})),
            metric("cpu_user", "gauge", 2, json!({"core": "1", "host": "x"})),
            metric("jobs_total", "counter", 3, json!({"host": "y\"%&"})),
        ]),
    );
    report("query-filter-b", json!([metric("cpu_idle", "gauge", 4, json!({}))]));
    let check = |more: &[(&str, &str)], expected: &[f64]| {
        let mut parameters = vec![("component_name", "query-filter-*"), ("order", "asc")];
        parameters.retain(|(name, _)| more.iter().all(|(given, _)| given != name));
        parameters.extend(more);
        assert_eq!(values(&client.query(&parameters)), expected, "{more:?}");
    };
    check(&[], &[1.0, 2.0, 3.0, 4.0]);
    check(&[("order", "desc")], &[4.0, 3.0, 2.0, 1.0]);
    check(&[("component_name", "query-filter-b")], &[4.0]);
    check(&[("component_name", "query-filter")], &[]);
    check(&[("runtime_id", &first["runtime_id"].to_string())], &[1.0, 2.0, 3.0]);
    check(&[("metric_name", "cpu_user")], &[1.0, 2.0]);
    check(&[("metric_name", "cpu_*")], &[1.0, 2.0, 4.0]);
    check(&[("metric_name", "*total")], &[3.0]);
    check(&[("metric_name", "cpu%")], &[]);
    check(&[("metric_type", "counter")], &[3.0]);
    check(&[("labels", r#"{"host":"x"}"#)], &[1.0, 2.0]);
    check(&[("labels", r#"{"host":"x","core":"1"}"#)], &[2.0]);
    check(&[("labels", r#"{"host":"y\"%&"}"#)], &[3.0]);
    check(&[("start_time", "2024-01-01T12:00:02Z")], &[2.0, 3.0, 4.0]);
    check(&[("end_time", "1704110402")], &[1.0, 2.0]);
    check(
        &[("start_time", "2024-01-01T13:00:02+01:00"), ("end_time", "1704110403000")],
        &[2.0, 3.0],
    );
    check(&[("limit", "2")], &[1.0, 2.0]);
}

#[test]
fn cursors_lead_through_everything_once() {
    let client = Server::shared().client();
    let all: Vec<f64> = (0..25).map(f64::from).collect();
    client.report(&gauges("query-cursor", "c", &all));
    for (order, expected) in [("asc", all.clone()), ("desc", all.iter().copied().rev().collect())] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = client.query(&[
                ("component_name", "query-cursor"),
                ("order", order),
                ("limit", "10"),
                ("cursor", &cursor),
            ]);
            assert_eq!(answer["limit"], 10);
            seen.extend(values(&answer));
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
            assert!(seen.len() < 25, "the last page names a next one");
        }
        assert_eq!(seen, expected, "{order}");
    }
}

#[test]
fn samples_are_streamed_to_those_who_ask_for_lines_or_rows() {
    let client = Server::shared().client();
    let all: Vec<f64> = (0..2_000).map(f64::from).collect();
    client.report(&gauges("query-stream", "s", &all));
    let path = "/api/metrics/query?component_name=query-stream&order=asc";
    let get = |accept: &str| client.get_with(path, &[("accept", accept)]);
    let lines = get("text/html, application/x-ndjson");
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    let values: Vec<_> =
        lines.text().lines().map(|line| read(line)["metric_value"].as_f64().unwrap()).collect();
    assert_eq!(values, all, "more than a page has by default");
    let rows = get("text/csv");
    assert_eq!(rows.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(rows.text().lines().count(), 2_001);
    for accept in ["*/*", "application/json, text/csv", "text/csv;q=0.5, application/json"] {
        assert_eq!(get(accept).ok()["count"], 1_000, "{accept}");
    }
    let wrong = client.get_with(&format!("{path}&limit=x"), &[("accept", "text/csv")]);
    assert_eq!(wrong.error(400), "invalid_parameter");
}

#[test]
fn a_wrong_parameter_is_named() {
    let client = Server::shared().client();
    let check = |name: &str, value: &str| {
        let answer = client.try_query(&[(name, value)]);
        assert_eq!(answer.error(400), "invalid_parameter", "{name}={value}");
        assert!(answer.text().contains(name), "{}", answer.text());
    };
    check("component", "x");
    check("limit", "0");
    check("limit", "10001");
    check("limit", "ten");
    check("start_time", "yesterday");
    check("metric_type", "meter");
    check("labels", "[1]");
    check("labels", "{");
    check("order", "up");
    check("cursor", "x");
    check("consistency", "strong");
    check("runtime_id", "x");
    let crossed = [("start_time", "1704110403"), ("end_time", "1704110402")];
    assert_eq!(client.try_query(&crossed).error(400), "invalid_parameter");
    let encoded = client.get("/api/metrics/query?component_name=%ff");
    assert_eq!(encoded.error(400), "invalid_parameter");
}

#[test]
fn components_are_listed_by_type_and_name_as_soon_as_they_report() {
    let client = Server::shared().client();
    for name in ["query-list-b", "query-list-a"] {
        client.report(&gauges(name, "l", &[1.0]));
    }
    let answer = client.get("/api/metrics/components").ok();
    let components = answer["components"].as_array().unwrap();
    let keys: Vec<_> = components
        .iter()
        .map(|one| (one["component_type"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
    let ours: Vec<_> = components
        .iter()
        .filter(|one| one["name"].as_str().unwrap().starts_with("query-list-"))
        .collect();
    assert_eq!(ours.len(), 2, "{answer}");
    assert_eq!((&ours[0]["name"], &ours[0]["status"]), (&json!("query-list-a"), &json!("ready")));
    assert!(ours[0]["last_heartbeat"].as_str().unwrap() > "2025", "{answer}");
    assert!(ours[0]["runtime_id"].is_i64(), "{answer}");
}
