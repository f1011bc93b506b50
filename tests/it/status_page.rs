//! The status page in a real browser, over a fleet of ten thousand.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::client::Client;
use crate::server::{Launch, Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const INSTALL: &str = "the test of the status page needs node and chromium, and playwright-core \
                       under target/node; `make test` installs them";

/// Where `scripts/setup.sh test` puts playwright-core.
fn node_modules() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("node/node_modules")
}

fn report_fleet(client: &Client) {
    let mut lines = String::new();
    for nth in 0..10_000 {
        let kind = ["worker_pool", "queue_worker", "broker"][nth % 3];
        let report = json!({"component_name": format!("fleet-{nth:05}"), "component_type": kind,
            "metrics": [{"metric_name": "up", "metric_type": "gauge", "metric_value": 1}]});
        writeln!(lines, "{report}").unwrap();
    }
    let answer = client.post(&[("content-type", "application/x-ndjson")], lines.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// An hour of `worker-live`, a sample a minute.
fn report_past(client: &Client) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let metrics: Vec<_> = (0..60)
        .rev()
        .map(|minute| {
            json!({"metric_name": "queue_depth", "metric_type": "gauge", "unit": "jobs",
                   "metric_value": 20 + (minute * 7) % 13, "labels": {"queue": "mail"},
                   "timestamp": now - 10 - minute * 59})
        })
        .collect();
    client.report(&json!({"component_name": "worker-live", "component_type": "worker_pool",
                          "metrics": metrics}));
}

fn report_now(client: &Client, nth: u64) {
    client.report(&json!({"component_name": "worker-live", "component_type": "worker_pool",
        "metrics": [{"metric_name": "jobs_total", "metric_type": "counter", "metric_value": nth},
                    {"metric_name": "cpu_percent", "metric_type": "gauge", "metric_value": nth % 100}]}));
}

#[test]
fn the_status_page_works_in_a_browser() {
    assert!(node_modules().join("playwright-core").exists(), "{INSTALL}");
    let server = Launch::new().start();
    let client = server.client();
    report_fleet(&client);
    report_past(&client);
    client.query(&[]);
    let looked = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut nth = 0;
            while !looked.load(Ordering::Relaxed) {
                nth += 1;
                report_now(&client, nth);
                // A worker reports at its pace; nothing waits for this.
                thread::park_timeout(Duration::from_millis(200));
            }
        });
        let output = Command::new("node")
            .arg(format!("{ROOT}/tests/it/status_page.cjs"))
            .arg(server.address().to_string())
            .args(std::env::var_os("STATUS_PAGE_PICTURES"))
            .env("NODE_PATH", node_modules())
            .output();
        looked.store(true, Ordering::Relaxed);
        output.expect(INSTALL)
    });
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}\n(if it is the browser that is missing: {INSTALL})");
}

#[test]
fn the_status_page_is_sent_once_and_lets_nothing_else_in() {
    let client = Server::shared().client();
    let plain = client.get("/");
    assert_eq!(plain.status, 200);
    let header = |name: &str| plain.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let gzip = client.get_with("/", &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    assert!(gzip.body.len() * 2 < plain.body.len(), "{} bytes", gzip.body.len());
    assert_ne!(gzip.headers["etag"], plain.headers["etag"]);
    let known = client.get_with("/", &[("if-none-match", header("etag"))]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    // An answer without a body is a good one.
    let instruments = client.get("/metrics").text();
    let line = "noetl_metrics_http_requests_total{route=\"service\",status=\"304\"} ";
    assert!(instruments.lines().any(|found| found.starts_with(line) && !found.ends_with(" 0")));
    let posted = client.post_to("/", b"{}");
    assert_eq!((posted.status, &posted.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
    let outside = plain.text().matches("src=\"http").count();
    assert_eq!(outside, 0);
}
