use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::metrics::Series;
use crate::scripted_server::{Reaction, Received, ScriptedServer, answer, taken};
use crate::settings::ServerUrl;
use crate::vocabulary::{
    DEREGISTER_PATH, HEARTBEAT_PATH, POOL_DEREGISTER_PATH, POOL_REGISTER_PATH, REGISTER_PATH,
    REPORT_PATH,
};

fn settings(url: &ServerUrl) -> Settings {
    Settings {
        server_url: url.clone(),
        name: Some("worker-1".to_owned()),
        worker_id: Some("7".to_owned()),
        metrics_interval: Duration::from_millis(100),
        heartbeat_interval: Duration::from_millis(100),
        backoff_max: Duration::from_millis(20),
        ..Settings::default()
    }
}

fn spawn(settings: Settings) -> Reporter {
    Builder::new(settings).system_figures(SystemFigures::Left).spawn().unwrap()
}

fn json(received: &Received) -> Value {
    let body = if received.header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(received.body.as_slice());
        std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
        plain
    } else {
        received.body.clone()
    };
    serde_json::from_slice(&body).unwrap()
}

/// The value of a metric in a report.
fn value(report: &Value, name: &str) -> Option<f64> {
    let metrics = report["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["metric_name"] == name)?["metric_value"].as_f64()
}

/// Answers each report as the script says, in turn, and everything after it and beside it well.
async fn scripted(script: Vec<Reaction>) -> ScriptedServer {
    let script = Mutex::new(script.into_iter());
    ScriptedServer::start(move |received| match received.line.contains(REPORT_PATH) {
        true => script.lock().unwrap().next().unwrap_or_else(taken),
        false => answer("200 OK", "", r#"{"status":"ok"}"#),
    })
    .await
}

#[tokio::test]
async fn a_worker_registers_beats_reports_and_leaves() {
    let mut server = scripted(Vec::new()).await;
    let reporter = spawn(settings(&server.url));
    reporter.metrics().counter(Series::new("jobs").label("queue", "a")).add(3);
    reporter.worker().max_workers().set(4.0);
    let task = reporter.worker().begin_task();
    let registration = json(&server.next_to(POOL_REGISTER_PATH).await);
    assert_eq!(registration["name"], "worker-1");
    assert_eq!(
        (&registration["runtime"], &registration["status"]),
        (&"cpu".into(), &"ready".into())
    );
    let first = server.next_to(REPORT_PATH).await;
    let report = json(&first);
    assert_eq!(value(&report, "jobs"), Some(3.0));
    assert_eq!(value(&report, "noetl_worker_status"), Some(1.0));
    assert_eq!(value(&report, "noetl_worker_max_workers"), Some(4.0));
    assert_eq!(value(&report, "noetl_worker_active_tasks"), Some(1.0));
    assert_eq!(report["metrics"][0]["labels"]["component"], "worker-1");
    assert_eq!(report["metrics"][0]["labels"]["worker_id"], "7");
    drop(task);
    server.next_to(HEARTBEAT_PATH).await;
    let next = server.next_to(REPORT_PATH).await;
    assert_ne!(next.header("idempotency-key"), first.header("idempotency-key"));
    let waiting = tokio::spawn(reporter.shutdown());
    let mut last = Value::Null;
    loop {
        let received = server.next().await;
        if received.line.contains(REPORT_PATH) {
            last = json(&received);
        } else if received.line.contains(POOL_DEREGISTER_PATH) {
            break;
        }
    }
    assert_eq!(value(&last, "noetl_worker_status"), Some(0.0), "the last report says so");
    assert_eq!(value(&last, "noetl_worker_active_tasks"), Some(0.0));
    assert_eq!(waiting.await.unwrap(), Left::default());
}

#[tokio::test]
async fn a_retry_is_the_same_bytes_under_the_same_key() {
    let again = answer("429 Too Many Requests", "", r#"{"error":"log_busy"}"#);
    let script = vec![Reaction::Close, again.clone(), answer("503 x", "", ""), Reaction::Close];
    let mut server = scripted(script).await;
    let reporter = spawn(settings(&server.url));
    let first = server.next_to(REPORT_PATH).await;
    for _ in 0..4 {
        let retry = server.next_to(REPORT_PATH).await;
        assert_eq!(retry.header("idempotency-key"), first.header("idempotency-key"));
        assert_eq!(retry.body, first.body);
    }
    let next = server.next_to(REPORT_PATH).await;
    assert_ne!(next.header("idempotency-key"), first.header("idempotency-key"));
    reporter.shutdown().await;
}

#[tokio::test]
async fn a_report_that_is_refused_is_dropped_counted_and_told() {
    let refused = answer("400 Bad Request", "", r#"{"error":"no_valid_metrics","detail":"d"}"#);
    let mut server = scripted(vec![refused]).await;
    let reporter = spawn(settings(&server.url));
    server.next_to(REPORT_PATH).await;
    loop {
        let report = json(&server.next_to(REPORT_PATH).await);
        let refused = report["metrics"].as_array().unwrap().iter().any(|metric| {
            metric["metric_name"] == "noetl_client_reports_dropped_total"
                && metric["labels"]["reason"] == "refused"
                && metric["metric_value"] == 1
        });
        if refused {
            break;
        }
    }
    assert_eq!(reporter.delivery().dropped().refused, 1);
    reporter.shutdown().await;
}

#[tokio::test]
async fn a_component_that_the_server_forgot_registers_again() {
    let forgot = Mutex::new(3);
    let mut server = ScriptedServer::start(move |received| {
        let mut left = forgot.lock().unwrap();
        let status = match received.line.contains(HEARTBEAT_PATH) && *left > 0 {
            true => {
                *left -= 1;
                "unknown"
            }
            false => "ok",
        };
        answer("200 OK", "", &format!("{{\"status\":\"{status}\"}}"))
    })
    .await;
    let reporter = spawn(settings(&server.url));
    for _ in 0..4 {
        server.next_to(POOL_REGISTER_PATH).await;
    }
    drop(reporter);
    // A reporter that is dropped takes its leave too.
    server.next_to(POOL_DEREGISTER_PATH).await;
}

#[tokio::test]
async fn a_component_of_another_type_registers_by_its_type_and_when_it_has_to() {
    let unknown = answer("404 Not Found", "", r#"{"error":"component_not_found"}"#);
    let mut server = scripted(vec![unknown]).await;
    let mut settings = settings(&server.url);
    settings.component_type = "broker".to_owned();
    let reporter = spawn(settings);
    for _ in 0..2 {
        let registration = json(&server.next_to(REGISTER_PATH).await);
        assert_eq!(registration["component_type"], "broker");
    }
    let waiting = tokio::spawn(reporter.shutdown());
    let received = server.next_to(DEREGISTER_PATH).await;
    assert_eq!(json(&received)["component_type"], "broker");
    assert!(received.line.starts_with("DELETE "));
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_keeps_nobody_beyond_the_deadline() {
    let server = ScriptedServer::start(|_| Reaction::Hang).await;
    let mut settings = settings(&server.url);
    settings.shutdown_timeout = Duration::from_millis(50);
    let reporter = spawn(settings);
    assert_eq!(reporter.shutdown().await, Left { reports: 1 });
}

#[test]
fn a_worker_without_a_runtime_reports_from_a_thread() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut server = runtime.block_on(scripted(Vec::new()));
    let reporter = Builder::new(settings(&server.url)).start().unwrap();
    let report = json(&runtime.block_on(server.next_to(REPORT_PATH)));
    assert!(value(&report, "noetl_process_memory_rss_bytes").unwrap() > 1e6, "{report}");
    assert_eq!(reporter.shutdown_blocking(), Left::default());
}

#[tokio::test]
async fn what_is_not_delivered_is_delivered_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let mut away = settings(&nowhere);
    away.spool_dir = Some(directory.path().to_owned());
    away.shutdown_timeout = Duration::from_millis(50);
    let reporter = spawn(away.clone());
    reporter.metrics().counter("jobs").add(5);
    let left = reporter.shutdown().await;
    assert!(left.reports >= 1);
    let mut server = scripted(Vec::new()).await;
    away.server_url = server.url.clone();
    away.shutdown_timeout = Duration::from_secs(60);
    let reporter = spawn(away.clone());
    let report = json(&server.next_to(REPORT_PATH).await);
    assert_eq!(value(&report, "jobs"), Some(5.0), "that of the first");
    // Neither way of starting panics on a thread of a runtime.
    for second in [Builder::new(away.clone()).spawn(), Builder::new(away).start()] {
        let error = second.unwrap_err();
        assert!(matches!(error, StartError::Spool(SpoolError::InUse { .. })), "{error}");
    }
    assert_eq!(reporter.shutdown().await, Left::default());
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 1, "the lock alone");
}

#[tokio::test]
async fn memory_is_bounded_while_the_server_is_away() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let mut settings = settings(&nowhere);
    settings.metrics_interval = Duration::from_millis(1);
    settings.queue_bytes = 64 << 10;
    settings.shutdown_timeout = Duration::ZERO;
    let reporter = spawn(settings);
    while reporter.delivery().dropped().overflowed < 50 {
        assert!(reporter.delivery().queue_bytes() <= 64 << 10);
        tokio::task::yield_now().await;
    }
    reporter.shutdown().await;
}
