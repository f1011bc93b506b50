//! A large log at a start: how long it takes, in how much memory, and that nothing is missing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::cluster::Cluster;
use crate::output::until;
use crate::server::{Launch, Server};

/// Bytes that the log has when the server is killed.
const LOG_BYTES: i64 = 1 << 30;
/// What the server may need for it, in KiB: a hundred thousand series and one segment.
const MEMORY_KIB_MAX: i64 = 512 << 10;
const COMPONENTS: usize = 100;
const METRICS: i64 = 1000;
const CLIENTS: usize = 4;

/// Reports to `server` until its log is large enough; how many samples were acknowledged.
fn fill_the_log(server: &Server) -> i64 {
    let acknowledged = AtomicI64::new(0);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let http = server.client();
                let mut round = 0;
                while server.instrument("noetl_metrics_log_written_bytes_total") < LOG_BYTES {
                    for component in (client..COMPONENTS).step_by(CLIENTS) {
                        let metrics: Vec<_> = (0..METRICS)
                            .map(|metric| {
                                json!({"metric_name": format!("recovered_{metric}"),
                                       "metric_type": "gauge",
                                       "metric_value": round * METRICS + metric})
                            })
                            .collect();
                        http.report(&json!({"component_name": format!("recovered-{component}"),
                                            "metrics": metrics}));
                        acknowledged.fetch_add(METRICS, Ordering::Relaxed);
                    }
                    round += 1;
                }
            });
        }
    });
    acknowledged.into_inner()
}

#[test]
#[ignore = "fills a log with a gibibyte: cargo test --release --test it gibibyte -- --ignored --nocapture"]
fn a_log_of_a_gibibyte_is_recovered_in_bounded_memory() {
    let mut cluster = Cluster::start();
    cluster.create("recovered");
    let launch = Launch::new().database(&cluster.socket_url("recovered"));
    let mut server = launch.flag("log-budget-bytes", "2GiB").start();
    cluster.stop();
    let acknowledged = fill_the_log(&server);
    server.kill();

    // First without PostgreSQL, so that the log alone is measured.
    let began = Instant::now();
    server.start_again();
    let took = began.elapsed();
    let read = server.stderr().wait_for("read from the log", |line| {
        line.contains("read from the log").then(|| line.to_owned())
    });
    let peak = server.memory_kib("VmHWM");
    eprintln!(
        "{acknowledged} samples; ready after {took:?} with {} MiB at most; {read}",
        peak >> 10
    );
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");

    let began = Instant::now();
    cluster.start_again();
    // Each wait is bounded, and goes on while there is progress.
    let mut left = server.instrument("noetl_metrics_log_backlog_rows");
    while left > 0 {
        left = until("progress of the flush", || {
            let now = server.instrument("noetl_metrics_log_backlog_rows");
            (now < left).then_some(now)
        });
    }
    let peak = server.memory_kib("VmHWM");
    eprintln!("all in PostgreSQL {:?} later, with {} MiB at most", began.elapsed(), peak >> 10);
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB");
    let (stored,): (i64,) = server.sql().row(
        "SELECT sum(cardinality(vals))::int8 - sum(cardinality(array_positions(vals, NULL)))::int8
           FROM noetl.report",
    );
    assert_eq!(stored, acknowledged);
}
