//! The runtime registry: who registers, lives, leaves and falls silent, and who is listed.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Client, gauges};
use crate::cluster::Cluster;
use crate::output::until;
use crate::server::{Launch, Server};

const REGISTER: &str = "/api/runtime/register";
const DEREGISTER: &str = "/api/runtime/deregister";
const POOL_REGISTER: &str = "/api/worker/pool/register";
const POOL_DEREGISTER: &str = "/api/worker/pool/deregister";
const HEARTBEAT: &str = "/api/worker/pool/heartbeat";

fn pool(name: &str) -> Value {
    json!({"name": name, "runtime": "cpu", "base_url": "http://queue-worker", "status": "ready",
           "capacity": 4, "labels": ["local", "dev"], "pid": 4711, "hostname": "node-1"})
}

/// The pool of this name, as the list shows it.
fn listed(client: &Client, name: &str) -> Option<Value> {
    let list = client.get("/api/worker/pools").ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(list["count"], items.len());
    items.iter().find(|item| item["name"] == name).cloned()
}

fn status(client: &Client, name: &str) -> String {
    listed(client, name).expect("the pool is listed")["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_pool_registers_lives_and_leaves() {
    let server = Server::shared();
    let client = server.client();
    let answer = client.post_json(POOL_REGISTER, &pool("rt-pool")).ok();
    let id = answer["runtime_id"].as_i64().unwrap();
    let expected = json!({"status": "ok", "name": "rt-pool", "runtime": "cpu", "runtime_id": id});
    assert_eq!(answer, expected);
    let row: (String, String, i32, String, i32, String, Option<String>) = server.sql().row(
        "SELECT component_type, base_url, capacity, labels::text, pid, hostname, meta::text
           FROM noetl.runtime WHERE name = 'rt-pool'",
    );
    assert_eq!(
        row,
        (
            "worker_pool".to_owned(),
            "http://queue-worker".to_owned(),
            4,
            r#"["local", "dev"]"#.to_owned(),
            4711,
            "node-1".to_owned(),
            None
        ),
        "what is answered is stored"
    );
    let item = listed(&client, "rt-pool").unwrap();
    let fields: Vec<_> = item.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "capacity",
        "created_at",
        "labels",
        "last_heartbeat",
        "name",
        "runtime",
        "status",
        "updated_at",
    ];
    assert_eq!(fields, expected);
    assert_eq!((&item["labels"], &item["capacity"]), (&json!(["local", "dev"]), &json!(4)));
    assert!(item["last_heartbeat"].as_str().unwrap() > "2025", "{item}");

    let beat = client.post_json(HEARTBEAT, &json!({"name": "rt-pool", "state": "x"})).ok();
    assert_eq!(beat, json!({"status": "ok", "name": "rt-pool"}));
    let mut again = pool("rt-pool");
    again["status"] = json!("busy");
    assert_eq!(client.post_json(POOL_REGISTER, &again).ok()["runtime_id"], id);
    assert_eq!(status(&client, "rt-pool"), "busy");

    let reported = client.report(&gauges("rt-pool", "g", &[1.0]));
    assert_eq!(reported["runtime_id"], id, "a report finds the component that registered");

    let left = client.delete_json(POOL_DEREGISTER, &json!({"name": "rt-pool"})).ok();
    assert_eq!(left, json!({"status": "ok", "name": "rt-pool"}));
    assert_eq!(status(&client, "rt-pool"), "offline");
    client.post_json(POOL_REGISTER, &pool("rt-pool")).ok();
    assert_eq!(status(&client, "rt-pool"), "ready");
    client.post_json(POOL_DEREGISTER, &json!({"name": "rt-pool"})).ok();
    let stored: (String,) =
        server.sql().row("SELECT status FROM noetl.runtime WHERE name = 'rt-pool'");
    assert_eq!(stored.0, "offline");
    assert_eq!(client.samples_of("rt-pool").len(), 1, "the row and its data are kept");
}

