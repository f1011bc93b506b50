//! Tokens: who gets in, what they may do, and that no secret is ever shown.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Answer, Client, gauges};
use crate::commands::run;
use crate::home::Home;
use crate::output::{Output, until};
use crate::server::{Launch, command};

/// Makes a token by the command, as an operator does.
fn create(file: &Path, name: &str, scopes: &str, component: Option<&str>) -> String {
    let mut create = command();
    create.args(["token", "create", "--name", name, "--scope", scopes, "--token-file"]).arg(file);
    if let Some(pattern) = component {
        create.args(["--component", pattern]);
    }
    let ran = run(&mut create);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    ran.stdout.trim().to_owned()
}

fn post(client: &Client, token: &str, report: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    client.post(&[("authorization", &bearer)], report.to_string().as_bytes())
}

fn get(client: &Client, token: &str, path: &str) -> Answer {
    client.get_with(path, &[("authorization", &format!("Bearer {token}"))])
}

fn code(answer: &Answer) -> (u16, String) {
    let error = &answer.json()["error"];
    (answer.status, error.as_str().unwrap_or_default().to_owned())
}

#[test]
fn tokens_open_what_their_scopes_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    let worker = create(&file, "worker", "write", Some("worker-*"));
    let reader = create(&file, "reader", "read", None);
    let admin = create(&file, "admin", "admin,read", None);
    let launch = Launch::new().flag("token-file", file.to_str().unwrap());
    let server = launch.start();
    let client = server.client();
    let report = gauges("worker-1", "a", &[1.0]);

    // Open to anybody, and nothing else is.
    for path in ["/health", "/ready", "/docs", "/api/openapi.json"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    for path in [
        "/metrics",
        "/api/metrics/prometheus",
        "/api/metrics/components",
        "/api/metrics/cardinality",
    ] {
        let refused = client.get(path);
        assert_eq!(code(&refused), (401, "missing_token".to_owned()), "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"noetl-metrics\""));
        assert_eq!(get(&client, &reader, path).status, 200, "{path}");
        let refused = get(&client, &worker, path);
        assert_eq!(code(&refused), (403, "insufficient_scope".to_owned()), "{path}");
        assert!(refused.header("www-authenticate").unwrap().ends_with("scope=\"read\""));
    }
    let refused = post(&client, "noetl_wrong", &report);
    assert_eq!(code(&refused), (401, "invalid_token".to_owned()));
    assert_eq!(code(&post(&client, &reader, &report)), (403, "insufficient_scope".to_owned()));

    // A token that is bound speaks for its components only, by name and by number.
    let taken = post(&client, &worker, &report).ok();
    let id = taken["runtime_id"].as_i64().unwrap();
    let mut by_id = report.clone();
    by_id["component_name"] = Value::Null;
    by_id["runtime_id"] = json!(id);
    post(&client, &worker, &by_id).ok();
    let other = gauges("intruder", "a", &[1.0]);
    assert_eq!(code(&post(&client, &worker, &other)), (403, "component_not_allowed".to_owned()));
    let register = json!({"name": "intruder", "component_type": "worker_pool"});
    let bearer = format!("Bearer {worker}");
    let body = register.to_string();
    let refused = client.post_authorized("/api/worker/pool/heartbeat", &bearer, body.as_bytes());
    assert_eq!(code(&refused), (403, "component_not_allowed".to_owned()));
    let listed = get(&client, &reader, "/api/metrics/components").text();
    assert!(listed.contains("worker-1") && !listed.contains("intruder"), "{listed}");

    // The worker's side sends its token, from the environment or a file, and shows it to nobody.
    let push = |variable: &str, value: &str| {
        let mut push = command();
        push.args(["push", "--component", "worker-2", "--component-type", "worker_pool", "a=1"]);
        // Whoever is not let in does not try it for an hour.
        push.args(["--retry-for", "1h", "--server-url", &format!("http://{}", server.address())]);
        run(push.env(variable, value))
    };
    let pushed = push("NOETL_TOKEN", &worker);
    assert_eq!(pushed.status, Some(0), "{}", pushed.stderr);
    let secret = directory.path().join("secret");
    fs::write(&secret, format!("{worker}\n")).unwrap();
    let pushed = push("NOETL_WORKER_TOKEN_FILE", secret.to_str().unwrap());
    assert_eq!(pushed.status, Some(0), "{}", pushed.stderr);
    let wrong = format!("{worker} x");
    for (token, status) in [(&reader, Some(1)), (&wrong, Some(2))] {
        let refused = push("NOETL_TOKEN", token);
        assert_eq!(refused.status, status, "{}", refused.stderr);
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("token") && !said.contains(&token[6..20]), "{said}");
    }

    // An agent with a wrong one keeps what it measures, says so, and takes the right one from the file.
    fs::write(&secret, &reader).unwrap();
    let mut agent = command();
    agent.args(["agent", "--worker-pool-name", "worker-agent", "--worker-backoff-max", "100ms"]);
    agent.args(["--worker-metrics-interval", "200ms", "--worker-token-file"]).arg(&secret);
    agent.args(["--server-url", &format!("http://{}", server.address())]);
    let mut agent = agent.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let agent_said = Output::of(agent.stderr.take().unwrap());
    agent_said.wait_for_text("the server does not let this worker in");
    fs::write(&secret, &worker).unwrap();
    let values = || {
        let bearer = format!("Bearer {reader}");
        let path = "/api/metrics/query?component_name=worker-agent&metric_name=noetl_worker_status";
        client.get_with(path, &[("authorization", &bearer)]).json()["count"].as_u64().unwrap()
    };
    until("the agent's reports", || (values() >= 2).then_some(()));
    kill_process(Pid::from_child(&agent), Signal::TERM).unwrap();
    let status = until("the end of the agent", || agent.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", agent_said.to_the_end());

    // Who sends much sees the answer as well.
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
    let refused = client.post(&[], large.as_bytes());
    assert_eq!(code(&refused), (401, "missing_token".to_owned()));

    // Another file holds at once, also on connections that are open; a broken one changes nothing.
    let revoke = ["token", "revoke", "--name", "worker", "--token-file"];
    let ran = run(command().args(revoke).arg(&file));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    server.signal(Signal::HUP);
    until("the revocation", || (post(&client, &worker, &report).status == 401).then_some(()));
    assert_eq!(get(&client, &reader, "/metrics").status, 200);
    let sound = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{sound}pasted {worker} write\n")).unwrap();
    server.signal(Signal::HUP);
    server.stderr().wait_for_text("the tokens stay as they were");
    assert_eq!(get(&client, &admin, "/metrics").status, 200);

    // Nothing that anybody saw has a token in it.
    let mut check = command();
    check.args(["config", "check", "--token-file"]).arg(&file);
    let check = run(&mut check);
    let instruments = get(&client, &reader, "/metrics").text();
    let list = ["token", "list", "--token-file"];
    let list = run(command().args(list).arg(&file));
    let shown = [
        server.stderr().so_far(),
        agent_said.to_the_end(),
        check.stdout + &check.stderr,
        list.stdout + &list.stderr,
        instruments,
        listed,
        sound,
    ];
    for token in [&worker, &reader, &admin] {
        for text in &shown {
            assert!(!text.contains(token.as_str()) && !text.contains(&token[6..]), "{text}");
        }
    }
}

#[test]
fn another_address_than_loopback_needs_tokens_or_a_word() {
    let check = |flags: &[&str]| run(command().args(["config", "check"]).args(flags));
    let refused = check(&["--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("noetl-metrics token create"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-anonymous"), "{}", refused.stderr);
    for flags in [
        &["--listen", "0.0.0.0:0", "--allow-anonymous"][..],
        &["--listen", "0.0.0.0:0", "--token-file", "tokens"],
        &["--listen", "[::1]:0"],
    ] {
        assert_eq!(check(flags).status, Some(0), "{flags:?}");
    }
    let launch = Launch::new().flag("token-file", "/does/not/exist");
    let ended = launch.run_in(&Home::new());
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("read the tokens of /does/not/exist"), "{}", ended.stderr);
}
