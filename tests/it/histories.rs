//! Logs and databases that went different ways: what is stored once, what is refused, and how it
//! goes on.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::client::gauges;
use crate::cluster::Cluster;
use crate::commands::{Ran, run};
use crate::home::Home;
use crate::output::until;
use crate::server::{Launch, Server, command};

/// A server with a database of its own in `cluster`, and a log that keeps little.
pub(crate) fn launch(cluster: &Cluster, database: &str) -> Launch {
    cluster.create(database);
    let launch = Launch::new().database(&cluster.socket_url(database));
    let launch = launch.flag("log-segment-bytes", "1MiB").flag("log-budget-bytes", "64MiB");
    launch.flag("body-bytes-max", "512KiB")
}

/// Reports a value of a series of its own.
pub(crate) fn report(server: &Server, number: u32) {
    server.client().report(&gauges("history", &format!("h{number}"), &[f64::from(number)]));
}

/// The values stored, in order.
pub(crate) fn stored(server: &Server) -> Vec<i64> {
    server.client().query(&[("component_name", "history"), ("limit", "1")]);
    let values: Vec<(i64,)> = server.sql().rows(
        "SELECT metric_value::int8 FROM noetl.metrics
          WHERE component_name = 'history' ORDER BY 1",
    );
    values.into_iter().map(|(value,)| value).collect()
}

fn quarantined(server: &Server) -> i64 {
    server.sql().row::<(i64,)>("SELECT count(*) FROM noetl.quarantine").0
}

pub(crate) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let ran = run(Command::new("cp").args(["-r", "--"]).arg(from).arg(to));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}

pub(crate) fn log_of(home: &Home) -> std::path::PathBuf {
    home.data_dir().join("log")
}

pub(crate) fn accept_gap(server: &Server, url: &str, arguments: &[&str]) -> Ran {
    let mut command = command();
    command.args(["log", "accept-gap"]).args(arguments).env("DATABASE_URL", url);
    run(command.arg("--data-dir").arg(server.home().data_dir()))
}

/// A start that is refused, and what it says.
pub(crate) fn refused(launch: &Launch, server: &Server) -> String {
    let ended = launch.run_in(server.home());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(!ended.stderr.contains("is ready on"), "{}", ended.stderr);
    ended.stderr
}

/// Sees what would be done, does it, and starts the server.
pub(crate) fn go_on(server: &mut Server, url: &str, expected: &[&str]) {
    let asked = accept_gap(server, url, &[]);
    assert_eq!((asked.status, asked.stderr.as_str()), (Some(0), ""), "{}", asked.stdout);
    for text in expected.iter().chain(&["Nothing was changed"]) {
        assert!(asked.stdout.contains(text), "{text} in {}", asked.stdout);
    }
    let done = accept_gap(server, url, &["--yes"]);
    assert_eq!((done.status, done.stderr.as_str()), (Some(0), ""), "{}", done.stdout);
    let again = accept_gap(server, url, &["--yes"]);
    assert!(again.stdout.contains("They fit"), "{}", again.stdout);
    server.start_again();
}

/// Fills segments and waits until the oldest is gone, for the database has its rows.
pub(crate) fn outgrow_the_log(server: &Server) {
    let oldest = log_of(server.home()).join("0000000000000000.log");
    let filler = gauges("filler", "f", &vec![0.5; 3000]);
    let mut round = 0;
    until("the first segment is gone", || {
        round += 1;
        let mut filler = filler.clone();
        for metric in filler["metrics"].as_array_mut().unwrap() {
            metric["timestamp"] = (metric["timestamp"].as_i64().unwrap() + 3000 * round).into();
        }
        server.client().report(&filler);
        (!oldest.exists()).then_some(())
    });
}

#[test]
fn of_two_copies_of_a_log_that_both_go_on_the_second_is_refused() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "copied");
    let first = launch.clone().start();
    (0..3).for_each(|number| report(&first, number));
    assert_eq!(stored(&first), [0, 1, 2]);
    let home = Home::new();
    copy(&log_of(first.home()), &log_of(&home));
    let mut second = launch.clone().start_in(home);
    // It has read its position before the other moves on; else that would be noticed at once.
    assert_eq!(stored(&second), [0, 1, 2]);
    // Both come to the same position, by different reports.
    report(&first, 10);
    assert_eq!(stored(&first), [0, 1, 2, 10]);
    report(&second, 20);
    let ended = second.ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("another process writes a copy of this log"), "{}", ended.stderr);
    let said = refused(&launch, &second);
    assert!(said.contains("another history of this log up to position 4 (mark "), "{said}");
    let gap = accept_gap(&second, &cluster.socket_url("copied"), &["--yes"]);
    assert_eq!(gap.status, Some(1), "{}", gap.stdout);
    assert!(gap.stderr.contains("another history of this log"), "{}", gap.stderr);
    report(&first, 11);
    assert_eq!(stored(&first), [0, 1, 2, 10, 11]);
    assert_eq!(quarantined(&first), 0);
    // Further on, the copy's log is too short.
    let said = refused(&launch, &second);
    assert!(said.contains("1 rows beyond the log's end"), "{said}");
}

