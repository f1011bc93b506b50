//! A database of somebody else, by `DATABASE_URL`.

use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::client::{Client, Raw, gauges};
use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::home::Home;
use crate::output::until;
use crate::server::{Launch, Server};

/// Reports `count` values of `name` for the component, one after the other.
fn report_all(client: &Client, component: &str, name: &str, count: u32) {
    for number in 0..count {
        client.report(&json!({"component_name": component, "metrics": [
            {"metric_name": name, "metric_type": "counter", "metric_value": number,
             "timestamp": 1_704_110_400 + number}
        ]}));
    }
}

#[test]
fn two_servers_share_a_database_and_components() {
    const EACH: u32 = 100;
    let cluster = Cluster::start();
    cluster.create("shared");
    // Both find the database empty at once, one by TCP and one by the socket.
    let urls = [cluster.tcp_url("shared", PASSWORD_IN_URL), cluster.socket_url("shared")];
    let servers = urls.map(|url| thread::spawn(move || Launch::new().database(&url).start()));
    let servers = servers.map(|starting| starting.join().unwrap());
    thread::scope(|scope| {
        for (index, server) in servers.iter().enumerate() {
            scope.spawn(move || report_all(&server.client(), "both", "same", EACH));
            scope.spawn(move || report_all(&server.client(), "both", &format!("own{index}"), EACH));
            let component = format!("only{index}");
            scope.spawn(move || report_all(&server.client(), &component, "same", EACH));
        }
    });
    // Each server flushes what it acknowledged; either answers for the whole database then.
    for server in &servers {
        server.client().query(&[("component_name", "both"), ("limit", "1")]);
    }
    let counts: Vec<(String, String, i64, i64)> = servers[0].sql().rows(
        "SELECT component_name, metric_name, count(*), count(DISTINCT metric_value)
           FROM noetl.metrics GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let each = i64::from(EACH);
    let row = |component: &str, name: &str, count: i64| {
        (component.to_owned(), name.to_owned(), count, each)
    };
    // One series that two servers are told of has the samples of both.
    assert_eq!(
        counts,
        [
            row("both", "own0", each),
            row("both", "own1", each),
            row("both", "same", 2 * each),
            row("only0", "same", each),
            row("only1", "same", each),
        ]
    );
    for server in &servers {
        let found = server.client().query(&[("component_name", "both"), ("metric_name", "same")]);
        assert_eq!(found["count"], 2 * EACH);
    }
}

#[test]
fn reports_are_taken_while_the_database_is_away_also_across_restarts() {
    let mut cluster = Cluster::start();
    cluster.create("away");
    let url = cluster.tcp_url("away", PASSWORD_IN_URL);
    let launch = Launch::new().database(&url).flag("drain-timeout", "500ms");
    let mut server = launch.flag("query-timeout", "3s").start();
    let report = |server: &Server, value: f64| {
        let client = server.client();
        client.report(&gauges("known", "k", &[value]));
        client.report(&gauges(&format!("new-{value}"), "n", &[value]));
    };
    report(&server, 0.0);
    server.client().query(&[("component_name", "known")]);

    cluster.stop();
    report(&server, 1.0);
    let refused = server.client().try_query(&[("component_name", "known")]);
    assert_eq!(refused.error(503), "flush_behind");
    server.kill();
    server.start_again();
    until("the server to notice", || {
        let ready = server.client().get("/ready").ok();
        assert_eq!(ready["status"], "ready");
        (ready["database"] == "away").then_some(())
    });
    report(&server, 2.0);
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("rows are in the log and not yet in PostgreSQL"),
        "{}",
        ended.stderr
    );
    server.start_again();
    report(&server, 3.0);

    cluster.start_again();
    // The flusher comes back after a pause of up to 5 s, longer than the query may wait.
    let samples = until("the flush", || {
        let answer = server.client().try_query(&[("metric_name", "*"), ("order", "asc")]);
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(samples["count"], 8, "{samples}");
    assert_eq!(server.sql().samples_of("known"), (4, 1));
}

#[test]
fn a_spent_budget_says_when_to_come_back_and_is_regained() {
    let mut cluster = Cluster::start();
    cluster.create("budget");
    let launch = Launch::new().database(&cluster.socket_url("budget"));
    let launch = launch.flag("log-segment-bytes", "1MiB").flag("log-budget-bytes", "4MiB");
    let server = launch.flag("body-bytes-max", "512KiB").start();
    cluster.stop();
    let client = server.client();
    let mut taken = 0;
    let refused = until("the budget is spent", || {
        // A thousand rows in each.
        let values: Vec<_> = (0..1000).map(|n| f64::from(taken * 1000 + n)).collect();
        let answer = client.post(&[], gauges("budget", "b", &values).to_string().as_bytes());
        taken += i32::from(answer.status == 200);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.error(429), "log_over_budget");
    let wait_s: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=60).contains(&wait_s), "nothing is flushed: {wait_s}");
    assert_eq!(client.get("/ready").status, 200, "an overload is no illness");
    cluster.start_again();
    until("room in the log", || {
        let answer = client.post(&[], gauges("budget", "b", &[-1.0]).to_string().as_bytes());
        (answer.status == 200).then_some(())
    });
    let samples = server.client().query(&[("component_name", "budget"), ("limit", "1")]);
    assert_eq!(samples["count"], 1);
    assert_eq!(server.sql().samples_of("budget").0, i64::from(taken) * 1000 + 1);
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let cluster = Cluster::start();
    cluster.create("locked");
    let launch = Launch::new().database(&cluster.tcp_url("locked", "hunter2"));
    let mut server = launch.spawn_in(Home::new());
    server.stderr().wait_for_text("password authentication failed for user \"metrics\"");
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn a_second_signal_ends_every_wait_of_a_stopping_server() {
    let mut cluster = Cluster::start();
    cluster.create("hurry");
    let launch = Launch::new().database(&cluster.socket_url("hurry"));
    let launch = launch.flag("drain-timeout", "1h").flag("body-timeout", "1h");
    let mut server = launch.start();
    cluster.stop();
    server.client().report(&gauges("hurry", "h", &[1.0]));
    // Both the request and the flush would be waited for.
    let mut raw = Raw::open(server.address());
    raw.send("POST /api/metrics/report HTTP/1.1\r\nhost: it\r\ncontent-length: 9\r\n\r\n{");
    until("the request", || {
        let page = server.client().get("/metrics").text();
        page.contains("noetl_metrics_http_reports_in_flight 1\n").then_some(())
    });
    server.signal(Signal::TERM);
    server.stderr().wait_for_text("stopping: finishing requests");
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("1 rows are in the log"), "{}", ended.stderr);
    cluster.start_again();
    server.start_again();
    assert_eq!(server.client().samples_of("hurry").len(), 1);
}
