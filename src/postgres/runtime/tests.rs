//! Tests of [`super`] against a real PostgreSQL.

use sqlx::Executor;

use super::*;
use crate::postgres::definitions::tests::{component, key, noon};
use crate::postgres::definitions::upsert_components;
use crate::postgres::test_cluster::{self, TestDatabase};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

async fn fixture(components: &[&str]) -> (TestDatabase, PgConnection) {
    let database = test_cluster::database().await;
    let mut conn = database.connect().await;
    let components: Vec<_> = components.iter().map(|name| component(name)).collect();
    upsert_components(&mut conn, &components).await.unwrap();
    (database, conn)
}

fn registration<'a>(
    key: &'a ComponentKey,
    details: &'a Details,
    status: &'a str,
    age_us: i64,
) -> Registration<'a> {
    let runtime_id = RuntimeId::derive(key);
    Registration { key, runtime_id, first_seen: noon(0), status, details, age_us }
}

/// Of each component by name: status, and how many seconds ago it was heard and changed.
async fn rows(conn: &mut PgConnection) -> Vec<(String, String, i64, i64)> {
    sqlx::query_as(
        "SELECT name, status, extract(epoch FROM now() - last_heartbeat)::int8,
                extract(epoch FROM now() - updated_at)::int8
           FROM noetl.runtime ORDER BY name",
    )
    .fetch_all(conn)
    .await
    .unwrap()
}

fn row(name: &str, status: &str, heard_s: i64, changed_s: i64) -> (String, String, i64, i64) {
    (name.to_owned(), status.to_owned(), heard_s, changed_s)
}

