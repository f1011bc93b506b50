//! The commands: what they print, and the status they end with.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use noetl_metrics::config::SETTINGS;
use serde_json::Value;

use crate::home::Home;
use crate::server::{Launch, Server, command};

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

#[test]
fn help_names_every_command_and_setting() {
    let ran = run(command().arg("--help"));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    for name in [
        "serve",
        "config",
        "database-url",
        "quarantine",
        "log",
        "partitions",
        "token",
        "agent",
        "push",
    ] {
        assert!(ran.stdout.contains(&format!("\n  {name} ")), "{name} in {}", ran.stdout);
    }
    let ran = run(command().args(["serve", "--help"]));
    assert_eq!(ran.status, Some(0));
    for setting in SETTINGS {
        assert!(ran.stdout.contains(&format!("--{}", setting.key)), "{}", setting.key);
        assert!(ran.stdout.contains(&setting.variable()), "{}", setting.variable());
    }
    let ran = run(command().arg("--version"));
    assert_eq!(ran.stdout, concat!("noetl-metrics ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&[][..], &["fly"], &["serve", "--fly"], &["serve", "--listen"], &["config"]] {
        let ran = run(command().args(arguments));
        assert_eq!(ran.status, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--help"), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[test]
fn every_mistake_of_a_configuration_is_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("noetl.toml");
    fs::write(&file, "data_dir = 'x'\nlabels-max = 'many'\n").unwrap();
    for arguments in [&["config", "check"][..], &["serve"]] {
        let mut command = command();
        command.args(arguments).arg("--config").arg(&file).args(["--idle-after", "1m"]);
        let ran = run(command.env("NOETL_KEEP_ALIVE", "soon"));
        assert_eq!(ran.status, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("the configuration has 4 mistakes"), "{}", ran.stderr);
        for mistake in ["did you mean data-dir?", "labels-max", "NOETL_KEEP_ALIVE", "--idle-after"]
        {
            assert!(ran.stderr.contains(mistake), "{mistake} in {}", ran.stderr);
        }
    }
}

#[test]
fn the_checked_configuration_is_one_and_hides_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let url = "postgres://metrics:hunter2@db.example/metrics";
    let check = |command: &mut Command| {
        let ran = run(command.args(["config", "check"]));
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
        assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
        ran.stdout
    };
    let printed = check(command().env("DATABASE_URL", url).env("NOETL_LABELS_MAX", "7"));
    assert!(printed.contains("labels-max = "), "{printed}");
    let file = directory.path().join("again.toml");
    fs::write(&file, &printed).unwrap();
    let again = check(command().env("DATABASE_URL", url).env("NOETL_CONFIG", &file));
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" #").next().unwrap().trim_end().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn the_database_url_is_for_psql() {
    let server = Server::shared();
    let ran = run(command().arg("database-url").arg("--data-dir").arg(server.home().data_dir()));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let mut psql = Command::new("psql");
    psql.arg(ran.stdout.trim_end()).args(["-X", "-At", "-c", "SELECT current_database()"]);
    // Whatever surrounds it must not matter.
    let ran = run(psql.env("PGDATABASE", "other").env("PGUSER", "other").env("PGPORT", "1"));
    assert_eq!((ran.stdout.as_str(), ran.status), ("noetl\n", Some(0)), "{}", ran.stderr);

    let external = "postgres://u:p@db.example/metrics";
    let ran = run(command().arg("database-url").env("DATABASE_URL", external));
    assert_eq!(ran.stdout.trim_end(), external);

    let home = Home::new();
    let ran = run(command().arg("database-url").arg("--data-dir").arg(home.data_dir()));
    assert_eq!(ran.status, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains("there is no private PostgreSQL"), "{}", ran.stderr);
}

#[test]
fn what_keeps_the_server_from_starting_is_told_with_status_1() {
    let check = |launch: Launch, expected: &str| {
        let ended = launch.run_in(&Home::new());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.starts_with("noetl-metrics: ") && last.contains(expected), "{last}");
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(Launch::new().flag("listen", &address), "choose another address with --listen");
    check(Launch::new().flag("data-dir", "/dev/null"), "choose another with --data-dir");
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    check(Launch::new().flag("postgres-bin-dir", empty), "no PostgreSQL programs");
}

#[test]
fn a_server_with_json_logs_says_json_only_but_for_its_ready_line() {
    let mut server = Launch::new().flag("log-format", "json").flag("log-level", "debug").start();
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let events: Vec<Value> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("noetl-metrics is ready on "))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    assert!(events.len() > 2, "{}", ended.stderr);
    for event in events {
        assert!(event["timestamp"].is_string() && event["level"].is_string(), "{event}");
        assert!(event["target"].is_string(), "{event}");
    }
}
