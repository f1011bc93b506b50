//! What an acknowledgement is worth: whoever dies, every acknowledged report is stored exactly once.

use rustix::process::Signal;

use crate::client::{Raw, gauges};
use crate::home::Home;
use crate::output::until;
use crate::server::{Launch, Server};
use crate::stream::{Stream, WORKERS};

#[test]
fn a_killed_server_has_every_acknowledged_report_once_after_its_restart() {
    let mut server = Launch::new().start();
    let stream = Stream::new("killed");
    for round in 0..3 {
        let client = server.client();
        stream.run(&client, |stream| {
            stream.wait_for(50);
            server.signal(Signal::KILL);
            stream.wait_gone();
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
        stream.wait_gone();
    });
    server.ended();
    server.start_again();
    let client = server.client();
    // Each worker's last report got no answer. Whether it was stored, only the server knows.
    let open = stream.unacknowledged();
    assert_eq!(open.len(), WORKERS, "{open:?}");
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
    assert_eq!(stream.unacknowledged(), [0; 0], "none was refused");
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
        raw.send(format!("{head}{}", &body[..10]));
    }
    until("both requests", || {
        let page = server.client().get("/metrics").text();
        page.contains("noetl_metrics_http_reports_in_flight 2\n").then_some(())
    });
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

#[test]
fn a_key_outlives_the_segment_that_it_came_in_and_the_server() {
    let launch = Launch::new()
        .flag("log-segment-bytes", "1MiB")
        .flag("log-budget-bytes", "64MiB")
        .flag("body-bytes-max", "512KiB");
    let mut server = launch.start();
    let body = |number: usize| gauges("outlived", "o", &[number as f64]).to_string();
    let key = |number: usize| format!("outlived-{number}");
    let send = |server: &Server, number: usize| {
        let key = key(number);
        let answer = server.client().post(&[("idempotency-key", &key)], body(number).as_bytes());
        answer.ok()
    };
    let first = send(&server, 0);
    let log = server.home().data_dir().join("log");
    let oldest = log.join("0000000000000000.log");
    // A batch of large reports without keys fills segments; each of them is flushed at once.
    let filler = gauges("filler", "f", &vec![0.5; 2000]);
    let mut second = 0;
    until("the first segment is gone", || {
        second += 1;
        let mut filler = filler.clone();
        for metric in filler["metrics"].as_array_mut().unwrap() {
            metric["timestamp"] = (metric["timestamp"].as_i64().unwrap() + 2000 * second).into();
        }
        server.client().report(&filler);
        (!oldest.exists()).then_some(())
    });
    assert!(log.join("0000000000000000.keys").exists(), "its key is kept");
    let last = send(&server, 1);
    server.kill();
    server.start_again();
    assert_eq!((send(&server, 0), send(&server, 1)), (first, last));
    let other = server.client().post(&[("idempotency-key", &key(0))], body(1).as_bytes());
    assert_eq!(other.error(409), "idempotency_key_reused");
    assert_eq!(server.client().samples_of("outlived").len(), 2);
}