async fn set(conn: &mut PgConnection, name: &str, status: &str, heard: &str, changed: &str) {
    sqlx::query(
        "UPDATE noetl.runtime SET status = $2, last_heartbeat = now() + $3::interval,
                updated_at = now() + $4::interval WHERE name = $1",
    )
    .bind(name)
    .bind(status)
    .bind(heard)
    .bind(changed)
    .execute(conn)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_registration_is_stored_whole_and_replaced_whole() {
    let (_database, mut conn) = fixture(&[]).await;
    let key = key("w");
    let full = Details {
        base_url: Some("http://w".into()),
        runtime: Some("cpu".into()),
        capacity: Some(4),
        labels: Some(r#"{"zone": "ü"}"#.into()),
        pid: Some(77),
        hostname: Some("node-1".into()),
        meta: Some(r#"[1, "x"]"#.into()),
    };
    let ids = register(&mut conn, &[registration(&key, &full, "ready", 0)]).await.unwrap();
    assert_eq!(ids, [(key.clone(), RuntimeId::derive(&key))]);
    type Row = (
        Option<String>,
        Option<String>,
        Option<i32>,
        Option<String>,
        Option<i32>,
        Option<String>,
        Option<String>,
        String,
    );
    let stored = async |conn: &mut PgConnection| -> Row {
        sqlx::query_as(
            "SELECT base_url, runtime, capacity, labels::text, pid, hostname, meta::text, status
               FROM noetl.runtime",
        )
        .fetch_one(conn)
        .await
        .unwrap()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        stored(&mut conn).await,
        (
            text("http://w"),
            text("cpu"),
            Some(4),
            text(r#"{"zone": "ü"}"#),
            Some(77),
            text("node-1"),
            text(r#"[1, "x"]"#),
            "ready".to_owned()
        )
    );
    let bare = Details::default();
    let again = register(&mut conn, &[registration(&key, &bare, "busy", 0)]).await.unwrap();
    assert_eq!(again, ids);
    let nothing = (None, None, None, None, None, None, None, "busy".to_owned());
    assert_eq!(stored(&mut conn).await, nothing);
}

#[tokio::test]
async fn a_registration_keeps_the_id_there_is_and_answers_it() {
    let (_database, mut conn) = fixture(&["w"]).await;
    conn.execute("UPDATE noetl.runtime SET runtime_id = 42").await.unwrap();
    let (w, a, details) = (key("w"), key("a"), Details::default());
    let both = [registration(&w, &details, "ready", 0), registration(&a, &details, "ready", 0)];
    let ids = register(&mut conn, &both).await.unwrap();
    let expected = [(a.clone(), RuntimeId::derive(&a)), (w.clone(), RuntimeId::from_raw(42))];
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn an_old_registration_does_not_undo_a_newer_change() {
    let (_database, mut conn) = fixture(&["late", "newer", "future"]).await;
    set(&mut conn, "late", "offline", "-10 s", "-10 s").await;
    set(&mut conn, "newer", "busy", "-10 s", "-10 s").await;
    set(&mut conn, "future", "busy", "-10 s", "2 h").await;
    let (late, newer, future) = (key("late"), key("newer"), key("future"));
    let details = Details::default();
    let registrations = [
        registration(&late, &details, "ready", 13 * SECOND),
        registration(&newer, &details, "ready", MINUTE),
        registration(&future, &details, "ready", MINUTE),
    ];
    register(&mut conn, &registrations).await.unwrap();
    let expected = [
        row("future", "ready", 10, 60),
        row("late", "ready", 10, 13),
        row("newer", "busy", 10, 10),
    ];
    assert_eq!(rows(&mut conn).await, expected);
    deregister(&mut conn, &[(&newer, MINUTE), (&late, 0), (&key("unknown"), 0)]).await.unwrap();
    let expected = [
        row("future", "ready", 10, 60),
        row("late", "offline", 0, 0),
        row("newer", "busy", 10, 10),
    ];
    assert_eq!(rows(&mut conn).await, expected);
}

#[tokio::test]
async fn heartbeats_move_forward_only_and_bring_components_back() {
    let (_database, mut conn) = fixture(&["back", "future", "gone", "left", "older"]).await;
    set(&mut conn, "back", "offline", "-1 h", "-30 min").await;
    set(&mut conn, "future", "ready", "1 h", "-1 h").await;
    set(&mut conn, "gone", "offline", "-1 h", "-30 min").await;
    set(&mut conn, "older", "busy", "-5 s", "-1 h").await;
    let left = key("left");
    deregister(&mut conn, &[(&left, 10 * SECOND)]).await.unwrap();
    let id = |name: &str| component(name).runtime_id;
    let heard = [
        (id("back"), 30 * SECOND),
        (id("back"), 20 * SECOND),
        (id("future"), 20 * SECOND),
        (id("older"), 20 * SECOND),
        // Heard before it left, and told after.
        (id("left"), 20 * SECOND),
        (RuntimeId::from_raw(1), 0),
    ];
    beat(&mut conn, &heard).await.unwrap();
    let expected = [
        row("back", "ready", 20, 0),
        row("future", "ready", 20, 3600),
        row("gone", "offline", 3600, 1800),
        row("left", "offline", 10, 10),
        row("older", "busy", 5, 3600),
    ];
    assert_eq!(rows(&mut conn).await, expected);
    beat(&mut conn, &[(id("left"), 5 * SECOND)]).await.unwrap();
    assert_eq!(rows(&mut conn).await[3], row("left", "ready", 5, 0), "and heard after it left");
}

#[tokio::test]
async fn the_silent_are_offline_once() {
    let (database, mut conn) = fixture(&["busy", "live", "locked", "off", "silent"]).await;
    for name in ["busy", "silent", "locked", "off"] {
        set(&mut conn, name, "ready", "-10 min", "-1 h").await;
    }
    set(&mut conn, "live", "ready", "-1 min", "-1 h").await;
    set(&mut conn, "busy", "busy", "-10 min", "-1 h").await;
    set(&mut conn, "off", "offline", "-10 min", "-1 h").await;
    let mut other = database.connect().await;
    other
        .execute("BEGIN; SELECT FROM noetl.runtime WHERE name = 'locked' FOR UPDATE")
        .await
        .unwrap();
    let mut swept = sweep(&mut conn, 3 * MINUTE).await.unwrap();
    swept.sort_unstable();
    let mut expected = [component("busy").runtime_id, component("silent").runtime_id];
    expected.sort_unstable();
    assert_eq!(swept, expected, "what another server is about to change is left to it");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(sweep(&mut conn, 3 * MINUTE).await.unwrap(), [component("locked").runtime_id]);
    assert_eq!(sweep(&mut conn, 3 * MINUTE).await.unwrap(), []);
    let offline: Vec<_> = rows(&mut conn).await.into_iter().map(|one| (one.1, one.3)).collect();
    let offline: Vec<_> = offline.iter().map(|(status, s)| (status.as_str(), *s)).collect();
    let expected =
        [("offline", 0), ("ready", 3600), ("offline", 0), ("offline", 3600), ("offline", 0)];
    assert_eq!(offline, expected);
}

#[tokio::test]
async fn a_list_is_in_the_order_of_bytes_and_cut() {
    let (_database, mut conn) = fixture(&["b", "B", "a", "ä"]).await;
    conn.execute("UPDATE noetl.runtime SET component_type = 'broker' WHERE name = 'b'")
        .await
        .unwrap();
    let names = |listed: Vec<ListedComponent>| -> Vec<String> {
        listed.iter().map(|one| one.key.to_string()).collect()
    };
    let all = names(list(&mut conn, None, 10).await.unwrap());
    assert_eq!(all, ["broker/b", "worker_pool/B", "worker_pool/a", "worker_pool/ä"]);
    assert_eq!(names(list(&mut conn, None, 2).await.unwrap()), all[..2]);
    assert_eq!(names(list(&mut conn, Some("broker"), 10).await.unwrap()), all[..1]);
}

/// Both sides write the same rows at once, in opposite orders, each in its own way.
#[tokio::test]
async fn servers_that_write_the_same_rows_do_not_deadlock() {
    let (database, mut a) = fixture(&[]).await;
    let (mut b, mut c) = (database.connect().await, database.connect().await);
    let keys: Vec<_> = (0..400).map(|n| key(&format!("w-{n}"))).collect();
    let details = Details::default();
    for round in 0..10 {
        // Half of them are new in each round.
        let keys = &keys[..40 * (round + 1)];
        let forth: Vec<_> =
            keys.iter().map(|key| registration(key, &details, "ready", 0)).collect();
        let back: Vec<_> = forth.iter().rev().copied().collect();
        let heard: Vec<_> = back.iter().map(|one| (one.runtime_id, 0)).collect();
        let (one, two, three) =
            tokio::join!(register(&mut a, &forth), register(&mut b, &back), beat(&mut c, &heard));
        assert_eq!(one.unwrap(), two.unwrap());
        three.unwrap();
        let leaving: Vec<_> = keys.iter().map(|key| (key, 0)).collect();
        let (one, two, three) =
            tokio::join!(deregister(&mut a, &leaving), beat(&mut b, &heard), sweep(&mut c, 1));
        one.and(two).and(three.map(drop)).unwrap();
    }
    assert_eq!(rows(&mut a).await.len(), 400);
}

/// CPU seconds that a process has used.
fn cpu_s(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// A measurement, printed: `cargo test --lib what_a_fleet_costs -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn what_a_fleet_costs() {
    const FLEET: usize = 50_000;
    const TURNS: u32 = 20;
    let (_database, mut conn) = fixture(&[]).await;
    let backend: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
    let backend = backend.to_string();
    let keys: Vec<_> = (0..FLEET).map(|n| key(&format!("worker-{n:05}"))).collect();
    let details = Details {
        base_url: Some("http://queue-worker".into()),
        runtime: Some("cpu".into()),
        labels: Some(r#"["local","dev"]"#.into()),
        hostname: Some("node-1".into()),
        ..Details::default()
    };
    let used = || (cpu_s(&backend), cpu_s("self"));
    let report = |what: &str, before: (f64, f64), times: u32| {
        let after = used();
        let each = |after: f64, before: f64| (after - before) * 1000.0 / f64::from(times);
        println!(
            "{what}: {:.0} ms of CPU in PostgreSQL, {:.0} ms here",
            each(after.0, before.0),
            each(after.1, before.1)
        );
    };
    let before = used();
    for chunk in keys.chunks(1000) {
        let rows: Vec<_> =
            chunk.iter().map(|key| registration(key, &details, "ready", 0)).collect();
        register(&mut conn, &rows).await.unwrap();
    }
    report("50,000 registrations in 50 transactions", before, 1);
    conn.execute("VACUUM ANALYZE noetl.runtime").await.unwrap();
    let heard: Vec<_> = keys.iter().map(|key| (RuntimeId::derive(key), 0)).collect();
    let lsn = "SELECT (pg_current_wal_lsn() - '0/0')::int8";
    let wal: i64 = sqlx::query_scalar(lsn).fetch_one(&mut conn).await.unwrap();
    let (before, began) = (used(), std::time::Instant::now());
    for _ in 0..TURNS {
        beat(&mut conn, &heard).await.unwrap();
    }
    report("a turn: 50,000 heartbeats in 5 statements", before, TURNS);
    let written: i64 = sqlx::query_scalar(lsn).fetch_one(&mut conn).await.unwrap();
    println!(
        "  {} ms, {} MB of WAL",
        began.elapsed().as_millis() / u128::from(TURNS),
        (written - wal) / i64::from(TURNS) / 1_000_000
    );
    let before = used();
    for _ in 0..TURNS {
        assert!(sweep(&mut conn, MINUTE * 60).await.unwrap().is_empty());
    }
    report("a sweep that finds nobody", before, TURNS);
    let before = used();
    for _ in 0..TURNS {
        assert_eq!(list(&mut conn, None, 100_000).await.unwrap().len(), FLEET);
    }
    report("a list", before, TURNS);
    let size: i64 = sqlx::query_scalar("SELECT pg_table_size('noetl.runtime')")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    println!("the table after {TURNS} turns without a vacuum: {} MB", size / 1_000_000);
}
