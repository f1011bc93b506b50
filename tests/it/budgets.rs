//! Budgets: what a worker with too many series, or a token with too many samples, gets, and that
//! nobody else notices.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::commands::run;
use crate::output::until;
use crate::server::{Launch, command};

/// A report of `requests` with these values of the label `request`.
fn requests(component: &str, requests: impl IntoIterator<Item = u32>) -> Value {
    let metric = |request: u32| {
        json!({"metric_name": "requests", "metric_type": "gauge", "metric_value": request,
               "labels": {"request": request.to_string(), "zone": "a"}})
    };
    let metrics: Vec<_> = requests.into_iter().map(metric).collect();
    json!({"component_name": component, "component_type": "worker_pool", "metrics": metrics})
}

fn post(client: &Client, report: &Value) -> Answer {
    client.post(&[], report.to_string().as_bytes())
}

/// How many metrics were taken, and the places and reasons of the others.
fn outcome(answer: &Value) -> (u64, Vec<(u64, String)>) {
    let rejected =
        answer["metrics_rejected"].as_array().into_iter().flatten().map(|one| {
            (one["index"].as_u64().unwrap(), one["reason"].as_str().unwrap().to_owned())
        });
    (answer["metrics_inserted"].as_u64().unwrap_or_default(), rejected.collect())
}

/// How many samples were rejected for the reason.
fn rejected(client: &Client, reason: &str) -> u64 {
    let line = format!("noetl_metrics_samples_rejected_total{{reason=\"{reason}\"}} ");
    let page = client.get("/metrics").text();
    page.lines().find_map(|one| one.strip_prefix(&line)).unwrap().parse().unwrap()
}

#[test]
fn a_component_over_its_budget_goes_on_and_only_its_new_series_are_rejected() {
    let mut server = Launch::new().flag("component-series-max", "5").start();
    let client = server.client();
    client.report(&requests("wild", 0..5));
    for _ in 0..2 {
        let (taken, rejects) = outcome(&post(&client, &requests("wild", 0..7)).ok());
        assert_eq!((taken, rejects.len()), (5, 2));
        assert_eq!((rejects[0].0, rejects[1].0), (5, 6));
        let want = "a new series of 'requests', and its component has 5 active ones, where 5 may \
                    be; 5 of the component's are of 'requests', with 5 values of the label \
                    'request': report fewer of them, or raise component-series-max";
        assert_eq!(rejects[0].1, want);
    }
    assert_eq!(rejected(&client, "component_series_limit"), 4);
    // A report of nothing else is refused for good, and one in NDJSON is a line too many.
    assert_eq!(post(&client, &requests("wild", 90..92)).error(400), "no_valid_metrics");
    let lines = format!("{}\n{}\n", requests("wild", 0..6), requests("wild", 90..91));
    let answer = client.post(&[("content-type", "application/x-ndjson")], lines.as_bytes()).ok();
    assert_eq!((&answer["lines"], &answer["metrics_inserted"]), (&json!(2), &json!(5)));
    assert_eq!(answer["lines_rejected"][0]["line"], 2, "{answer}");
    client.report(&requests("tame", 0..5));
    // The same after a stop, and after a crash.
    for crash in [false, true] {
        if crash {
            server.kill();
        } else {
            server.terminate();
        }
        server.start_again();
        let client = server.client();
        let (taken, rejects) = outcome(&post(&client, &requests("wild", 0..7)).ok());
        assert_eq!((taken, rejects.len()), (5, 2), "after a crash: {crash}");
        assert_eq!(rejected(&client, "component_series_limit"), 2);
    }
}

#[test]
fn what_was_stored_under_a_larger_budget_goes_on_under_a_smaller_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("noetl-metrics.toml");
    fs::write(&file, "component-series-max = 10\n").unwrap();
    let mut server = Launch::new().flag("config", file.to_str().unwrap()).start();
    server.client().report(&requests("wild", 0..10));
    server.terminate();
    fs::write(&file, "component-series-max = 4\n").unwrap();
    server.start_again();
    let client = server.client();
    let (taken, rejects) = outcome(&post(&client, &requests("wild", 0..12)).ok());
    assert_eq!((taken, rejects.len()), (10, 2));
    assert!(rejects[0].1.contains("has 10 active ones, where 4 may be"), "{rejects:?}");
}

#[test]
fn the_budget_of_all_is_shared_and_known_series_go_on() {
    let launch = Launch::new().flag("series-max", "8").flag("component-series-max", "8");
    let server = launch.start();
    let client = server.client();
    client.report(&requests("one", 0..6));
    client.report(&requests("two", 0..2));
    let (taken, rejects) = outcome(&post(&client, &requests("two", 0..3)).ok());
    assert_eq!((taken, rejects[0].0, rejects.len()), (2, 2, 1));
    let reason = &rejects[0].1;
    assert!(reason.contains("'requests'") && reason.contains("limit of 8 series"), "{reason}");
    assert!(reason.contains("label 'request'") && reason.contains("series-max"), "{reason}");
    assert_eq!(rejected(&client, "series_limit"), 1);
    assert_eq!(post(&client, &requests("three", 0..1)).error(429), "registry_full");
    client.report(&requests("one", 0..6));
    assert_eq!(server.instrument("noetl_metrics_series"), 8);
    assert_eq!(server.instrument("noetl_metrics_series_max"), 8);
    assert_eq!(server.instrument("noetl_metrics_component_series_max"), 8);
}