#[test]
fn a_restored_database_is_given_what_it_lacks_or_told_how_much_that_is() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "restored");
    let url = cluster.socket_url("restored");
    let back_up = |name: &str| {
        cluster.admin("postgres").run(&format!("CREATE DATABASE {name} TEMPLATE restored"));
    };
    let restore = |name: &str| {
        cluster.admin("postgres").run("DROP DATABASE restored");
        cluster
            .admin("postgres")
            .run(&format!("CREATE DATABASE restored TEMPLATE {name} OWNER metrics"));
    };
    let mut server = launch.clone().start();
    (0..3).for_each(|number| report(&server, number));
    server.terminate();
    back_up("early");
    server.start_again();
    (3..6).for_each(|number| report(&server, number));
    assert_eq!(stored(&server), [0, 1, 2, 3, 4, 5]);
    server.terminate();
    restore("early");
    server.start_again();
    assert_eq!(stored(&server), [0, 1, 2, 3, 4, 5], "what the backup lacked was in the log");

    outgrow_the_log(&server);
    report(&server, 6);
    assert_eq!(stored(&server), [0, 1, 2, 3, 4, 5, 6]);
    server.terminate();
    restore("early");
    let said = refused(&launch, &server);
    assert!(said.contains("position 3 is no longer in the log, which starts at "), "{said}");
    let missing: u64 = {
        let (before, _) = said.split_once(" rows are missing").expect("it says how many");
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(said.contains("`noetl-metrics log accept-gap`"), "{said}");
    let text = format!("missing: {missing} rows, positions 3 to {}", missing + 3);
    go_on(&mut server, &url, &[&text]);
    // The series of the component were defined in what is missing, and are defined anew.
    (3..9).for_each(|number| report(&server, number + 100));
    report(&server, 6);
    let values = stored(&server);
    assert_eq!(values[..3], [0, 1, 2], "{values:?}");
    assert!((103..109).all(|number| values.contains(&number)), "{values:?}");
    assert!(values.iter().filter(|value| **value == 6).count() <= 1, "{values:?}");
    assert_eq!(quarantined(&server), 0);
}

#[test]
fn a_deleted_row_is_made_again_where_nothing_can_come_twice() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "deleted").flag("batch-age-max", "15s");
    let url = cluster.socket_url("deleted");
    let mut server = launch.clone().start();
    (0..4).for_each(|number| report(&server, number));
    assert_eq!(stored(&server), [0, 1, 2, 3]);
    // These are in the log alone.
    (4..7).for_each(|number| report(&server, number));
    server.kill();
    cluster.admin("deleted").run("DELETE FROM noetl.ingest_node");
    let said = refused(&launch, &server);
    assert!(said.contains("has no row for node 0 with log"), "{said}");
    assert!(said.contains("`noetl-metrics log accept-gap`"), "{said}");
    go_on(&mut server, &url, &["registered again at position 4", "nothing can come twice"]);
    report(&server, 7);
    assert_eq!(stored(&server), [0, 1, 2, 3, 4, 5, 6, 7]);
    server.terminate();
    cluster.admin("deleted").run(
        "DELETE FROM noetl.ingest_node;
         INSERT INTO noetl.ingest_node (node, log_id) VALUES (0, gen_random_uuid())",
    );
    refused(&launch, &server);
    let gap = accept_gap(&server, &url, &["--yes"]);
    assert_eq!(gap.status, Some(1), "{}", gap.stdout);
    assert!(
        gap.stderr.contains("has given the number 0 of this log to another log"),
        "{}",
        gap.stderr
    );
}

#[test]
fn a_restored_log_skips_what_the_database_has_of_its_later_life() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "older_log");
    let url = cluster.socket_url("older_log");
    let mut server = launch.clone().start();
    report(&server, 0);
    server.terminate();
    let log = log_of(server.home());
    let backup = server.home().data_dir().join("backup");
    copy(&log, &backup);
    server.start_again();
    (1..4).for_each(|number| report(&server, number));
    server.terminate();
    copy(&backup, &log);
    let said = refused(&launch, &server);
    assert!(said.contains("position 4 is 3 rows beyond the log's end, 1"), "{said}");
    go_on(&mut server, &url, &["3 rows beyond the end of the log"]);
    // New series get groups that the lost life did not use.
    (4..8).for_each(|number| report(&server, number));
    assert_eq!(stored(&server), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(quarantined(&server), 0);
    let ids: Vec<(i64,)> = server.sql().rows("SELECT report_id FROM noetl.report ORDER BY 1");
    assert_eq!(ids.iter().map(|(id,)| *id).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    let shown: Value = server.client().get("/ready").ok();
    assert_eq!(shown["status"], "ready");
}
