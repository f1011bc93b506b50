//! The commands `push` and `agent` against the real server.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::commands::{Ran, run};
use crate::output::{Output, until};
use crate::server::{Server, command};

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn push(server: &Server) -> Command {
    let mut command = command();
    command.arg("push").env("NOETL_SERVER_URL", url(server)).stdin(Stdio::null());
    command
}

/// Runs a command with that text on its standard input.
fn run_with(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The samples of a component: name, type, labels, value, unit.
fn stored(server: &Server, component: &str) -> Vec<(String, String, String, f64, Option<String>)> {
    server.client().query(&[("component_name", component)]);
    server.sql().rows(&format!(
        "SELECT metric_name, metric_type, labels::text, metric_value, unit FROM noetl.metrics
          WHERE component_name = '{component}' ORDER BY metric_name, labels"
    ))
}

#[test]
fn what_a_script_pushes_is_durable() {
    let server = Server::shared();
    let mut command = push(server);
    command.args(["--component", "push-script", "--component-type", "cron_job"]);
    command.args(["rows=7", "seconds=0.5", "--unit", "things", "--label", "job=nightly"]);
    let ran = run(&mut command);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout, "reported 2 metrics as push-script\n");
    let row = |name: &str, value| {
        let labels = r#"{"job": "nightly"}"#.to_owned();
        (name.to_owned(), "gauge".to_owned(), labels, value, Some("things".to_owned()))
    };
    assert_eq!(stored(server, "push-script"), [row("rows", 7.0), row("seconds", 0.5)]);
}

#[test]
fn text_of_prometheus_is_pushed_from_standard_input() {
    let server = Server::shared();
    let text = "# TYPE jobs_total counter\njobs_total{queue=\"a\"} 3\njobs_total{queue=\"b\"} 4\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.5\nh_count 2\n";
    let ran = run_with(push(server).args(["--component", "push-text"]), text);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let rows = stored(server, "push-text");
    let short: Vec<_> = rows.iter().map(|(n, t, l, v, _)| (&**n, &**t, &**l, *v)).collect();
    let expected = [
        ("h_bucket", "histogram", r#"{"le": "+Inf"}"#, 2.0),
        ("h_count", "histogram", "{}", 2.0),
        ("h_sum", "histogram", "{}", 1.5),
        ("jobs_total", "counter", r#"{"queue": "a"}"#, 3.0),
        ("jobs_total", "counter", r#"{"queue": "b"}"#, 4.0),
    ];
    assert_eq!(short, expected);
}

#[test]
fn a_push_that_is_not_durable_says_so_by_its_status() {
    let server = Server::shared();
    let check = |command: &mut Command, input: &str, status: i32, said: &str| {
        let ran = run_with(command, input);
        assert_eq!(ran.status, Some(status), "{}{}", ran.stdout, ran.stderr);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(said), "{said} in {all}");
    };
    check(
        &mut push(server),
        "half 1\nnone\n",
        1,
        "line 2: a name without a value; nothing was sent",
    );
    check(&mut push(server), "# nothing\n", 1, "no metrics on standard input");
    check(push(server).args(["a=1", "a=2"]), "", 1, "1 metrics stand twice");
    check(push(server).arg("a=b"), "", 2, "write it like jobs=7");
    check(push(server).args(["a=1", "--server-url", "ftp://x"]), "", 2, "is not a URL of a server");
    let refused = format!("{}/not-here", url(server));
    check(push(server).args(["a=1", "--server-url", &refused]), "", 1, "the server refuses it");
    let future = "a 1 99999999999999\n";
    check(push(server).args(["--component", "push-future"]), future, 1, "future");
    let nowhere = format!("http://{}", crate::fleet::free_address());
    let away = ["a=1", "--retry-for", "1s", "--server-url", &nowhere];
    check(push(server).args(away), "", 1, "not delivered within 1s: connect to http://127.0.0.1:");
    assert!(stored(server, "push-future").is_empty());
}

#[test]
fn an_agent_reports_for_its_host_until_it_is_told_to_stop() {
    let server = Server::shared();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("backup.prom"), "backup_bytes 7\n").unwrap();
    let pid_file = directory.path().join("tests.pid");
    fs::write(&pid_file, std::process::id().to_string()).unwrap();
    let mut child = command()
        .args(["agent", "--worker-pool-name", "host-1", "--worker-metrics-interval", "200ms"])
        .args(["--agent-statsd", "127.0.0.1:0", "--server-url", &url(server)])
        .arg("--agent-textfile-dir")
        .arg(directory.path())
        .arg("--agent-pid-files")
        .arg(&pid_file)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = Output::of(child.stderr.take().unwrap());
    let address = stderr.wait_for("the line that names the address", |line| {
        let (_, address) = line.split_once("StatsD is taken on udp://")?;
        Some(address.to_owned())
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"jobs:3|c|#queue:mail\ntook:12|ms\n", &address).unwrap();
    let value = |name: &str| {
        let samples = server.client().query(&[("component_name", "host-1"), ("metric_name", name)]);
        samples["metrics"][0]["metric_value"].as_f64()
    };
    let jobs = until("the counter of StatsD", || value("jobs"));
    assert_eq!(jobs, 3.0);
    assert_eq!(value("backup_bytes"), Some(7.0));
    assert_eq!(value("noetl_watched_processes"), Some(1.0));
    assert_eq!(value("took_count"), Some(1.0));
    for name in ["noetl_system_cpu_usage_percent", "noetl_system_load_average"] {
        assert!(value(name).is_some(), "{name}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = until("the end of the agent", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", stderr.to_the_end());
    let row: (String, String) =
        server.sql().row("SELECT component_type, status FROM noetl.runtime WHERE name = 'host-1'");
    assert_eq!(row, ("worker_pool".to_owned(), "offline".to_owned()));
}

#[test]
fn the_unit_of_systemd_is_one() {
    let unit = include_str!("../../packaging/noetl-metrics-agent.service");
    assert!(unit.contains("ExecStart=/usr/bin/noetl-metrics agent\n"));
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("noetl-metrics-agent.service");
    // It looks for the program.
    fs::write(&path, unit.replace("/usr/bin/noetl-metrics", crate::server::BINARY)).unwrap();
    let ran = run(Command::new("systemd-analyze").arg("verify").arg(&path));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
}
