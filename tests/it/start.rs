//! A server that is registered starts and takes reports within seconds, whatever PostgreSQL does.

use std::time::{Duration, Instant};

use crate::client::gauges;
use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::frozen::Frozen;
use crate::output::until;
use crate::server::{Launch, Server};

/// Some seconds, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

/// Starts the server again, and reports to it.
fn start_again_and_report(server: &mut Server, value: f64) {
    let began = Instant::now();
    server.start_again();
    server.client().report(&gauges("start", "s", &[value]));
    let took = began.elapsed();
    assert!(took < LIMIT, "{took:?}\n{}", server.stderr().so_far());
}

/// Waits until the values 0, 1, … are stored, each once.
fn assert_stored(server: &Server, count: usize) {
    until("the flush", || {
        let answer = server.client().try_query(&[("component_name", "start")]);
        (answer.status == 200).then(|| assert_eq!(answer.json()["count"], count))
    });
}

#[test]
fn beside_a_database_that_is_read_only_or_hangs() {
    let cluster = Cluster::start();
    cluster.create("start");
    let launch = Launch::new().database(&cluster.tcp_url("start", PASSWORD_IN_URL));
    let mut server = launch.flag("query-timeout", "3s").start();
    server.client().report(&gauges("start", "s", &[0.0]));
    assert_stored(&server, 1);

    let mut admin = cluster.admin("postgres");
    admin.run("ALTER SYSTEM SET default_transaction_read_only = on");
    admin.run("SELECT pg_reload_conf()");
    server.kill();
    start_again_and_report(&mut server, 1.0);
    server.stderr().wait_for_text("in a read-only transaction");
    admin.run("ALTER SYSTEM RESET default_transaction_read_only");
    admin.run("SELECT pg_reload_conf()");
    assert_stored(&server, 2);

    server.kill();
    let frozen = Frozen::new(&cluster.data());
    start_again_and_report(&mut server, 2.0);
    drop(frozen);
    assert_stored(&server, 3);
}

#[test]
fn beside_an_embedded_postgres_that_hangs() {
    let mut server = Launch::new().flag("query-timeout", "3s").start();
    server.client().report(&gauges("start", "s", &[0.0]));
    assert_stored(&server, 1);

    // Only now: the system wakes a stopped process when its parent goes.
    server.kill();
    let frozen = Frozen::new(&server.home().data_dir().join("postgres/data"));
    start_again_and_report(&mut server, 1.0);
    server.stderr().wait_for_text("PostgreSQL is not up within 5s");
    drop(frozen);
    assert_stored(&server, 2);
    // It is supervised although the start did not wait for it.
    server.kill_postgres();
    server.client().report(&gauges("start", "s", &[2.0]));
    assert_stored(&server, 3);
}

#[test]
fn a_start_that_is_refused_leaves_no_postgresql_behind() {
    let launch = Launch::new();
    let mut server = launch.clone().start();
    server.sql().run("UPDATE noetl.schema_floor SET oldest = 99990101");
    server.sql().run("INSERT INTO noetl.schema_migration (version, description, success, checksum, execution_time) VALUES (99990101, 'later', true, '', 0)");
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let ended = launch.run_in(server.home());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("no longer fits this binary"), "{}", ended.stderr);
    // The file goes with the process.
    until("the end of PostgreSQL", || server.home().postmaster().is_none().then_some(()));
}
