//! Clients that are slow, silent or greedy: each costs a bounded time and a bounded memory, and
//! nobody else has to wait.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::{Raw, gauges};
use crate::output::{PATIENCE, until};
use crate::server::{Launch, Server};

/// Long enough that nothing ends by it within a test.
const NEVER: &str = "1h";

/// The start of a report whose body is to come in chunks.
const CHUNKED: &str =
    "POST /api/metrics/report HTTP/1.1\r\nhost: it\r\ntransfer-encoding: chunked\r\n\r\n";

fn wait_for_connections(server: &Server, count: i64) {
    // Without the one that asks.
    let connections = || server.instrument("noetl_metrics_http_connections") - 1;
    until("the number of connections", || (connections() == count).then_some(()));
}

fn resident_kib(server: &Server) -> i64 {
    server.memory_kib("VmRSS")
}

/// Connections that this process and a server can have open at once, up to `wanted`.
fn room_for(wanted: u64) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.map_or(wanted, |files| wanted.min(files.saturating_sub(1000))) as usize
}

#[test]
fn a_head_that_has_begun_must_come_and_silence_may_last() {
    let launch = Launch::new().flag("keep-alive", NEVER).flag("head-timeout", "300ms");
    let server = launch.start();
    let mut silent = Raw::open(server.address());
    let (mut dribbling, mut stuck) = (Raw::open(server.address()), Raw::open(server.address()));
    stuck.send("POST /api/metrics/report HTTP/1.1\r\nhost: it\r\nx-");
    let began = Instant::now();
    // Each byte is progress, and still the head has to be complete in time.
    while began.elapsed() < PATIENCE && !dribbling.is_closed(Duration::from_millis(50)) {
        dribbling.send("G");
    }
    assert!(began.elapsed() < PATIENCE, "a head may dribble in for ever");
    assert!(stuck.is_closed(PATIENCE), "a head may stay incomplete for ever");
    assert!(!silent.is_closed(Duration::from_millis(600)), "silence is no head");
    // The limit holds for a later request as well, and not for the time between two.
    for _ in 0..2 {
        silent.send("GET /health HTTP/1.1\r\nhost: it\r\n\r\n");
        assert!(silent.answer().0.starts_with("http/1.1 200 "));
        assert!(!silent.is_closed(Duration::from_millis(500)), "closed between two requests");
    }
    silent.send("GET /hea");
    assert!(silent.is_closed(PATIENCE), "a second head may stay incomplete");
}

#[test]
fn a_body_that_dribbles_in_is_given_up_and_one_that_never_ends_is_refused() {
    let launch = Launch::new().flag("body-timeout", "500ms").flag("body-bytes-max", "1MiB");
    let server = launch.start();
    let mut dribbling = Raw::open(server.address());
    dribbling.send(CHUNKED);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        dribbling.send("1\r\n{\r\n");
        std::thread::yield_now();
    }
    let (head, _) = dribbling.answer();
    assert!(head.starts_with("http/1.1 408 "), "{head}");

    let mut endless = Raw::open(server.address());
    endless.send(CHUNKED);
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    let before = resident_kib(&server);
    // Taken off the connection and dropped, up to a bound; then the server has had enough.
    let mut sent = 0;
    while sent < 512 << 20 && endless.sends(&chunk) {
        sent += chunk.len();
    }
    assert!(sent < 512 << 20, "a body may go on for ever");
    assert!(resident_kib(&server) - before < 32 << 10, "the body was kept");
    wait_for_connections(&server, 0);
}

#[test]
fn answers_that_nobody_takes_end_the_connection() {
    let launch = Launch::new().flag("answer-timeout", "500ms").flag("keep-alive", NEVER);
    let server = launch.start();
    let before = resident_kib(&server);
    let mut deaf: Vec<_> = (0..8).map(|_| Raw::open(server.address())).collect();
    wait_for_connections(&server, 8);
    let request = "GET /metrics HTTP/1.1\r\nhost: it\r\n\r\n";
    std::thread::scope(|scope| {
        for raw in &mut deaf {
            // More than all buffers between the two take. The server stops reading as well.
            scope.spawn(move || while raw.sends(request.repeat(1000)) {});
        }
    });
    wait_for_connections(&server, 0);
    assert!(resident_kib(&server) - before < 32 << 10, "answers pile up");
}

#[test]
fn ten_thousand_connections_cost_little_and_others_are_served() {
    let count = room_for(10_000);
    let launch = Launch::new().flag("connections-max", "20_000").flag("body-timeout", NEVER);
    let server = launch.flag("keep-alive", NEVER).flag("head-timeout", NEVER).start();
    let body = gauges("crowded", "c", &[1.0]).to_string();
    server.client().post(&[], body.as_bytes()).ok();
    let before = resident_kib(&server);
    // In waves that the queue of the port holds, also where the system bounds it to 128.
    let mut idle = Vec::with_capacity(count);
    while idle.len() < count {
        let wave = 128.min(count - idle.len());
        idle.extend((0..wave).map(|_| Raw::open(server.address())));
        wait_for_connections(&server, idle.len().cast_signed() as i64);
    }
    let idle_bytes = (resident_kib(&server) - before) * 1024 / count.cast_signed() as i64;
    eprintln!("{count} connections without a request: {idle_bytes} bytes each");
    assert!(idle_bytes < 24 << 10, "{idle_bytes} bytes for an idle connection");

    // A fifth of them begin a head, a fifth a body, and a fifth have had their answer.
    let fifth = count / 5;
    for raw in &mut idle[..fifth] {
        raw.send("POST /api/metrics/report HTTP/1.1\r\nhost: it\r\nx-");
    }
    for raw in &mut idle[fifth..2 * fifth] {
        raw.send(format!("{CHUNKED}1\r\n{{\r\n"));
    }
    for raw in &mut idle[2 * fifth..3 * fifth] {
        raw.send("GET /health HTTP/1.1\r\nhost: it\r\n\r\n");
        assert!(raw.answer().0.starts_with("http/1.1 200 "));
    }
    until("the bodies", || {
        let page = server.client().get("/metrics").text();
        page.contains(&format!("noetl_metrics_http_reports_in_flight {fifth}\n")).then_some(())
    });
    let busy_bytes = (resident_kib(&server) - before) * 1024 / count.cast_signed() as i64;
    eprintln!("{count} connections, three fifths with something begun: {busy_bytes} bytes each");
    assert!(busy_bytes < 40 << 10, "{busy_bytes} bytes for a slow connection");
    let began = Instant::now();
    for value in 0..100 {
        server.client().report(&gauges("crowded", "c", &[f64::from(value) + 2.0]));
    }
    assert!(began.elapsed() < PATIENCE / 2, "others wait: {:?}", began.elapsed());
}
