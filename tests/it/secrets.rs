//! Tokens, private keys and the database's password: what is told and logged, at its most talkative,
//! has none of them.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::cluster::{Cluster, PASSWORD, PASSWORD_IN_URL};
use crate::commands::run;
use crate::home::Home;
use crate::server::{Launch, Server, command};
use crate::tls::Authority;

/// A token by the command, which is the one place that may print it.
fn token(file: &Path, scope: &str) -> String {
    let mut create = command();
    create.args(["token", "create", "--name", scope, "--scope", scope, "--token-file"]).arg(file);
    run(&mut create).stdout.trim().to_owned()
}

/// A worker that pushes with that token.
fn push(server: &Server, directory: &Path, token: &str) -> String {
    let mut push = command();
    let url = format!("https://localhost:{}", server.address().port());
    push.args([
        "push",
        "a=1",
        "--component",
        "secrets",
        "--retry-for",
        "1ms",
        "--server-url",
        &url,
    ]);
    push.arg("--worker-ca-file").arg(directory.join("ca.pem"));
    push.arg("--worker-cert-file").arg(directory.join("worker-cert.pem"));
    push.arg("--worker-key-file").arg(directory.join("worker-key.pem"));
    let ran = run(push.env("NOETL_TOKEN", token).stdin(Stdio::null()));
    ran.stdout + &ran.stderr
}

#[test]
fn no_secret_is_ever_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let authority = Authority::new();
    let identity = authority.identity();
    identity.write(directory.path());
    fs::write(path("ca.pem"), authority.pem()).unwrap();
    fs::copy(path("cert.pem"), path("worker-cert.pem")).unwrap();
    fs::copy(path("key.pem"), path("worker-key.pem")).unwrap();
    let tokens = directory.path().join("tokens");
    let (writer, admin) = (token(&tokens, "write"), token(&tokens, "admin"));
    let mut cluster = Cluster::start();
    cluster.create("secrets");
    let url = cluster.tcp_url("secrets", PASSWORD_IN_URL);
    let launch = Launch::new().database(&url).flag("log-level", "trace");
    let launch = launch.flag("token-file", &path("tokens"));
    let launch = launch.flag("tls-cert", &path("cert.pem")).flag("tls-key", &path("key.pem"));
    let mut server = launch.start();

    // All goes well, and then nothing does.
    let mut said = vec![push(&server, directory.path(), &writer)];
    assert!(said[0].contains("reported 1 metrics"), "{}", said[0]);
    said.push(push(&server, directory.path(), &admin));
    assert!(said[1].contains("insufficient_scope"), "{}", said[1]);
    let sound = fs::read_to_string(&tokens).unwrap();
    fs::write(&tokens, format!("{sound}pasted {writer} write\n")).unwrap();
    fs::write(path("cert.pem"), identity.key.as_bytes()).unwrap();
    server.signal(Signal::HUP);
    server.stderr().wait_for_text("the certificates stay as they were");
    cluster.stop();
    said.push(push(&server, directory.path(), &writer));
    server.stderr().wait_for_text("flush failed");
    cluster.start_again();
    said.push(server.terminate().stderr);

    fs::write(&tokens, &sound).unwrap();
    identity.write(directory.path());
    let wrong = cluster.tcp_url("secrets", &format!("{PASSWORD_IN_URL}x"));
    let refused = Launch::new().database(&wrong).flag("log-level", "trace");
    let mut refused = refused.spawn_in(Home::new());
    refused.stderr().wait_for_text("waiting for PostgreSQL");
    said.push(refused.terminate().stderr);
    for (variable, value) in
        [("DATABASE_URL", url.as_str()), ("DATABASE_URL", "mysql://a:p%40ss%3Aw%25rd%2F@b/c")]
    {
        let mut check = command();
        check.args(["config", "check", "--token-file"]).arg(&tokens).env(variable, value);
        check.args(["--tls-cert", &path("key.pem"), "--tls-key", &path("key.pem")]);
        let ran = run(&mut check);
        said.push(ran.stdout + &ran.stderr);
    }

    let key = identity.key.lines().nth(1).unwrap();
    for secret in [&writer, &writer[6..], &admin[6..], key, PASSWORD, PASSWORD_IN_URL] {
        for text in &said {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} in {line:?}");
        }
    }
}
