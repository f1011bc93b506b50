//! `docs/sql.md` as a reader would use it: its queries are run by psql and print what it says. And
//! what it promises of `noetl.samples` and of the role `noetl_reader`.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Launch, Server};

/// A query of the page with what it prints.
struct Example {
    query: String,
    output: String,
}

fn examples(page: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    let until_fence = |lines: &mut std::str::Lines<'_>| {
        lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n")
    };
    while let Some(line) = lines.next() {
        if line == "```sql" {
            let query = until_fence(&mut lines);
            let output = lines.by_ref().find(|line| line.starts_with("```"));
            assert_eq!(output, Some("```text"), "no output stands beneath\n{query}");
            found.push(Example { query, output: until_fence(&mut lines) });
        }
    }
    found
}

/// Minutes ago, a worker's CPU and its counter.
type Minutes = Vec<(u32, f64, f64)>;

/// Three workers that reported once a minute, as the page has them: the counter of the second began
/// again five minutes ago, and the third missed three reports.
fn fleet() -> [(&'static str, Value, Minutes); 3] {
    let minutes = || (0..=10_u32).rev();
    let since = |minute: u32| f64::from(10 - minute);
    let first = minutes().map(|m| (m, 10.0 + f64::from(m), 400.0 + 60.0 * since(m))).collect();
    let second = minutes()
        .map(|m| {
            let jobs = if m > 5 { 1000.0 + 60.0 * since(m) } else { 60.0 * (since(m) - 4.0) };
            (m, 20.0 + f64::from(m), jobs)
        })
        .collect();
    let third = minutes()
        .filter(|m| !(2..=4).contains(m))
        .map(|m| (m, 90.0, 440.0 + 120.0 * since(m)))
        .collect();
    [
        ("worker-1", json!({"hostname": "node-1", "zone": "a"}), first),
        ("worker-2", json!({"hostname": "node-2", "zone": "a"}), second),
        ("worker-3", json!({"hostname": "node-3", "zone": "b"}), third),
    ]
}

fn report_fleet(client: &Client) {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (name, labels, minutes) in fleet() {
        for (minute, cpu, jobs) in minutes {
            // Half a minute off the bounds that the queries have, so that it may take its time.
            let at = now_s - 30 - u64::from(minute) * 60;
            client.report(&json!({
                "component_name": name, "component_type": "worker_pool",
                "metrics": [
                    {"metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
                     "metric_value": cpu, "timestamp": at, "labels": labels},
                    {"metric_name": "jobs_done_total", "metric_type": "counter",
                     "metric_value": jobs, "timestamp": at, "labels": {}},
                ],
            }));
        }
    }
    // A query waits until all of it is in PostgreSQL.
    client.query(&[("component_name", "worker-*")]);
}

fn psql(server: &Server, query: &str) -> String {
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-P", "footer=off", "-c", query])
        .arg(server.database_url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}\n{said}");
    let lines: Vec<_> =
        std::str::from_utf8(&output.stdout).unwrap().lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

#[test]
fn the_queries_of_the_page_print_what_it_says() {
    let examples = examples(include_str!("../../docs/sql.md"));
    assert!(examples.len() >= 10, "{} queries", examples.len());
    let server = Launch::new().start();
    report_fleet(&server.client());
    server.sql().run(
        "INSERT INTO noetl.runtime (runtime_id, component_type, name, last_heartbeat)
         VALUES (1, 'worker_pool', 'worker-9', now() - interval '20 minutes')",
    );
    for Example { query, output } in examples {
        assert_eq!(psql(&server, &query), output, "{query}");
    }
}

#[test]
fn a_span_reads_its_partitions_by_the_index() {
    let server = Launch::new().start();
    let mut sql = server.sql();
    sql.run(
        "INSERT INTO noetl.runtime (runtime_id, component_type, name)
             SELECT n, 'worker_pool', 'w' || n FROM generate_series(1, 500) n;
         INSERT INTO noetl.series (series_id, runtime_id, metric_name, metric_type, labels, fingerprint)
             SELECT n, n, 'm', 'gauge', '{}', gen_random_uuid() FROM generate_series(1, 500) n;
         INSERT INTO noetl.series_slot SELECT n, 0, n FROM generate_series(1, 500) n;
         INSERT INTO noetl.report
             SELECT n, date_trunc('day', now()) + s * interval '1 minute', now(), n * 1000 + s, '{1}'
               FROM generate_series(1, 500) n, generate_series(0, 1439) s WHERE n + s > 0;
         ANALYZE noetl.runtime, noetl.series, noetl.series_slot, noetl.report",
    );
    let plan = psql(
        &server,
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT avg(metric_value) FROM noetl.samples(
             date_trunc('day', now()) + interval '11 hours',
             date_trunc('day', now()) + interval '12 hours') WHERE component_name = 'w7'",
    );
    let scans: Vec<_> = plan.lines().filter(|line| line.contains(" on report_")).collect();
    let [scan] = scans[..] else { panic!("not one partition is read:\n{plan}") };
    assert!(scan.contains("_group_id_ts_idx"), "{plan}");
    assert!(!plan.contains("Function Scan"), "{plan}");
}

#[test]
fn the_view_and_the_function_have_the_same_samples() {
    let client = Server::shared().client();
    // Two values of one row, a tenth of a second on both sides of the bound.
    client.report(&json!({"component_name": "sql-span", "metrics": [
        {"metric_name": "a", "metric_type": "gauge", "metric_value": 1,
         "timestamp": "2024-01-01T11:59:59.9Z"},
        {"metric_name": "b", "metric_type": "gauge", "metric_value": 2,
         "timestamp": "2024-01-01T12:00:00.1Z"},
        {"metric_name": "c", "metric_type": "gauge", "metric_value": 3,
         "timestamp": "2024-01-01T12:00:00.2Z"},
    ]}));
    client.samples_of("sql-span");
    let mut sql = Server::shared().sql();
    let mut spans = |from: &str, to: &str| -> Vec<(f64,)> {
        sql.rows(&format!(
            "SELECT metric_value FROM noetl.samples('{from}', '{to}')
              WHERE component_name = 'sql-span' ORDER BY 1"
        ))
    };
    assert_eq!(spans("2024-01-01 11:00Z", "2024-01-01 12:00Z"), [(1.0,)]);
    assert_eq!(spans("2024-01-01 12:00Z", "2024-01-01 13:00Z"), [(2.0,), (3.0,)]);
    assert_eq!(spans("2024-01-01 12:00:00.2Z", "2024-01-01 13:00Z"), [(3.0,)]);
    assert_eq!(spans("2024-01-01 11:00Z", "2024-01-01 12:00:00.2Z"), [(1.0,), (2.0,)]);
    let different: Vec<(i64,)> = sql.rows(
        "SELECT count(*) FROM (
            (TABLE noetl.metrics EXCEPT SELECT * FROM noetl.samples('-infinity', 'infinity'))
            UNION ALL
            (SELECT * FROM noetl.samples('-infinity', 'infinity') EXCEPT TABLE noetl.metrics)) x
          WHERE component_name = 'sql-span'",
    );
    assert_eq!(different, [(0,)]);
}

#[test]
fn a_reader_reads_and_does_nothing_else() {
    let server = Server::shared();
    let as_reader = |statement: &str| {
        let statement = format!("SET ROLE noetl_reader; {statement}");
        Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &statement, server.database_url()])
            .output()
            .unwrap()
    };
    for reads in [
        "SELECT count(*) FROM noetl.metrics",
        "SELECT count(*) FROM noetl.metric",
        "SELECT count(*) FROM noetl.samples(now() - interval '1 hour', now())",
        "SELECT count(*) FROM noetl.runtime, noetl.ingest_node",
    ] {
        let output = as_reader(reads);
        assert!(output.status.success(), "{reads}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for refused in [
        "SELECT count(*) FROM noetl.quarantine",
        "DELETE FROM noetl.report",
        "UPDATE noetl.ingest_node SET position = 0",
        "CREATE TABLE noetl.mine ()",
    ] {
        let output = as_reader(refused);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("permission denied"), "{refused}: {said}");
    }
}
