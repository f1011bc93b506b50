//! The partitions: made, listed and dropped, by request, by command and as time goes by.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::commands::{Ran, run};
use crate::faketime::FakeClock;
use crate::output::until;
use crate::server::{Launch, Server, command};

const DAY_S: i64 = 86_400;

/// The name of the partition of that day, `days` after the one in which `second` lies.
fn name_of(second: i64, days: i64) -> String {
    let day = Timestamp::from_second(second + days * DAY_S).unwrap().to_zoned(TimeZone::UTC);
    day.strftime("report_%Y%m%d").to_string()
}

fn now_s() -> i64 {
    Timestamp::now().as_second()
}

/// The names of all partitions.
fn listed(client: &Client) -> BTreeSet<String> {
    let answer = client.get("/api/metrics/partitions").ok();
    let partitions = answer["partitions"].as_array().unwrap();
    assert_eq!(answer["count"], partitions.len());
    partitions.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn post(client: &Client, path: &str) -> Value {
    client.post_to(path, b"").ok()
}

#[test]
fn requests_list_make_and_drop() {
    let server = Server::shared();
    let client = server.client();
    let today = now_s();
    let create = "/api/metrics/partitions/create?days_ahead=12";
    let created = post(&client, create);
    // At midnight another day is missing.
    let expected: Vec<_> = (8..=12).map(|days| name_of(today, days)).collect();
    let names: Vec<_> = created["created_partitions"].as_array().unwrap().clone();
    assert!(expected.iter().all(|name| names.contains(&json!(name))), "{created}");
    assert_eq!(created["created_count"], names.len());
    assert_eq!((&created["status"], &created["days_ahead"]), (&json!("ok"), &json!(12)));
    let again = post(&client, create);
    if name_of(today, 0) == name_of(now_s(), 0) {
        let nothing = json!({"status": "ok", "created_partitions": [], "created_count": 0,
                             "days_ahead": 12, "message": "every partition was there already"});
        assert_eq!(again, nothing);
    }
    assert!(listed(&client).is_superset(&expected.into_iter().collect()));
    let all = client.get("/api/metrics/partitions").ok();
    let one = &all["partitions"][0];
    assert!(one["rows"].is_u64() && one["bytes"].as_u64() > Some(0), "{one}");
    assert_eq!(one["state"], "attached");
    let span = (one["from"].as_str().unwrap(), one["to"].as_str().unwrap());
    let [from, to]: [Timestamp; 2] = [span.0.parse().unwrap(), span.1.parse().unwrap()];
    assert_eq!(to.as_second() - from.as_second(), DAY_S, "{one}");

    let cleaned = post(&client, "/api/metrics/cleanup");
    assert_eq!((&cleaned["status"], &cleaned["dropped_count"]), (&json!("ok"), &json!(0)));
    assert_eq!(cleaned["dropped_partitions"], json!([]));
    assert!(cleaned["message"].is_string(), "{cleaned}");
}

#[test]
fn wrong_requests_are_told_so() {
    let client = Server::shared().client();
    let code = |answer: crate::client::Answer| {
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, body["error"].as_str().unwrap().to_owned())
    };
    for days in ["days_ahead=367", "days_ahead=-1", "days=7", "days_ahead=1&days_ahead=1"] {
        let path = format!("/api/metrics/partitions/create?{days}");
        let answer = code(client.post_to(&path, b""));
        assert_eq!(answer, (400, "invalid_parameter".to_owned()), "{days}");
    }
    for path in ["ttl/set", "ttl/extend-component"] {
        let answer = code(client.post_to(&format!("/api/metrics/{path}"), b"{}"));
        assert_eq!(answer, (501, "not_implemented".to_owned()), "{path}");
    }
    let wrong = (405, "method_not_allowed".to_owned());
    for path in ["partitions/create", "cleanup"] {
        assert_eq!(code(client.get(&format!("/api/metrics/{path}"))), wrong, "{path}");
    }
    assert_eq!(code(client.post_to("/api/metrics/partitions", b"")), wrong);
}

