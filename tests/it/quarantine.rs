//! What PostgreSQL refuses for its content: it stops nothing, is told, and can be tried again.

use std::thread;

use serde_json::Value;

use crate::client::gauges;
use crate::commands::{Ran, run};
use crate::output::until;
use crate::server::{Launch, Server, command};

fn quarantine(server: &Server, arguments: &[&str]) -> Ran {
    let mut command = command();
    run(command.arg("quarantine").args(arguments).arg("--data-dir").arg(server.home().data_dir()))
}

fn refused_rows(server: &Server) -> Option<u64> {
    let page = server.client().get("/metrics").text();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("noetl_metrics_flush_quarantined_rows_total "));
    line.and_then(|count| count.parse().ok())
}

#[test]
fn a_refused_report_is_set_aside_listed_and_stored_once_by_a_replay() {
    let server = Launch::new().start();
    let client = server.client();
    client.report(&gauges("aside", "a", &[1.0]));
    assert_eq!(client.samples_of("aside").len(), 1);
    server.sql().run("ALTER TABLE noetl.report ADD CONSTRAINT good CHECK (vals[1] > 0)");
    client.report(&gauges("aside", "a", &[-1.0]));
    client.report(&gauges("aside", "a", &[2.0]));
    client.report(&gauges("refused", "r", &[-5.0]));
    // A query waits for the flush of everything before it, so nothing is held up.
    assert_eq!(client.samples_of("aside").len(), 2);
    until("the refusals", || (refused_rows(&server) == Some(2)).then_some(()));
    server.stderr().wait_for_text("it was set aside in noetl.quarantine");

    let listed = quarantine(&server, &["list"]);
    assert_eq!((listed.status, listed.stderr.as_str()), (Some(0), ""));
    assert_eq!(listed.stdout.lines().count(), 3, "a heading and two records: {}", listed.stdout);
    let listed = quarantine(&server, &["list", "--json"]);
    let records: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records[0]["reason"].as_str().unwrap().contains("\"good\""), "{records:?}");
    let id = records[0]["id"].to_string();
    let shown = quarantine(&server, &["show", &id, "--json"]);
    let row: Value = serde_json::from_str(shown.stdout.trim_end()).unwrap();
    assert_eq!(row["values"][0]["value"], -1.0, "{row}");
    assert_eq!(row["values"][0]["timestamp"], "2024-01-01T12:00:00Z", "{row}");
    let shown = quarantine(&server, &["show", &records[1]["id"].to_string()]);
    assert!(shown.stdout.contains("component: component_type \"worker_pool\""), "{}", shown.stdout);
    assert!(shown.stdout.contains("metric_name \"r\""), "{}", shown.stdout);

    let refused = quarantine(&server, &["replay", "--all"]);
    assert_eq!(refused.status, Some(1), "{}", refused.stdout);
    assert_eq!(refused.stdout.matches("refused again").count(), 2, "{}", refused.stdout);
    server.sql().run("ALTER TABLE noetl.report DROP CONSTRAINT good");
    let replayed: Vec<Ran> = thread::scope(|scope| {
        let tries: Vec<_> =
            (0..3).map(|_| scope.spawn(|| quarantine(&server, &["replay", "--all"]))).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(replayed.iter().all(|ran| ran.status == Some(0) && ran.stderr.is_empty()));
    let stored: usize = replayed.iter().map(|ran| ran.stdout.matches(": stored, ").count()).sum();
    assert_eq!(stored, 2, "each by one of them");
    assert_eq!(client.samples_of("aside").len(), 3);
    assert_eq!(client.samples_of("refused").len(), 1);

    assert!(quarantine(&server, &["replay", "--all"]).stdout.contains("nothing is in"));
    let gone = quarantine(&server, &["replay", "--id", &id]);
    assert_eq!(gone.status, Some(1));
    assert!(gone.stdout.contains("there is no such record"), "{}", gone.stdout);
    assert_eq!(quarantine(&server, &["show", &id]).status, Some(1));
}
