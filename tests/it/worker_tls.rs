//! The worker's side over TLS, against the real server: whom it trusts, what it shows of itself, and
//! what it says where that does not come together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::date_time_ymd;
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::{Ran, run};
use crate::output::{Output, until};
use crate::server::{Server, command};
use crate::tls::{Authority, Identity, launch};

/// A directory with an authority's certificate in it.
struct Trust {
    directory: tempfile::TempDir,
}

impl Trust {
    fn new(authority: &Authority) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self { directory }
    }

    fn with(self, identity: &Identity) -> Self {
        identity.write(self.directory.path());
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The command against the server by that name of this host. It may take an hour, so that one that
/// gives up at once is told from one that tries again.
fn push(server: &Server, host: &str) -> Command {
    push_for("1h", server, host)
}

fn push_for(retry_for: &str, server: &Server, host: &str) -> Command {
    let mut push = command();
    let url = format!("https://{host}:{}", server.address().port());
    push.args(["push", "--retry-for", retry_for, "--component", "tls", "a=1"]);
    push.args(["--server-url", &url]).stdin(Stdio::null());
    push
}

fn trusting(mut push: Command, trust: &Trust) -> Command {
    push.arg("--worker-ca-file").arg(trust.file("ca.pem"));
    push
}

fn showing(mut push: Command, trust: &Trust) -> Command {
    push.arg("--worker-cert-file").arg(trust.file("cert.pem"));
    push.arg("--worker-key-file").arg(trust.file("key.pem"));
    push
}

fn assert_done(mut push: Command) {
    let Ran { status, stdout, stderr } = run(&mut push);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "reported 1 metrics as tls\n");
}

fn assert_failed(mut push: Command, said: &str) {
    let Ran { status, stdout, stderr } = run(&mut push);
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains(said) && stderr.contains("nothing was sent"), "{said} in {stderr}");
    assert!(!stderr.contains("BEGIN"), "{stderr}");
}

/// Has the server take a certificate over, and waits until a push meets it.
fn serve(
    server: &Server,
    directory: &Path,
    identity: &Identity,
    push: impl Fn() -> Command,
    said: &str,
) {
    identity.write(directory);
    server.signal(Signal::HUP);
    until(said, || run(&mut push()).stderr.contains(said).then_some(()));
    assert_failed(push(), said);
}

#[test]
fn only_a_server_with_the_right_certificate_gets_a_report() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.identity().write(directory.path());
    let server = launch(directory.path()).start();
    let trust = Trust::new(&authority);

    for host in ["localhost", "127.0.0.1"] {
        assert_done(trusting(push(&server, host), &trust));
    }
    // The system's authorities, where no file is named.
    let mut system = push(&server, "localhost");
    system.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", trust.file("ca.pem"));
    assert_done(system);
    let mut other_system = push(&server, "localhost");
    let other = Trust::new(&stranger);
    other_system.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", other.file("ca.pem"));
    assert_failed(other_system, "worker-ca-file may name the authority");
    assert_failed(trusting(push(&server, "localhost"), &other), "UnknownIssuer");

    let to = || trusting(push(&server, "localhost"), &trust);
    let elsewhere = authority.identity_of(&["elsewhere.example"], |_| {});
    serve(&server, directory.path(), &elsewhere, to, "not valid for name");
    let expired = authority.identity_of(&["localhost"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    serve(&server, directory.path(), &expired, to, "certificate expired");
    let to_come = authority.identity_of(&["localhost"], |params| {
        params.not_before = date_time_ymd(2100, 1, 1);
        params.not_after = date_time_ymd(2101, 1, 1);
    });
    serve(&server, directory.path(), &to_come, to, "certificate not valid yet");

    // A server that speaks no TLS is told apart from one that is not trusted, and may come to.
    let plain = push_for("1ms", Server::shared(), "localhost");
    let plain = run(&mut trusting(plain, &trust));
    assert_eq!(plain.status, Some(1));
    assert!(plain.stderr.contains("speak TLS with https://localhost"), "{}", plain.stderr);
}

#[test]
fn a_file_that_cannot_be_used_is_named_before_anything_is_sent() {
    let authority = Authority::new();
    let trust = Trust::new(&authority).with(&authority.identity());
    let to = |arguments: &[&str]| {
        let mut push = command();
        run(push.args(["push", "a=1"]).args(arguments).stdin(Stdio::null()))
    };
    let (ca, key, away) = (trust.file("ca.pem"), trust.file("key.pem"), trust.file("away.pem"));
    let [ca, key, away] = [&ca, &key, &away].map(|path| path.to_str().unwrap());
    let https = ["--server-url", "https://localhost:1"];
    let secret = fs::read_to_string(key).unwrap();
    for (arguments, status, said) in [
        (&["--worker-ca-file", ca][..], 2, "for a server-url that begins with https://"),
        (&["--worker-cert-file", ca], 2, "worker-cert-file and worker-key-file need each other"),
        (&["--worker-ca-file", away, https[0], https[1]], 1, "the file of worker-ca-file: No such"),
        (&["--worker-ca-file", key, https[0], https[1]], 1, "has no certificate in PEM"),
        (
            &["--worker-cert-file", ca, "--worker-key-file", key, https[0], https[1]],
            1,
            "use worker-cert-file with worker-key-file",
        ),
    ] {
        let ran = to(arguments);
        assert_eq!(ran.status, Some(status), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
        assert!(!ran.stderr.contains(secret.lines().nth(1).unwrap()), "{}", ran.stderr);
    }
}

/// An agent of a host named `name`, and what it says.
fn agent(name: &str, server: &Server, spool: &Path, trust: &Trust) -> (Child, Output) {
    let mut agent = command();
    agent.args(["agent", "--worker-pool-name", name, "--worker-metrics-interval", "200ms"]);
    agent.args(["--worker-backoff-max", "100ms", "--worker-spool-dir"]).arg(spool);
    let port = server.address().port();
    agent.args(["--server-url", &format!("https://localhost:{port}")]);
    let mut agent = showing(trusting(agent, trust), trust);
    let mut child = agent.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = Output::of(child.stderr.take().unwrap());
    (child, stderr)
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_one_of_the_day() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    authority.identity().write(directory.path());
    let named = directory.path().join("clients.pem");
    fs::write(&named, clients.pem()).unwrap();
    let launch = launch(directory.path()).flag("tls-client-ca", named.to_str().unwrap());
    let server = launch.start();

    let known = Trust::new(&authority).with(&clients.identity());
    let unknown = Trust::new(&authority).with(&stranger.identity());
    let to = || trusting(push(&server, "localhost"), &known);
    assert_done(showing(to(), &known));
    assert_failed(to(), "the server asks for one; worker-cert-file names the worker's");
    assert_failed(showing(to(), &unknown), "the server does not take the worker's");

    // An agent keeps what it measures until its certificate is replaced, and needs no other start.
    let spool = directory.path().join("spool");
    let (mut child, stderr) = agent("tls-agent", &server, &spool, &unknown);
    stderr.wait_for_text("the server does not let this worker in");
    let stored = || {
        let statement = "SELECT count(*) FROM noetl.metrics WHERE component_name = 'tls-agent'";
        let rows: (i64,) = server.sql().row(statement);
        rows.0
    };
    assert_eq!(stored(), 0);
    clients.identity().write(unknown.directory.path());
    until("the reports of the agent", || (stored() > 0).then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = until("the end of the agent", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", stderr.to_the_end());
    assert!(!stderr.to_the_end().contains("BEGIN"));
}