#[test]
fn a_component_of_any_type_registers_and_leaves() {
    let client = Server::shared().client();
    let body = json!({"name": "rt-broker", "component_type": "broker", "base_url": "http://b"});
    let answer = client.post_json(REGISTER, &body).ok();
    let id = &answer["runtime_id"];
    let expected =
        json!({"status": "ok", "name": "rt-broker", "component_type": "broker", "runtime_id": id});
    assert!(id.is_i64() && answer == expected, "{answer}");
    let body = json!({"name": "rt-api", "base_url": "http://a"});
    assert_eq!(client.post_json(REGISTER, &body).ok()["component_type"], "server_api");
    let statuses = || {
        let answer = client.get("/api/metrics/components").ok();
        let of = |name: &str| {
            let mut all = answer["components"].as_array().unwrap().iter();
            all.find(|one| one["name"] == name).unwrap()["status"].as_str().unwrap().to_owned()
        };
        (of("rt-broker"), of("rt-api"))
    };
    assert_eq!(statuses(), ("ready".to_owned(), "ready".to_owned()));
    let body = json!({"name": "rt-broker", "component_type": "broker"});
    let left = client.delete_json(DEREGISTER, &body).ok();
    let expected = json!({"status": "ok", "name": "rt-broker", "component_type": "broker"});
    assert_eq!(left, expected);
    assert_eq!(statuses(), ("offline".to_owned(), "ready".to_owned()));
}

#[test]
fn who_is_unknown_is_told_so() {
    let client = Server::shared().client();
    let beat = |body: Value| client.post_json(HEARTBEAT, &body).ok();
    let unknown = json!({"status": "unknown", "name": "rt-nobody"});
    assert_eq!(beat(json!({"name": "rt-nobody"})), unknown);
    assert_eq!(beat(json!({})), json!({"status": "ok", "name": null}));
    client.delete_json(POOL_DEREGISTER, &json!({"name": "rt-nobody"})).ok();
    assert_eq!(beat(json!({"name": "rt-nobody"})), unknown, "to leave makes nobody known");
}

