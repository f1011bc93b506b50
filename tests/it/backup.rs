//! Backups by PostgreSQL's own programs, taken while the server ingests, and what a restored one has.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::cluster::{Cluster, programs};
use crate::commands::run;
use crate::histories::{accept_gap, copy, go_on, launch, log_of, outgrow_the_log, refused};
use crate::home::Home;
use crate::output::until;
use crate::server::{Launch, Server, command};
use crate::stream::Stream;

/// Runs a program of PostgreSQL, as docs/operations.md has it.
fn postgres(program: &str, arguments: &[&str]) {
    let ran = run(Command::new(programs().join(program)).args(arguments));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{program} {arguments:?}");
}

fn dump(url: &str, file: &Path) {
    let file = format!("--file={}", file.display());
    postgres("pg_dump", &["--format=custom", "--schema=noetl", &file, url]);
}

fn restore(url: &str, file: &Path) {
    let into = format!("--dbname={url}");
    postgres(
        "pg_restore",
        &["--no-owner", "--exit-on-error", "--single-transaction", &into, file.to_str().unwrap()],
    );
}

/// How many reports of the stream the database has.
fn stored_reports(cluster: &Cluster, database: &str) -> i64 {
    let mut sql = cluster.admin(database);
    sql.row::<(i64,)>("SELECT count(DISTINCT metric_value) FROM noetl.metrics").0
}

#[test]
fn a_dump_taken_under_load_and_the_log_make_all_of_it() {
    let cluster = Cluster::start();
    let launch_first = launch(&cluster, "alive");
    let mut server = launch_first.start();
    let file = server.home().data_dir().join("noetl.dump");
    let stream = Stream::new("dumped");
    let client = server.client();
    stream.run(&client, |stream| {
        until("the first flush", || (stored_reports(&cluster, "alive") >= 50).then_some(()));
        dump(&cluster.socket_url("alive"), &file);
        stream.wait_for(50);
        server.signal(Signal::KILL);
        stream.wait_gone();
    });
    server.ended();
    // The host of the database is lost; the server's log is not.
    let restored = launch(&cluster, "restored_dump");
    restore(&cluster.socket_url("restored_dump"), &file);
    let in_dump = stored_reports(&cluster, "restored_dump");
    let acknowledged = i64::try_from(stream.acknowledged()).unwrap();
    assert!(50 <= in_dump && in_dump < acknowledged, "{in_dump} of {acknowledged}");
    let home = Home::new();
    copy(&log_of(server.home()), &log_of(&home));
    let server = restored.start_in(home);
    stream.assert_stored_once(&server);
    assert!(stored_reports(&cluster, "restored_dump") >= acknowledged);
    let maintained: (bool,) = server
        .sql()
        .row("SELECT count(*) >= 8 FROM pg_inherits WHERE inhparent = 'noetl.report'::regclass");
    assert!(maintained.0, "the partitions were dumped, or made again");
}

#[test]
fn a_dump_that_the_log_does_not_reach_back_to_is_refused_until_the_gap_is_accepted() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "outgrown");
    let mut server = launch.clone().start();
    let file = server.home().data_dir().join("noetl.dump");
    let stream = Stream::new("outgrown");
    stream.run(&server.client(), |stream| stream.wait_for(30));
    stream.assert_stored_once(&server);
    dump(&cluster.socket_url("outgrown"), &file);
    let in_dump = stored_reports(&cluster, "outgrown");
    outgrow_the_log(&server);
    server.terminate();
    cluster.admin("postgres").run("DROP DATABASE outgrown");
    cluster.create("outgrown");
    let url = cluster.socket_url("outgrown");
    restore(&url, &file);
    let said = refused(&launch, &server);
    assert!(said.contains("rows are missing"), "{said}");
    go_on(&mut server, &url, &["missing: "]);
    stream.assert_stored_once(&server);
    let components = "SELECT count(DISTINCT metric_value) FROM noetl.metrics
                       WHERE component_name = 'outgrown'";
    assert_eq!(server.sql().row::<(i64,)>(components).0, in_dump);
}