#[test]
fn commands_do_the_same_as_the_server() {
    let cluster = Cluster::start();
    cluster.create("by_hand");
    let url = cluster.socket_url("by_hand");
    let partitions = |arguments: &[&str]| -> Ran {
        let ran = run(command().arg("partitions").args(arguments).env("DATABASE_URL", &url));
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        ran
    };
    let today = now_s();
    let ran = partitions(&["create", "--days-ahead", "1"]);
    assert!(ran.stdout.contains(&format!("created {}\n", name_of(today, 1))), "{}", ran.stdout);
    let mut sql = cluster.admin("by_hand");
    sql.run(
        "CREATE TABLE noetl.report_20200101 PARTITION OF noetl.report
             FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00');
         ALTER TABLE noetl.report_20200101 OWNER TO metrics",
    );
    let ran = partitions(&["list", "--json"]);
    let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["name"], "report_20200101");
    assert_eq!(first["from"], "2020-01-01T00:00:00Z");
    assert!(partitions(&["list"]).stdout.lines().nth(1).unwrap().starts_with("report_20200101 "));
    partitions(&["maintain", "--metrics-retention", "off"]);
    let ran = partitions(&["maintain", "--partitions-ahead", "3"]);
    assert!(
        ran.stdout.contains("dropped report_20200101\n1 partition was dropped"),
        "{}",
        ran.stdout
    );
    assert!(partitions(&["list"]).stdout.contains(&name_of(today, 3)));
    // Whoever holds the lock is at it.
    sql.run("SELECT pg_advisory_lock(1852794228, 3)");
    let ran = partitions(&["maintain"]);
    assert!(ran.stdout.starts_with("another server or command is looking after"), "{}", ran.stdout);
}

/// The longest that anything took.
struct Longest(Duration);

impl Longest {
    fn time<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = what();
        self.0 = self.0.max(began.elapsed());
        done
    }
}

/// Reports one value after the other until told to stop: how many, and the longest wait.
fn report_until(client: &Client, component: &str, stop: &AtomicBool) -> (i64, Duration) {
    let mut longest = Longest(Duration::ZERO);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let report = json!({"component_name": component, "metrics": [
            {"metric_name": "load", "metric_type": "counter", "metric_value": count}
        ]});
        longest.time(|| client.report(&report));
        count += 1;
        thread::sleep(Duration::from_millis(5));
    }
    (count, longest.0)
}

/// Asks for what was acknowledged, which waits until it is in PostgreSQL; the longest wait.
fn query_until(client: &Client, component: &str, stop: &AtomicBool) -> Duration {
    let mut longest = Longest(Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        longest.time(|| client.query(&[("component_name", component), ("limit", "1")]));
        thread::sleep(Duration::from_millis(50));
    }
    longest.0
}

/// How long the machine keeps a thread from running, or its disk from syncing, by itself.
fn noise_until(stop: &AtomicBool) -> Duration {
    let file = tempfile::tempfile().unwrap();
    let mut longest = Longest(Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        longest.time(|| {
            std::os::unix::fs::FileExt::write_at(&file, &[1; 512], 0).unwrap();
            file.sync_data().unwrap();
            thread::sleep(Duration::from_millis(5));
        });
    }
    longest.0
}

/// Stops the load, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reports one value of a day that is long over.
fn report_of_old(client: &Client, value: i64) {
    client.report(&json!({"component_name": "late", "metrics": [
        {"metric_name": "v", "metric_type": "gauge", "metric_value": value,
         "timestamp": 1_704_110_400 + value}
    ]}));
}

