//! The client for workers against the real server.

use std::time::Duration;

use noetl_metrics_client::{Builder, Left, Reporter, Settings};
use serde_json::Value;

use crate::output::until;
use crate::server::{Launch, Server};

/// The worker of the examples, as it is.
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../client/examples/worker.rs"]
mod example;

/// A worker of that name that reports often.
pub(crate) fn settings(url: &str, name: &str) -> Settings {
    let mut settings = Settings::default();
    settings.server_url = url.parse().unwrap();
    settings.name = Some(name.to_owned());
    settings.metrics_interval = Duration::from_millis(200);
    settings.heartbeat_interval = Duration::from_millis(200);
    settings.shutdown_timeout = Duration::from_secs(60);
    settings
}

fn start(settings: Settings) -> Reporter {
    Builder::new(settings).start().unwrap()
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn status(server: &Server, name: &str) -> Option<Value> {
    let list = server.client().get("/api/worker/pools").ok();
    let items = list["items"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).map(|item| item["status"].clone())
}

#[test]
fn the_worker_of_the_examples_reports_all_that_it_did() {
    let server = Server::shared();
    let left = example::work(settings(&url(server), "rust-example"), 1000).unwrap();
    assert_eq!(left, Left::default());
    assert_eq!(status(server, "rust-example"), Some("offline".into()), "it took its leave");
    server.client().query(&[("component_name", "rust-example")]);
    let mut sql = server.sql();
    // The last value of each series.
    let last: Vec<(String, String, f64)> = sql.rows(
        "SELECT DISTINCT ON (metric_name, labels) metric_name, metric_type, metric_value
           FROM noetl.metrics WHERE component_name = 'rust-example'
          ORDER BY metric_name, labels, \"timestamp\" DESC",
    );
    let values = |name: &str| -> Vec<(&str, f64)> {
        last.iter().filter(|(n, ..)| n == name).map(|(_, t, v)| (t.as_str(), *v)).collect()
    };
    assert_eq!(values("jobs_done_total"), [("counter", 1000.0)]);
    assert_eq!(values("job_seconds_count"), [("histogram", 1000.0)]);
    assert_eq!(values("job_seconds_bucket").len(), 12);
    assert_eq!(values("job_bytes").len(), 2);
    assert_eq!(values("job_bytes_count"), [("summary", 1000.0)]);
    assert_eq!(values("noetl_worker_status"), [("gauge", 0.0)]);
    assert_eq!(values("noetl_worker_active_tasks"), [("gauge", 0.0)]);
    assert_eq!(values("noetl_worker_queue_size"), [("gauge", 0.0)]);
    assert!(values("noetl_process_memory_rss_bytes")[0].1 > 1e6);
    assert_eq!(values("noetl_client_reports_dropped_total"), [("counter", 0.0); 3]);
    let (all, distinct) = sql.samples_of("rust-example");
    assert_eq!(all, distinct, "nothing stands twice");
    let page = server.client().get("/api/metrics/prometheus?component_name=rust-example").text();
    assert!(page.contains("# TYPE job_seconds histogram\n"), "{page}");
    assert!(page.contains("# TYPE job_bytes summary\n"), "{page}");
}

#[test]
fn a_server_that_is_killed_knows_its_worker_again() {
    // The port stays, for the worker was told it once.
    let listen = crate::fleet::free_address();
    let mut server = Launch::new().flag("listen", &listen).start();
    let reporter = start(settings(&url(&server), "rust-again"));
    until("the registration", || {
        (status(&server, "rust-again") == Some("ready".into())).then_some(())
    });
    until("a report", || (reporter.delivery().delivered() > 0).then_some(()));
    server.kill();
    reporter.metrics().counter("jobs_total").add(7);
    server.start_again();
    let before = reporter.delivery().delivered();
    until("a report", || (reporter.delivery().delivered() > before).then_some(()));
    assert_eq!(status(&server, "rust-again"), Some("ready".into()));
    assert_eq!(reporter.shutdown_blocking(), Left::default());
    assert_eq!(status(&server, "rust-again"), Some("offline".into()));
    server.client().query(&[("component_name", "rust-again")]);
    let (all, distinct) = server.sql().samples_of("rust-again");
    assert_eq!(all, distinct);
}

#[test]
fn a_worker_that_has_to_register_first_does() {
    let server = Launch::new().flag("require-registration", "true").start();
    let mut settings = settings(&url(&server), "rust-broker");
    settings.component_type = "broker".to_owned();
    let reporter = start(settings);
    until("a report", || (reporter.delivery().delivered() > 1).then_some(()));
    assert_eq!(reporter.delivery().dropped(), noetl_metrics_client::Dropped::default());
    assert_eq!(reporter.shutdown_blocking(), Left::default());
    let row: (String, String) = server
        .sql()
        .row("SELECT component_type, status FROM noetl.runtime WHERE name = 'rust-broker'");
    assert_eq!(row, ("broker".to_owned(), "offline".to_owned()));
}
