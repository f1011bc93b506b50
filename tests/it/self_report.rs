//! What the server says of itself, when asked and by itself.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::output::until;
use crate::server::{Launch, Server};

const SELF_REPORT: &str = "/api/metrics/self-report";

const NAMES: [&str; 9] = [
    "noetl_process_cpu_percent",
    "noetl_process_memory_rss_bytes",
    "noetl_process_start_time_seconds",
    "noetl_server_active_workers",
    "noetl_server_queue_size",
    "noetl_system_cpu_usage_percent",
    "noetl_system_memory_usage_bytes",
    "noetl_system_memory_usage_percent",
    "noetl_uptime_seconds",
];

/// The newest value of each metric of a component.
fn values(server: &Server, component: &str) -> BTreeMap<String, f64> {
    let mut samples = server.client().samples_of(component);
    samples.reverse();
    let value = |sample: &Value| {
        let name = sample["metric_name"].as_str().unwrap().to_owned();
        assert_eq!(sample["labels"]["component"], component, "{sample}");
        assert!(sample["help_text"].is_string() && sample["unit"].is_string(), "{sample}");
        (name, sample["metric_value"].as_f64().unwrap())
    };
    samples.iter().map(value).collect()
}

#[test]
fn the_server_measures_itself_when_asked() {
    let server = Launch::new().flag("server-name", "self-it").start();
    let client = server.client();
    let pool = json!({"name": "w", "runtime": "cpu", "base_url": "http://w"});
    client.post_json("/api/worker/pool/register", &pool).ok();
    let answer = client.post_to(SELF_REPORT, b"").ok();
    let id = answer["runtime_id"].as_i64().unwrap();
    let expected = json!({"status": "ok", "component_name": "self-it", "runtime_id": id,
                          "metrics_reported": 9});
    assert_eq!(answer, expected);
    let values = values(&server, "self-it");
    assert_eq!(values.keys().collect::<Vec<_>>(), NAMES);
    let row: (i64, String) = server
        .sql()
        .row("SELECT runtime_id, component_type FROM noetl.runtime WHERE name = 'self-it'");
    assert_eq!(row, (id, "server_api".to_owned()), "it is the server's own row");
    for percent in ["noetl_system_cpu_usage_percent", "noetl_system_memory_usage_percent"] {
        assert!((0.0..=100.0).contains(&values[percent]), "{percent}: {}", values[percent]);
    }
    assert!(values["noetl_process_memory_rss_bytes"] > 1e6, "{values:?}");
    assert!(values["noetl_process_start_time_seconds"] > 1.7e9, "{values:?}");
    assert!(values["noetl_uptime_seconds"] < 600.0, "{values:?}");
    assert_eq!(values["noetl_server_active_workers"], 1.0);
    client.delete_json("/api/worker/pool/deregister", &json!({"name": "w"})).ok();
    client.post_to(SELF_REPORT, b"").ok();
    assert_eq!(self::values(&server, "self-it")["noetl_server_active_workers"], 0.0);
    let page = client.get("/api/metrics/prometheus").text();
    let line = "noetl_server_queue_size{component=\"self-it\",component_type=\"server_api\"";
    assert!(page.contains(line), "{page}");
}

#[test]
fn it_reports_under_the_name_that_is_asked_for() {
    let server = Server::shared();
    let client = server.client();
    let report = |query: &str| client.post_to(&format!("{SELF_REPORT}?{query}"), b"");
    let answer = report("component_name=self%20named").ok();
    assert_eq!(answer["component_name"], "self named");
    assert_eq!(values(server, "self named").len(), 9);
    let pool = json!({"name": "self-pool", "runtime": "cpu", "base_url": "http://w"});
    let registered = client.post_json("/api/worker/pool/register", &pool).ok();
    let answer = report("component_name=self-pool").ok();
    assert_eq!(answer["runtime_id"], registered["runtime_id"], "one of that name is known");
    assert_eq!(report("name=x").error(400), "invalid_parameter");
    assert_eq!(report("component_name=%00").error(400), "invalid_component");
    let long = format!("component_name={}", "x".repeat(256));
    assert_eq!(report(&long).error(400), "invalid_component");
    assert_eq!(client.get(SELF_REPORT).error(405), "method_not_allowed");
}

#[test]
fn it_reports_by_itself_at_its_interval() {
    let launch = Launch::new().flag("server-metrics-interval", "300ms");
    let server = launch.flag("worker-pool-name", "self-pool-name").start();
    until("three reports", || {
        let samples = server.client().samples_of("self-pool-name");
        let starts = samples.iter().filter(|one| one["metric_name"] == "noetl_uptime_seconds");
        (starts.count() >= 3).then_some(())
    });
}

#[test]
fn a_stopping_server_does_not_wait_for_its_own_report() {
    let mut server = Launch::new().flag("server-metrics-interval", "1s").start();
    server.client().post_to(SELF_REPORT, b"").ok();
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("ERROR"), "{}", ended.stderr);
}
