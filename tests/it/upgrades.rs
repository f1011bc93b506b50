//! Servers of several releases on one database. There is one binary here, so what an earlier or a later
//! release has done to the database is done by hand.

use crate::cluster::Cluster;
use crate::home::Home;
use crate::log_commands::{log, segment};
use crate::output::until;
use crate::server::{Launch, Server};
use crate::stream::Stream;

/// What a later release may do while this one runs.
const LATER: &str = "
    ALTER TABLE noetl.report ADD COLUMN of_later integer;
    ALTER TABLE noetl.runtime ADD COLUMN of_later text NOT NULL DEFAULT 'x';
    CREATE TABLE noetl.of_later (one integer);
    INSERT INTO noetl.schema_migration (version, description, success, checksum, execution_time)
        SELECT 99990101, 'of a later release', success, checksum, execution_time
          FROM noetl.schema_migration LIMIT 1";

fn cut_connections(server: &Server) {
    server.sql().run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

#[test]
fn a_server_goes_on_and_starts_over_a_schema_that_a_later_one_has_added_to() {
    let cluster = Cluster::start();
    cluster.create("later");
    let launch = Launch::new().database(&cluster.socket_url("later"));
    let mut server = launch.clone().start();
    let stream = Stream::new("later");
    let client = server.client();
    stream.run(&client, |stream| {
        stream.wait_for(50);
        server.sql().run(LATER);
        stream.wait_for(50);
        cut_connections(&server);
        stream.wait_for(50);
    });
    stream.assert_stored_once(&server);
    // A crash in the middle of an upgrade, and a server that is new to the fleet.
    server.kill();
    server.start_again();
    server.stderr().wait_for_text("the schema is newer than this server and lets it go on");
    let another = launch.clone().start();
    stream.run(&another.client(), |stream| stream.wait_for(20));
    another.client().samples_of("later");
    stream.assert_stored_once(&server);

    // The release after that takes something away, and says so.
    server.sql().run("UPDATE noetl.schema_floor SET oldest = 99990101");
    stream.run(&server.client(), |stream| {
        cut_connections(&server);
        stream.wait_for(20);
    });
    stream.assert_stored_once(&server);
    server.kill();
    let expected = "is at version 99990101 and no longer fits this binary, which knows it up to 8; \
                    start a noetl-metrics at least as new as the one that migrated it";
    for home in [server.home(), &Home::new()] {
        let ended = launch.run_in(home);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn a_server_upgrades_the_schema_while_an_earlier_one_writes() {
    let cluster = Cluster::start();
    cluster.create("earlier");
    let launch = Launch::new().database(&cluster.socket_url("earlier"));
    let earlier = launch.clone().start();
    // The earlier server runs on the schema of its release.
    earlier
        .sql()
        .run("DROP TABLE noetl.schema_floor; DELETE FROM noetl.schema_migration WHERE version = 8");
    let stream = Stream::new("earlier");
    let client = earlier.client();
    stream.run(&client, |stream| {
        stream.wait_for(50);
        let upgraded = launch.clone().start();
        let version: (i64,) = upgraded.sql().row("SELECT max(version) FROM noetl.schema_migration");
        assert_eq!(version, (8,));
        stream.wait_for(50);
    });
    stream.assert_stored_once(&earlier);
}

#[test]
fn a_server_whose_migration_would_hold_others_up_takes_reports_meanwhile() {
    let cluster = Cluster::start();
    cluster.create("held");
    let launch = Launch::new().database(&cluster.socket_url("held"));
    let mut server = launch.start();
    server.terminate();
    let mut backup = cluster.admin("held");
    // As before version 3, which adds a column; and a pg_dump, which has every table open for reading.
    backup.run(
        "ALTER TABLE noetl.ingest_node DROP COLUMN mark;
         DELETE FROM noetl.schema_migration WHERE version = 3",
    );
    backup.run("BEGIN; LOCK TABLE noetl.ingest_node IN ACCESS SHARE MODE");
    server.start_again();
    let stream = Stream::new("held");
    stream.run(&server.client(), |stream| {
        stream.wait_for(20);
        server.stderr().wait_for_text("gave way after 4s");
        backup.run("COMMIT");
        until("the migration", || {
            let ready = server.client().get("/ready").ok();
            (ready["database"] == "up").then_some(())
        });
    });
    stream.assert_stored_once(&server);
}

#[test]
fn a_log_of_a_later_format_is_refused_and_left_as_it_is() {
    let mut server = Launch::new().start();
    server.client().report(&crate::client::gauges("format", "f", &[1.0]));
    server.kill();
    let path = segment(server.home(), 0);
    let before = std::fs::read(&path).unwrap();
    let mut later = before.clone();
    later[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let checksum = crc32c::crc32c(&later[..60]);
    later[60..64].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, &later).unwrap();
    let ended = Launch::new().run_in(server.home());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let expected =
        "0000000000000000.log has format version 2; start the newer program that wrote it";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    let verified = log(server.home(), &["verify"]);
    assert!(
        verified.stderr.contains("has format version 2"),
        "{}{}",
        verified.stdout,
        verified.stderr
    );
    assert!(std::fs::read(&path).unwrap() == later, "the file is as it was");
    std::fs::write(&path, &before).unwrap();
    server.start_again();
    assert_eq!(server.client().samples_of("format").len(), 1);
}
