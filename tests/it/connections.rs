//! What a connection is granted: time, requests one behind the other, and an orderly end.

use std::time::Duration;

use crate::client::{Raw, gauges};
use crate::output::PATIENCE;
use crate::server::{Launch, Server};

fn report(component: &str, value: f64) -> String {
    let body = gauges(component, "c", &[value]).to_string();
    format!(
        "POST /api/metrics/report HTTP/1.1\r\nhost: it\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::shared();
    let mut raw = Raw::open(server.address());
    let requests: String = (0..20).map(|n| report("connections-pipelined", f64::from(n))).collect();
    raw.send(requests + "GET /health HTTP/1.1\r\nhost: it\r\n\r\n");
    for n in 0..20 {
        let (head, body) = raw.answer();
        assert!(head.starts_with("http/1.1 200 "), "answer {n}: {head}");
        assert!(String::from_utf8(body).unwrap().contains("\"metrics_inserted\":1"), "answer {n}");
    }
    assert_eq!(raw.answer().1, br#"{"status":"ok"}"#);
    // Twenty values of one series at one time are twenty samples: no two are equal.
    assert_eq!(server.client().samples_of("connections-pipelined").len(), 20);
}

#[test]
fn a_request_in_small_pieces_is_a_request() {
    let server = Server::shared();
    let mut raw = Raw::open(server.address());
    for byte in report("connections-pieces", 1.0).bytes() {
        raw.send([byte]);
    }
    assert!(raw.answer().0.starts_with("http/1.1 200 "));
    assert_eq!(server.client().samples_of("connections-pieces").len(), 1);
}

/// The server reads plain requests by itself and has hyper go on where something else comes.
#[test]
fn requests_of_all_kinds_share_a_connection() {
    let server = Server::shared();
    let name = "connections-mixed";
    let health = "GET /health HTTP/1.1\r\nhost: it\r\n\r\n";
    let mut values = (1..).map(f64::from);
    for cut in [1, 60, 120, 190] {
        let [first, second, third, fourth, fifth] =
            std::array::from_fn(|_| report(name, values.next().unwrap()));
        let length = second.len() - second.find("\r\n\r\n").unwrap() - 4;
        let chunked = fourth
            .replace("content-length", "transfer-encoding: chunked\r\nx-length")
            .replace("\r\n\r\n", &format!("\r\n\r\n{length:x}\r\n"))
            + "\r\n0\r\n\r\n";
        let mut raw = Raw::open(server.address());
        // What follows a report is not lost, and waits for its rest.
        raw.send(first + &second[..cut]);
        assert!(raw.answer().0.starts_with("http/1.1 200 "), "{cut}");
        raw.send(&second[cut..]);
        assert!(raw.answer().0.starts_with("http/1.1 200 "), "{cut}");
        raw.send(third + health + &chunked + &fifth + health);
        for nth in 0..5 {
            assert!(raw.answer().0.starts_with("http/1.1 200 "), "{cut}, {nth}");
        }
    }
    assert_eq!(server.client().samples_of(name).len(), 20);
}

/// A pause within a report is not the end of it.
#[test]
fn a_report_may_pause_for_longer_than_the_fast_path_waits() {
    let server = Server::shared();
    let whole = report("connections-paused", 1.0);
    for cut in [20, whole.len() - 1] {
        let mut raw = Raw::open(server.address());
        raw.send(&whole[..cut]);
        assert!(!raw.is_closed(Duration::from_millis(1200)), "{cut}");
        raw.send(&whole[cut..]);
        assert!(raw.answer().0.starts_with("http/1.1 200 "), "{cut}");
    }
    assert_eq!(server.client().samples_of("connections-paused").len(), 1);
}

#[test]
fn a_connection_goes_on_after_a_refusal() {
    let server = Server::shared();
    let mut raw = Raw::open(server.address());
    let refused = report("connections-refused", 1.0).replace("application/json", "text/plain");
    for _ in 0..3 {
        raw.send(&refused);
        assert!(raw.answer().0.starts_with("http/1.1 415 "));
    }
    raw.send(report("connections-refused", 1.0));
    assert!(raw.answer().0.starts_with("http/1.1 200 "));
}

#[test]
fn a_body_that_breaks_off_leaves_nothing_behind() {
    let server = Server::shared();
    let mut raw = Raw::open(server.address());
    let whole = report("connections-broken", 1.0);
    raw.send(&whole[..whole.len() - 1]);
    raw.finish();
    let (head, body) = raw.answer();
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("body_broken"));
    assert!(raw.is_closed(PATIENCE), "open after a broken body");
    assert_eq!(server.client().samples_of("connections-broken").len(), 0);
}

#[test]
fn slow_bodies_and_silent_connections_are_not_waited_for() {
    let server = Launch::new().flag("body-timeout", "200ms").flag("keep-alive", "1s").start();
    let mut slow = Raw::open(server.address());
    let whole = report("connections-slow", 1.0);
    slow.send(&whole[..whole.len() - 1]);
    let (head, body) = slow.answer();
    assert!(head.starts_with("http/1.1 408 "), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("body_too_slow"));

    let mut silent = Raw::open(server.address());
    silent.send(report("connections-silent", 1.0));
    assert!(silent.answer().0.starts_with("http/1.1 200 "));
    assert!(!silent.is_closed(Duration::from_millis(100)), "closed before keep-alive was over");
    assert!(silent.is_closed(PATIENCE), "open after keep-alive");

    let mut mute = Raw::open(server.address());
    assert!(mute.is_closed(PATIENCE), "a connection without a request stays open");
    assert_eq!(server.client().samples_of("connections-slow").len(), 0);
}

#[test]
fn what_is_no_http_is_refused_and_others_go_on() {
    let server = Server::shared();
    let mut raw = Raw::open(server.address());
    raw.send("no http at all\r\n\r\n");
    assert!(raw.answer().0.starts_with("http/1.1 400 "));
    let mut many = Raw::open(server.address());
    let headers: String = (0..100).map(|n| format!("x-{n}: 1\r\n")).collect();
    many.send(format!("GET /health HTTP/1.1\r\nhost: it\r\n{headers}\r\n"));
    assert!(many.answer().0.starts_with("http/1.1 431 "));
    server.client().get("/health").ok();
}