#[test]
fn ten_midnights_under_load_with_a_reader() {
    const MIDNIGHTS: i64 = 10;
    /// The reader ends after this one.
    const READ_UNTIL: i64 = 7;
    const AHEAD: i64 = 2;
    let mut clock = FakeClock::new();
    let first = clock.now_s();
    let cluster = Cluster::start_with(&clock.environment());
    cluster.create("midnights");
    let mut launch = Launch::new()
        .database(&cluster.socket_url("midnights"))
        .flag("batch-age-max", "100ms")
        .flag("partitions-ahead", &AHEAD.to_string())
        .flag("metrics-retention", "2d");
    for (name, value) in clock.environment() {
        launch = launch.variable(name, &value);
    }
    let server = launch.start();
    let client = server.client();
    let mut reader = cluster.admin("midnights");
    report_of_old(&client, 0);
    client.query(&[("limit", "1")]);
    reader.run("BEGIN; SELECT count(*) FROM noetl.report");

    let stop = AtomicBool::new(false);
    let (loads, query_wait, noise) = thread::scope(|scope| {
        let loads = ["load-0", "load-1"]
            .map(|name| (name, scope.spawn(|| report_until(&server.client(), name, &stop))));
        let queries = scope.spawn(|| query_until(&server.client(), "load-0", &stop));
        let noise = scope.spawn(|| noise_until(&stop));
        let end = Ends(&stop);
        for midnight in 1..=MIDNIGHTS {
            // The next midnight comes by itself, under load.
            clock.set_s((first / DAY_S + midnight) * DAY_S - 1);
            let newest = name_of(first, midnight + AHEAD);
            until("the partition that midnight adds", || {
                listed(&client).contains(&newest).then_some(())
            });
            report_of_old(&client, midnight);
            let names = listed(&client);
            let present = (midnight..=midnight + AHEAD).map(|days| name_of(first, days));
            let missing: Vec<_> = present.filter(|name| !names.contains(name)).collect();
            assert!(missing.is_empty(), "{missing:?} of {names:?}");
            if midnight == READ_UNTIL {
                // Not while the server itself is at it.
                until("a cleanup that waits for the reader", || {
                    let waits = post(&client, "/api/metrics/cleanup");
                    assert_eq!(waits["dropped_count"], 0, "{waits}");
                    waits["message"]
                        .as_str()
                        .unwrap()
                        .contains("transactions are open")
                        .then_some(())
                });
                assert!(names.contains(&name_of(first, 0)), "somebody reads: {names:?}");
                reader.run("COMMIT");
            }
        }
        drop(end);
        let loads = loads.map(|(name, load)| (name, load.join().unwrap()));
        (loads, queries.join().unwrap(), noise.join().unwrap())
    });

    // Dropping comes after making, so the last of it may still go on.
    let kept: BTreeSet<_> = (MIDNIGHTS - 2..=MIDNIGHTS + AHEAD)
        .map(|days| name_of(first, days))
        .chain(["report_20240101".to_owned()])
        .collect();
    until("what is over to be dropped", || (listed(&client) == kept).then_some(()));
    let instruments = String::from_utf8(client.get("/metrics").body).unwrap();
    for none in ["flush_failures_total", "partition_failures_total", "flush_quarantined_rows_total"]
    {
        let line = format!("noetl_metrics_{none} 0\n");
        assert!(instruments.contains(&line), "{line} is not in:\n{instruments}");
    }
    let rows: i64 = loads.iter().map(|(_, (count, _))| count).sum::<i64>() + MIDNIGHTS + 1;
    let flushed = format!("noetl_metrics_flush_samples_total {rows}\n");
    until("all that was acknowledged to be in PostgreSQL", || {
        let instruments = String::from_utf8(client.get("/metrics").body).unwrap();
        instruments.contains(&flushed).then_some(())
    });
    let mut sql = cluster.admin("midnights");
    let (old,): (i64,) = sql.row("SELECT count(*) FROM noetl.report_20240101");
    assert_eq!(old, MIDNIGHTS + 1, "what is written to every day is kept, whatever its age");
    let waits = loads.iter().map(|(_, (_, longest))| *longest).chain([query_wait]);
    let longest = waits.max().unwrap();
    eprintln!("{rows} reports; {longest:?} at most, by itself the machine waits {noise:?}");
    assert!(longest < Duration::from_secs(1) + 3 * noise, "{longest:?} with a noise of {noise:?}");
    let said = server.stderr().so_far();
    let alarms = said.lines().filter(|line| line.contains("ERROR") || line.contains("WARN"));
    let alarms: Vec<_> = alarms.filter(|line| !line.contains("limit of open files")).collect();
    assert!(alarms.is_empty(), "{alarms:?} in:\n{said}");
}