#[test]
fn pools_are_listed_by_runtime_and_status() {
    let client = Server::shared().client();
    for (name, runtime) in [("rt-list-a", "rt-gpu"), ("rt-list-b", "rt-gpu"), ("rt-list-c", "x")] {
        let mut body = pool(name);
        body["runtime"] = json!(runtime);
        client.post_json(POOL_REGISTER, &body).ok();
    }
    client.delete_json(POOL_DEREGISTER, &json!({"name": "rt-list-b"})).ok();
    let names = |parameters: &str, runtime: Value, status: Value| -> Vec<String> {
        let list = client.get(&format!("/api/worker/pools?{parameters}")).ok();
        assert_eq!((&list["runtime"], &list["status"]), (&runtime, &status), "{list}");
        let items = list["items"].as_array().unwrap();
        assert_eq!(list["count"], items.len());
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let gpu = names("runtime=rt-gpu", json!("rt-gpu"), json!(null));
    assert_eq!(gpu, ["rt-list-a", "rt-list-b"]);
    let ready = names("runtime=rt-gpu&status=ready", json!("rt-gpu"), json!("ready"));
    assert_eq!(ready, ["rt-list-a"]);
    assert!(names("", json!(null), json!(null)).len() >= 3);
    assert_eq!(client.get("/api/worker/pools?state=x").error(400), "invalid_parameter");
}

#[test]
fn a_wrong_body_is_refused_with_its_reason() {
    let client = Server::shared().client();
    let check = |path: &str, body: &str, code: &str, named: &str| {
        let answer = client.post_to(path, body.as_bytes());
        assert_eq!(answer.error(400), code, "{path} {body}");
        assert!(answer.text().contains(named), "{}", answer.text());
    };
    check(REGISTER, "", "invalid_json", "JSON");
    check(REGISTER, "[1]", "not_an_object", "an array");
    check(REGISTER, r#"{"name":"rt-x"}"#, "missing_field", "base_url");
    check(REGISTER, r#"{"base_url":"http://x"}"#, "missing_field", "name");
    check(POOL_REGISTER, r#"{"name":"rt-x","base_url":"http://x"}"#, "missing_field", "runtime");
    check(HEARTBEAT, r#"{"name":5}"#, "wrong_type", "name");
    check(POOL_DEREGISTER, "{}", "missing_field", "name");
    check(
        REGISTER,
        r#"{"name":"rt-x","base_url":"u","capacity":"a lot"}"#,
        "wrong_type",
        "capacity",
    );
    check(REGISTER, r#"{"name":"rt-x","base_url":"u","meta":["\u0000"]}"#, "invalid_field", "meta");
    let long = json!({"name": "rt-x", "base_url": "u", "meta": "x".repeat(70_000)});
    assert_eq!(client.post_json(REGISTER, &long).error(413), "body_too_large");
    assert_eq!(client.get(REGISTER).error(405), "method_not_allowed");
    assert_eq!(client.get(POOL_DEREGISTER).header("allow"), Some("DELETE, POST"));
    assert_eq!(client.post_json("/api/worker/pool", &json!({})).error(404), "not_found");
}

#[test]
fn the_silent_are_swept_and_a_report_is_a_sign_of_life() {
    let launch = Launch::new().flag("runtime-sweep-interval", "100ms");
    let launch = launch.flag("runtime-offline-seconds", "2s").flag("server-name", "me");
    let mut server = launch.flag("server-url", "http://metrics.example:8082").start();
    let client = server.client();
    client.post_json(POOL_REGISTER, &pool("silent")).ok();
    client.post_json(POOL_REGISTER, &pool("reporting")).ok();
    let mut value = 0.0;
    until("the sweeper", || {
        value += 1.0;
        client.report(&gauges("reporting", "r", &[value]));
        assert_eq!(status(&client, "reporting"), "ready");
        (status(&client, "silent") == "offline").then_some(())
    });
    client.post_json(HEARTBEAT, &json!({"name": "silent"})).ok();
    assert_eq!(status(&client, "silent"), "ready");
    let own =
        "SELECT status, base_url, pid, component_type, last_heartbeat > now() - interval '5 s'
                 FROM noetl.runtime WHERE name = 'me'";
    let row: (String, String, i32, String, bool) = server.sql().row(own);
    let pid = i32::try_from(server.pid()).unwrap();
    let url = "http://metrics.example:8082".to_owned();
    assert_eq!(row, ("ready".to_owned(), url, pid, "server_api".to_owned(), true));

    // Nobody is called silent by a server that was not there to listen.
    server.terminate();
    server.start_again();
    let list = server.client().get("/api/metrics/components").ok();
    let ready = |name: &str| {
        let mut all = list["components"].as_array().unwrap().iter();
        all.any(|one| one["name"] == name && one["status"] == "ready")
    };
    assert!(ready("reporting") && ready("me"), "{list}");
}

#[test]
fn the_registry_answers_from_memory_while_the_database_is_away() {
    let mut cluster = Cluster::start();
    cluster.create("registry");
    let launch = Launch::new().database(&cluster.socket_url("registry"));
    let mut server = launch.flag("runtime-sweep-interval", "200ms").start();
    let client = server.client();
    client.post_json(POOL_REGISTER, &pool("before")).ok();
    cluster.stop();
    let answer = client.post_json(POOL_REGISTER, &pool("during")).ok();
    client.delete_json(POOL_DEREGISTER, &json!({"name": "before"})).ok();
    let beat = |name: &str| client.post_json(HEARTBEAT, &json!({ "name": name })).ok();
    assert_eq!(beat("during"), json!({"status": "ok", "name": "during"}));
    assert_eq!(beat("nobody"), json!({"status": "unknown", "name": "nobody"}));
    assert_eq!(status(&client, "before"), "offline");
    assert_eq!(status(&client, "during"), "ready");
    let unknown = client.delete_json(POOL_DEREGISTER, &json!({"name": "nobody"}));
    assert_eq!(unknown.error(503), "registry_unavailable");
    cluster.start_again();
    let id = answer["runtime_id"].as_i64().unwrap();
    let mut sql = cluster.admin("registry");
    until("the registry", || {
        let rows: Vec<(String, String, bool)> = sql.rows(&format!(
            "SELECT name, status, runtime_id = {id} FROM noetl.runtime
              WHERE component_type = 'worker_pool' ORDER BY name",
        ));
        let rows: Vec<_> =
            rows.iter().map(|(n, s, same)| (n.as_str(), s.as_str(), *same)).collect();
        (rows == [("before", "offline", false), ("during", "ready", true)]).then_some(())
    });
    // What came before a crash is in PostgreSQL, and from there in memory.
    server.kill();
    server.start_again();
    let client = server.client();
    let beat = client.post_json(HEARTBEAT, &json!({"name": "during"})).ok();
    assert_eq!(beat, json!({"status": "ok", "name": "during"}));
    assert_eq!(listed(&client, "during").unwrap()["labels"], json!(["local", "dev"]));
}

#[test]
fn two_servers_share_the_registry() {
    let cluster = Cluster::start();
    cluster.create("two_servers");
    let launch = Launch::new().database(&cluster.socket_url("two_servers"));
    let launch = launch.flag("runtime-sweep-interval", "100ms");
    let launch = launch.flag("runtime-offline-seconds", "3s");
    let one = launch.clone().flag("server-name", "one").start();
    let two = launch.flag("server-name", "two").start();
    one.client().post_json(POOL_REGISTER, &pool("shared")).ok();
    let beat = |server: &Server| {
        server.client().post_json(HEARTBEAT, &json!({"name": "shared"})).ok()["status"] == "ok"
    };
    assert!(beat(&two), "registered at one, known at the other");
    one.client().post_json(POOL_REGISTER, &pool("silent")).ok();
    until("the sweepers of both", || {
        assert!(beat(&two));
        assert_eq!(status(&one.client(), "shared"), "ready", "heard by the other one");
        (status(&two.client(), "silent") == "offline").then_some(())
    });
    two.client().delete_json(POOL_DEREGISTER, &json!({"name": "shared"})).ok();
    assert_eq!(status(&one.client(), "shared"), "offline");
}

#[test]
fn who_is_not_registered_is_refused_until_registered() {
    let server = Launch::new().flag("require-registration", "true").start();
    let client = server.client();
    let report = gauges("strict", "s", &[1.0]).to_string();
    assert_eq!(client.post(&[], report.as_bytes()).error(404), "component_not_found");
    client.post_json(POOL_REGISTER, &pool("strict")).ok();
    assert_eq!(client.post(&[], report.as_bytes()).status, 200);
}

#[test]
fn more_components_than_may_be_are_refused() {
    let server = Launch::new().flag("components-max", "3").start();
    let client = server.client();
    // The server itself is the third.
    client.post_json(POOL_REGISTER, &pool("a")).ok();
    client.post_json(POOL_REGISTER, &pool("b")).ok();
    let full = client.post_json(POOL_REGISTER, &pool("c"));
    assert_eq!(full.error(429), "registry_full");
    client.post_json(POOL_REGISTER, &pool("a")).ok();
    let report = gauges("d", "s", &[1.0]).to_string();
    assert_eq!(client.post(&[], report.as_bytes()).error(429), "registry_full");
}

/// As workers in Python do, with the client and the requests that they have.
#[test]
fn a_worker_in_python_registers_lives_and_leaves() {
    let server = Server::shared();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/registry_worker.py"))
        .arg(format!("http://{}", server.address()))
        .output()
        .expect("the tests need python3; `make test` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let row: (String, Option<String>) = server
        .sql()
        .row("SELECT status, labels::text FROM noetl.runtime WHERE name = 'python-pool'");
    assert_eq!(row, ("offline".to_owned(), Some(r#"["local", "dev"]"#.to_owned())));
}
