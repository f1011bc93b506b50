//! `GET /ready` from the first moment of a server to its last: which latch holds it up.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Client, gauges};
use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::fleet::free_address;
use crate::output::{PATIENCE, until};
use crate::server::Launch;

/// How long requests wait for a server that starts.
const START_WAIT: Duration = Duration::from_secs(5);

/// The names of the latches that are up, of all that are told in their order.
fn up(answer: &Value) -> Vec<&str> {
    let latches = answer["latches"].as_array().unwrap();
    let names: Vec<_> = latches.iter().map(|latch| latch["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["port", "database", "memory", "log", "tasks", "stopping"]);
    let up = latches.iter().filter(|latch| latch["up"].as_bool().unwrap());
    up.map(|latch| latch["name"].as_str().unwrap()).collect()
}

fn until_connected(address: &SocketAddr) {
    until("the port", || TcpStream::connect(address).ok());
}

#[test]
fn a_server_that_starts_says_what_it_waits_for() {
    let mut cluster = Cluster::start();
    cluster.create("readiness");
    cluster.stop();
    let address: SocketAddr = free_address().parse().unwrap();
    let launch = Launch::new().database(&cluster.tcp_url("readiness", PASSWORD_IN_URL));
    let launch = launch.flag("listen", &address.to_string());
    let mut server = launch.spawn_in(crate::home::Home::new());
    let client = Client::new(address);

    until_connected(&address);
    assert_eq!(client.get("/health").ok(), json!({"status": "ok"}));
    let waiting = client.get("/ready");
    assert_eq!(waiting.error(503), "starting");
    assert_eq!(up(&waiting.json()), ["database", "memory", "log", "tasks"]);
    let detail = waiting.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("PostgreSQL is not reached"), "{detail}");

    // Everything else waits a while, and is then told to come again; also a body that nobody reads.
    let began = Instant::now();
    let refused = client.post(&[], &vec![b'x'; 1 << 20]);
    assert_eq!(refused.error(503), "starting");
    assert!(began.elapsed() >= START_WAIT, "{:?}", began.elapsed());

    cluster.start_again();
    server.wait_ready();
    let ready = client.get("/ready").ok();
    assert!(up(&ready).is_empty(), "{ready}");
    client.report(&gauges("readiness", "a", &[1.0]));
    let instruments = client.get("/metrics").text();
    let counted = "noetl_metrics_http_requests_total{route=\"report\",status=\"503\"} 1";
    assert!(instruments.contains(counted), "{instruments}");
}

#[test]
fn a_report_that_comes_during_a_start_waits_for_its_end() {
    let address: SocketAddr = free_address().parse().unwrap();
    let mut server = Launch::new().flag("listen", &address.to_string()).start();
    server.client().report(&gauges("restart", "a", &[1.0]));
    server.terminate();
    let reporting = std::thread::spawn(move || {
        until_connected(&address);
        let began = Instant::now();
        let report = gauges("restart", "b", &[2.0]).to_string();
        let answer = Client::new(address).post(&[], report.as_bytes());
        (answer.status, began.elapsed())
    });
    server.start_again();
    let (status, took) = reporting.join().unwrap();
    assert!(status == 200 || took >= START_WAIT, "{status} after {took:?}");
}

#[test]
fn a_server_that_stops_sends_load_balancers_away_before_it_refuses() {
    let mut server = Launch::new().flag("drain-delay", "10m").start();
    let client = server.client();
    server.signal(Signal::TERM);
    let stopping = until("the end of readiness", || {
        let answer = client.get("/ready");
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(stopping.error(503), "stopping");
    assert_eq!(up(&stopping.json()), ["stopping"]);
    // On new connections as well: not every load balancer has heard of it.
    let other = Client::new(server.address());
    other.report(&gauges("late", "a", &[1.0]));
    assert_eq!(other.get("/health").ok(), json!({"status": "ok"}));
    assert_eq!(other.samples_of("late").len(), 1);

    let began = Instant::now();
    let ended = server.terminate();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(began.elapsed() < PATIENCE, "a second signal cuts the delay short");
    assert!(!ended.stderr.contains("rows are in the log"), "{}", ended.stderr);
}
