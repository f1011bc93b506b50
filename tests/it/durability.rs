//! What an acknowledgement is worth: whoever dies, every acknowledged report is stored exactly once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, Raw, gauges};
use crate::output::until;
use crate::server::{Home, Launch, Server};

/// Workers that report at once.
const WORKERS: usize = 4;

/// Workers that report until they are told to stop, or until the server is gone. Each report has a
/// value and a time of its own and is sent once; the acknowledged ones are written down.
struct Stream<'a> {
    component: &'a str,
    sent: AtomicUsize,
    acknowledged: Mutex<Vec<usize>>,
    stop: AtomicBool,
}

impl<'a> Stream<'a> {
    fn new(component: &'a str) -> Self {
        Self {
            component,
            sent: AtomicUsize::new(0),
            acknowledged: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
        }
    }

    /// Reports to the server of `client` while `disturb` runs, then until it is told to stop.
    fn run(&self, client: &Client, disturb: impl FnOnce(&Self)) {
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let mut served = true;
                    while served && !self.stop.load(Ordering::Relaxed) {
                        served = self.send(client);
                    }
                });
            }
            disturb(self);
            self.stop.store(true, Ordering::Relaxed);
        });
        self.stop.store(false, Ordering::Relaxed);
    }

    /// Sends the next report; `false` when the server is gone.
    fn send(&self, client: &Client) -> bool {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.try_number(client, number)
    }

    /// Sends a report, under a key of its own; `false` when the server is gone.
    fn try_number(&self, client: &Client, number: usize) -> bool {
        let key = format!("{}-{number}", self.component);
        let headers = [("idempotency-key", key.as_str())];
        let Ok(answer) = client.try_post(&headers, self.report(number).as_bytes()) else {
            return false;
        };
        assert_eq!(answer.ok()["durable"], true);
        self.acknowledged.lock().unwrap().push(number);
        true
    }

    /// Two metrics, so that a report stored in half would be seen.
    fn report(&self, number: usize) -> String {
        let metric = |name: &str| {
            json!({"metric_name": name, "metric_type": "counter", "metric_value": number,
                   "timestamp": 1_704_110_400 + number})
        };
        json!({"component_name": self.component, "metrics": [metric("a"), metric("b")]}).to_string()
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until `count` more are acknowledged.
    fn wait_for(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        until("acknowledgements", || (self.acknowledged() >= wanted).then_some(()));
    }

    /// Whether all that was acknowledged is stored once, and nothing but what was sent.
    fn assert_stored_once(&self, server: &Server) {
        // A query waits for the flush of everything that was acknowledged.
        server.client().query(&[("component_name", self.component), ("limit", "1")]);
        let stored: Vec<(i64, i64, f64)> = server.sql().rows(&format!(
            "SELECT count(*), count(DISTINCT metric_name), metric_value FROM noetl.metrics
              WHERE component_name = '{}' GROUP BY metric_value ORDER BY metric_value",
            self.component
        ));
        for (samples, series, number) in &stored {
            assert_eq!((*samples, *series), (2, 2), "report {number}");
        }
        let mut acknowledged = self.acknowledged.lock().unwrap().clone();
        acknowledged.sort_unstable();
        let is_stored = |number: &usize| {
            stored.binary_search_by(|(.., value)| value.total_cmp(&(*number as f64))).is_ok()
        };
        let lost: Vec<_> = acknowledged.iter().filter(|number| !is_stored(number)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let unacknowledged = self.sent.load(Ordering::Relaxed) - acknowledged.len();
        let surplus = stored.len() - acknowledged.len();
        assert!(surplus <= unacknowledged, "{surplus} more than were acknowledged");
    }
}

#[test]
fn a_killed_server_has_every_acknowledged_report_once_after_its_restart() {
    let mut server = Launch::new().start();
    let stream = Stream::new("killed");
    for round in 0..3 {
        let client = server.client();
        stream.run(&client, |stream| {
            stream.wait_for(50);
            server.signal(Signal::KILL);
        });
        let postmaster = server.home().postmaster();
        server.ended();
        assert!(postmaster.is_some(), "PostgreSQL outlives the server");
        server.start_again();
        assert_eq!(server.home().postmaster(), postmaster, "it was adopted, round {round}");
        stream.assert_stored_once(&server);
    }
}

#[test]
fn a_retry_of_what_a_killed_server_did_not_acknowledge_is_not_doubled() {
    let mut server = Launch::new().start();
    let stream = Stream::new("retried");
    let client = server.client();
    stream.run(&client, |stream| {
        stream.wait_for(50);
        server.signal(Signal::KILL);
    });
    server.ended();
    server.start_again();
    let client = server.client();
    // Each worker's last report got no answer. Whether it was stored, only the server knows.
    let acknowledged = stream.acknowledged.lock().unwrap().clone();
    let sent = stream.sent.load(Ordering::Relaxed);
    let open: Vec<_> = (0..sent).filter(|number| !acknowledged.contains(number)).collect();
    assert!(!open.is_empty() && open.len() <= WORKERS, "{open:?}");
    for number in open {
        assert!(stream.try_number(&client, number));
    }
    stream.assert_stored_once(&server);
}

#[test]
fn a_repeat_is_known_after_a_crash_with_a_key_and_without() {
    let mut server = Launch::new().start();
    let key = [("idempotency-key", "durability-1")];
    let keyed = gauges("keyed", "k", &[1.0, 2.0, 3.0]).to_string();
    let plain = gauges("plain", "p", &[1.0]);
    let send = |server: &Server| {
        server.client().report(&plain);
        server.client().post(&key, keyed.as_bytes()).ok()["metrics_inserted"].clone()
    };
    let first = send(&server);
    server.kill();
    server.start_again();
    assert_eq!(send(&server), first);
    assert_eq!(server.client().samples_of("keyed").len(), 3);
    assert_eq!(server.client().samples_of("plain").len(), 1);
}

#[test]
fn reports_are_acknowledged_while_postgres_dies_and_all_arrive() {
    let server = Launch::new().start();
    let stream = Stream::new("postgres-killed");
    let client = server.client();
    stream.run(&client, |stream| {
        stream.wait_for(50);
        let before = server.home().postmaster();
        server.kill_postgres();
        stream.wait_for(50);
        until("another PostgreSQL", || {
            let now = server.home().postmaster();
            (now.is_some() && now != before).then_some(())
        });
        stream.wait_for(50);
    });
    stream.assert_stored_once(&server);
    assert_eq!(stream.acknowledged(), stream.sent.load(Ordering::Relaxed), "none was refused");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let first = Launch::new().start();
    let second = Launch::new().run_in(first.home());
    assert_eq!(second.status.code(), Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("is in use by another process"), "{}", second.stderr);
    first.client().report(&gauges("first", "f", &[1.0]));
    assert_eq!(first.client().samples_of("first").len(), 1);
}

#[test]
fn a_terminated_server_leaves_nothing_in_the_log_and_nothing_running() {
    // Nothing is flushed by age within the test.
    let launch = Launch::new().flag("batch-age-max", "15s").flag("query-timeout", "30s");
    let mut server = launch.start();
    let stream = Stream::new("terminated");
    let client = server.client();
    stream.run(&client, |stream| stream.wait_for(50));
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not yet in PostgreSQL"), "{}", ended.stderr);
    assert_eq!(server.home().postmaster(), None, "PostgreSQL was stopped");
    server.start_again();
    stream.assert_stored_once(&server);
}

#[test]
fn a_stopping_server_answers_what_it_has_begun_and_a_second_signal_ends_the_wait() {
    let launch = Launch::new().flag("drain-timeout", "1h").flag("body-timeout", "1h");
    let mut server = launch.start();
    let body = gauges("begun", "b", &[1.0]).to_string();
    let head = format!(
        "POST /api/metrics/report HTTP/1.1\r\nhost: it\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (mut prompt, mut late) = (Raw::open(server.address()), Raw::open(server.address()));
    for raw in [&mut prompt, &mut late] {
        // The answer to another request shows that the connection is served.
        raw.send("GET /health HTTP/1.1\r\nhost: it\r\n\r\n");
        raw.answer();
        raw.send(format!("{head}{}", &body[..10]));
    }
    let in_progress = "noetl_metrics_http_connections";
    assert!(server.client().get("/metrics").text().contains(in_progress));
    server.signal(Signal::TERM);
    server.stderr().wait_for_text("stopping: finishing requests");
    prompt.send(&body[10..]);
    let (head, body) = prompt.answer();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("\"durable\":true"));
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    server.start_again();
    assert_eq!(server.client().samples_of("begun").len(), 1);
}

#[test]
fn a_server_that_was_frozen_goes_on() {
    let server = Launch::new().start();
    let stream = Stream::new("frozen");
    let client = server.client();
    stream.run(&client, |stream| {
        stream.wait_for(20);
        server.signal(Signal::STOP);
        server.kill_postgres();
        server.signal(Signal::CONT);
        stream.wait_for(20);
    });
    stream.assert_stored_once(&server);
}

#[test]
fn a_signal_before_the_server_is_ready_leaves_a_directory_that_can_be_used() {
    let mut server = Launch::new().spawn_in(Home::new());
    until("PostgreSQL", || server.home().postmaster());
    server.signal(Signal::TERM);
    server.ended();
    server.start_again();
    server.client().report(&gauges("interrupted", "i", &[1.0]));
    assert_eq!(server.client().samples_of("interrupted").len(), 1);
}