#[test]
fn of_a_lost_database_without_a_backup_the_log_has_its_last_part() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "lost");
    let url = cluster.socket_url("lost");
    let mut server = launch.clone().start();
    let stream = Stream::new("lost");
    stream.run(&server.client(), |stream| stream.wait_for(30));
    server.terminate();
    cluster.admin("postgres").run("DROP DATABASE lost");
    cluster.create("lost");
    let said = refused(&launch, &server);
    assert!(
        said.contains("this is another database, one restored from before the log began"),
        "{said}"
    );
    let asked = accept_gap(&server, &url, &[]);
    assert!(asked.stdout.contains("registered again at position 0"), "{}", asked.stdout);
    go_on(&mut server, &url, &["nothing can come twice"]);
    // Nothing of this small log was deleted, so all of it comes back.
    stream.assert_stored_once(&server);
}

#[test]
fn of_a_lost_log_the_database_has_all_that_was_flushed() {
    let cluster = Cluster::start();
    let launch = launch(&cluster, "no_log").flag("batch-age-max", "15s");
    let mut server = launch.start();
    let stream = Stream::new("no-log");
    stream.run(&server.client(), |stream| stream.wait_for(30));
    stream.assert_stored_once(&server);
    let flushed = stored_reports(&cluster, "no_log");
    let late = Stream::new("late");
    late.run(&server.client(), |stream| stream.wait_for(5));
    server.kill();
    std::fs::remove_dir_all(log_of(server.home())).unwrap();
    server.start_again();
    stream.assert_stored_once(&server);
    assert_eq!(stored_reports(&cluster, "no_log"), flushed, "what was in the log alone is lost");
    let nodes: (i64,) = server.sql().row("SELECT count(*) FROM noetl.ingest_node");
    assert_eq!(nodes, (2,), "the server is a new node");
    late.run(&server.client(), |stream| stream.wait_for(5));
    assert!(server.client().samples_of("late").len() >= 10);
}

#[test]
fn an_embedded_database_is_dumped_by_the_url_that_the_server_tells() {
    let server = Launch::new().start();
    let stream = Stream::new("embedded");
    stream.run(&server.client(), |stream| stream.wait_for(20));
    stream.assert_stored_once(&server);
    let url = run(command().arg("database-url").arg("--data-dir").arg(server.home().data_dir()));
    assert_eq!((url.status, url.stderr.as_str()), (Some(0), ""));
    let file = server.home().data_dir().join("noetl.dump");
    dump(url.stdout.trim(), &file);
    let cluster = Cluster::start();
    cluster.create("from_embedded");
    cluster.admin("postgres").run("CREATE ROLE noetl_reader NOLOGIN");
    restore(&cluster.socket_url("from_embedded"), &file);
    assert_eq!(
        stored_reports(&cluster, "from_embedded"),
        server.sql().row::<(i64,)>("SELECT count(DISTINCT metric_value) FROM noetl.metrics").0
    );
}

/// A server of its own log is told apart from its copy: see `histories`. Here a snapshot of both
/// that was taken at one moment starts as after a power failure.
#[test]
fn a_snapshot_of_the_whole_data_directory_starts_as_after_a_power_failure() {
    let mut server = Launch::new().start();
    let stream = Stream::new("snapshot");
    let client = server.client();
    stream.run(&client, |stream| {
        stream.wait_for(50);
        server.kill_postgres();
        server.signal(Signal::KILL);
        stream.wait_gone();
    });
    server.ended();
    // Nothing writes any more, as in a snapshot.
    let home = Home::new();
    copy_with_owners(&server.home().data_dir(), &home.data_dir());
    let copied: Server = Launch::new().start_in(home);
    stream.assert_stored_once(&copied);
}

fn copy_with_owners(from: &Path, to: &Path) {
    let ran = run(Command::new("cp").args(["-a", "--"]).arg(from).arg(to));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}