#[test]
fn a_worker_whose_series_always_change_is_slowed_down() {
    let launch = Launch::new()
        .flag("component-series-max", "20")
        .flag("component-new-series-per-minute-max", "1")
        .flag("stale-after", "1s")
        .flag("idle-after", "1s");
    let server = launch.start();
    let client = server.client();
    client.report(&requests("wild", 0..20));
    until("the idle series' leave", || {
        // The component itself stays, for it is heard.
        let beat = json!({"name": "wild"});
        client.post_json("/api/worker/pool/heartbeat", &beat).ok();
        (server.instrument("noetl_metrics_series") == 0).then_some(())
    });
    // There is room again, and one came back of the pace with each minute that has passed.
    let (taken, rejects) = outcome(&post(&client, &requests("wild", 100..120)).json());
    assert!(rejects.len() >= 10 && taken + rejects.len() as u64 == 20 || taken == 0, "{rejects:?}");
    let reason = &rejects.last().unwrap().1;
    assert!(reason.contains("where 1 a minute may come"), "{reason}");
    assert!(reason.contains("component-new-series-per-minute-max"), "{reason}");
    assert_eq!(rejected(&client, "component_new_series_limit"), rejects.len() as u64);
    client.report(&requests("tame", 0..20));
}

#[test]
fn a_token_sends_its_samples_per_second_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    let create = |arguments: &[&str]| {
        let ran =
            run(command().args(["token", "create", "--token-file"]).arg(&file).args(arguments));
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
        format!("Bearer {}", ran.stdout.trim())
    };
    let slow = create(&["--name=slow", "--scope=write", "--samples-per-second=1"]);
    let free = create(&["--name=free", "--scope=write,read"]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().next().unwrap().ends_with(" write samples-per-second=1"), "{text}");
    let server = Launch::new().flag("token-file", file.to_str().unwrap()).start();
    let client = server.client();
    let post = |bearer: &str, body: &[u8]| client.post(&[("authorization", bearer)], body);
    let report = requests("w", 0..1000).to_string();
    // A report is taken whole, and what was too much is waited for, on all connections.
    post(&slow, report.as_bytes()).ok();
    let refused = post(&slow, report.as_bytes());
    assert_eq!(refused.error(429), "token_over_rate");
    let wait_s: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((100..=300).contains(&wait_s), "{wait_s}");
    assert!(refused.text().contains("1 samples a second"), "{}", refused.text());
    let other = server.client();
    let refused = other.post(&[("authorization", &slow)], b"not even JSON");
    assert_eq!(refused.error(429), "token_over_rate", "before it is looked at");
    let lines = [("authorization", slow.as_str()), ("content-type", "application/x-ndjson")];
    assert_eq!(client.post(&lines, report.as_bytes()).error(429), "token_over_rate");
    // What is not a sample goes on, and so do others.
    let beat = client.post_authorized("/api/worker/pool/heartbeat", &slow, b"{\"name\":\"w\"}");
    beat.ok();
    for _ in 0..5 {
        post(&free, report.as_bytes()).ok();
    }
    let counted = |name: &str| {
        let page = client.get_with("/metrics", &[("authorization", &free)]).text();
        page.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    assert_eq!(counted("noetl_metrics_reports_over_rate_total"), "3");
    // Another reading of the file gives nothing back; another number does.
    server.signal(Signal::HUP);
    server.stderr().wait_for_text("the tokens were read again");
    assert_eq!(post(&slow, report.as_bytes()).error(429), "token_over_rate");
    fs::write(&file, text.replace("samples-per-second=1\n", "samples-per-second=5000\n")).unwrap();
    server.signal(Signal::HUP);
    until("the new rate", || (post(&slow, report.as_bytes()).status == 200).then_some(()));
}

#[test]
fn the_largest_are_told_as_they_are() {
    let server = Launch::new().flag("component-series-max", "50").start();
    let client = server.client();
    for (name, series) in [("small", 3), ("middle", 20), ("large", 50)] {
        client.report(&requests(name, 0..series));
    }
    assert_eq!(outcome(&post(&client, &requests("large", 0..53)).ok()).1.len(), 3);
    let gauges = crate::client::gauges("middle", "depth", &[1.0]);
    client.report(&gauges);
    let told = client.get("/api/metrics/cardinality").ok();
    let numbers = |name: &str| told[name].as_u64().unwrap();
    assert_eq!((numbers("series"), numbers("series_max")), (74, 2_000_000));
    assert_eq!((numbers("component_series_max"), numbers("components_at_limit")), (50, 1));
    // The three, and the server itself.
    assert_eq!((numbers("components"), &told["complete"]), (4, &json!(true)));
    let components: Vec<_> = told["largest_components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!(one["component_type"], "worker_pool");
            let number = |field: &str| one[field].as_u64().unwrap();
            let name = one["component_name"].as_str().unwrap();
            (name, number("series"), number("active_series"), number("rejected"))
        })
        .collect();
    assert_eq!(components, [("large", 50, 50, 3), ("middle", 21, 21, 0), ("small", 3, 3, 0)]);
    let metrics = json!([
        {"metric_name": "requests", "series": 73}, {"metric_name": "depth", "series": 1},
    ]);
    assert_eq!(told["largest_metrics"], metrics);
    let labels = json!([
        {"metric_name": "requests", "label": "request", "values": 50},
        {"metric_name": "requests", "label": "zone", "values": 1},
    ]);
    assert_eq!(told["largest_labels"], labels);
    let one = client.get("/api/metrics/cardinality?limit=1").ok();
    for list in ["largest_components", "largest_metrics", "largest_labels"] {
        assert_eq!(one[list].as_array().unwrap(), &told[list].as_array().unwrap()[..1], "{list}");
    }
    for wrong in ["limit=0", "limit=101", "top=5"] {
        let path = format!("/api/metrics/cardinality?{wrong}");
        assert_eq!(client.get(&path).error(400), "invalid_parameter", "{wrong}");
    }
}
