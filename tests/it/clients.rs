//! The clients that stand under `examples/`, run as `docs/clients.md` runs them.

use std::process::{Command, Output};

use crate::readme::{blocks, run_block};
use crate::server::{Launch, Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_commands_of_the_page_work_as_they_are_printed() {
    let page = include_str!("../../docs/clients.md");
    let marked: Vec<_> = blocks(page).into_iter().filter(|block| block.test == "clients").collect();
    assert_eq!(marked.len(), 4, "bash twice, Python and Go");
    let server = Launch::new().start();
    for block in &marked {
        run_block(&server, block);
    }
    server.client().query(&[]);
    let stored: Vec<(String, String, i64)> = server.sql().rows(
        "SELECT component_type, component_name, count(*) FROM noetl.metrics
          WHERE component_type IN ('cron_job', 'worker_pool') GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let expected = [
        ("cron_job", "backup", 1),
        ("cron_job", "nightly-backup", 3),
        ("worker_pool", "worker-go", 3),
        ("worker_pool", "worker-py", 7),
    ];
    assert_eq!(stored, expected.map(|(kind, name, n)| (kind.to_owned(), name.to_owned(), n)));
}

fn cron_job(url: &str, arguments: &[&str]) -> Output {
    Command::new(format!("{ROOT}/examples/cron_job.sh"))
        .args(arguments)
        .env("NOETL_SERVER_URL", url)
        .output()
        .unwrap()
}

#[test]
fn a_job_of_cron_that_fails_is_reported_with_its_status() {
    let client = Server::shared().client();
    let url = format!("http://{}", Server::shared().address());
    let output = cron_job(&url, &["a \"quoted\" \\ job", "sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let mut figures: Vec<_> = client
        .samples_of("a \"quoted\" \\ job")
        .iter()
        .map(|sample| (sample["metric_name"].to_string(), sample["metric_value"].as_f64().unwrap()))
        .collect();
    figures.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["\"job_duration_seconds\"", "\"job_exit_status\""], "no success");
    assert!((figures[1].1 - 3.0).abs() < f64::EPSILON, "{figures:?}");
}

#[test]
fn a_report_of_cron_that_is_refused_is_told_from_the_job() {
    // Refused for good, so that nothing is tried again.
    let url = format!("http://{}/not-here", Server::shared().address());
    assert_eq!(cron_job(&url, &["refused", "true"]).status.code(), Some(75));
    assert_eq!(cron_job(&url, &["refused", "false"]).status.code(), Some(1));
}

/// The table of the older server, with what can stand in it.
const OLDER: &str = "
    CREATE SCHEMA noetl;
    CREATE TABLE noetl.runtime (runtime_id bigint PRIMARY KEY, name text, component_type text);
    CREATE TABLE noetl.metric (
        metric_id bigint GENERATED ALWAYS AS IDENTITY, runtime_id bigint NOT NULL,
        metric_name text NOT NULL, metric_type text NOT NULL, metric_value float8 NOT NULL,
        labels jsonb, help_text text, unit text, timestamp timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO noetl.runtime VALUES (1, 'old \"one\" \\ ö', 'worker_pool'), (2, 'old-two', 'broker');
    INSERT INTO noetl.metric (runtime_id, metric_name, metric_type, metric_value, labels, help_text,
                              unit, timestamp)
        SELECT 1 + n % 2, 'm' || n % 7, 'gauge', n / 3.0, jsonb_build_object('n', (n % 3)::text),
               E'a\\ttab \\\\ and \\n line', 'bytes',
               timestamptz '2024-02-28 22:00Z' + n * interval '1.000001 second'
          FROM generate_series(0, 4999) n;
    INSERT INTO noetl.metric (runtime_id, metric_name, metric_type, metric_value, timestamp) VALUES
        (1, 'odd', 'counter', 'NaN', '2024-03-01 00:00:00.000001Z'),
        (1, 'odd', 'counter', 'Infinity', '2024-03-01 00:00:00.000002Z'),
        (1, 'odd', 'counter', '-Infinity', '2024-03-01 00:00:00.000003Z'),
        (1, 'odd', 'counter', 1e300, '2024-03-01 00:00:00.000004Z'),
        (1, 'odd', 'counter', 0.1, '2024-03-01 00:00:00.000005Z');";

/// What makes a row, apart from ids; the fingerprint of all of them tells whether one differs.
const ROWS: &str = "
    SELECT count(*), md5(string_agg(row, E'\\n' ORDER BY row COLLATE \"C\")) FROM (
        SELECT concat_ws('|', c.component_type, c.name, metric_name, metric_type, metric_value,
                         coalesce(m.labels, '{}'), help_text, unit, timestamp AT TIME ZONE 'UTC') AS row
          FROM noetl.metric m JOIN noetl.runtime c USING (runtime_id)) x";

#[test]
fn the_rows_of_an_older_server_are_brought_along() {
    let server = Launch::new().start();
    let mut sql = server.sql();
    sql.run("CREATE DATABASE older");
    let (current,): (String,) = sql.row("SELECT current_database()::text");
    let older_url = server.database_url().replacen(&format!("/{current}"), "/older", 1);
    let mut older = crate::sql::Sql::open(&older_url);
    older.run(OLDER);
    let state = server.home().data_dir().join("import.state");
    let import = || {
        Command::new("python3")
            .arg(format!("{ROOT}/examples/import_metrics.py"))
            .args(["--from", &older_url, "--url", &format!("http://{}", server.address())])
            .arg("--state")
            .arg(&state)
            .output()
            .unwrap()
    };
    for _ in 0..2 {
        // The second run finds that everything was done.
        let output = import();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "imported 5005 of 5005 rows\n");
    }
    server.client().query(&[]);
    let expected: (i64, String) = older.row(ROWS);
    assert_eq!(expected.0, 5005);
    assert_eq!(sql.row::<(i64, String)>(ROWS), expected);
}
