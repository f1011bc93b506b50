//! The server reads plain requests by itself and leaves the others to hyper. A client cannot tell.

use crate::client::{Raw, gauges};
use crate::server::Launch;

/// A request; what it says of `COMPONENT` and `KEY` is of the way that it takes.
struct Variant {
    line: &'static str,
    headers: String,
    body: String,
}

const REPORT: &str = "POST /api/metrics/report";

fn reports() -> Vec<Variant> {
    let good = gauges("COMPONENT", "c", &[1.0, 2.0]).to_string();
    let mixed = good.replacen("2.0", "\"no number\"", 1);
    let lines = format!("{good}\n\n{mixed}\nno json\n");
    let json = "content-type: application/json; charset=utf-8\r\n";
    let ndjson = "content-type: application/x-ndjson\r\n";
    let key = format!("{json}Idempotency-Key: KEY\r\n");
    let variants = [
        (json, good.as_str()),
        ("", &good),
        (json, &mixed),
        (json, "{\"component_name\": \"COMPONENT\"}"),
        (json, "[1, 2"),
        (json, ""),
        (json, "{\"component_name\": \"COMPONENT\", \"metrics\": []}"),
        (
            json,
            "{\"runtime_id\": 123456789, \"metrics\": [{\"metric_name\": \"a\", \"metric_value\": 1}]}",
        ),
        ("content-type: text/plain\r\n", &good),
        ("content-type: \r\n", &good),
        (ndjson, &lines),
        (ndjson, "no json\n"),
        (ndjson, ""),
        ("content-encoding: br\r\n", &good),
        ("content-encoding: gzip\r\n", &good),
        ("content-encoding: identity\r\n", &good),
        (&key, &good),
        (&key, &good),
        (&key, &mixed),
        ("idempotency-key: \r\n", &good),
        ("authorization: Bearer what\r\nx-other: 1\r\n", &good),
        ("connection: keep-alive\r\n", &good),
    ];
    let long_key = format!("idempotency-key: {}\r\n", "k".repeat(300));
    let variant = |(headers, body): (&str, &str)| Variant {
        line: REPORT,
        headers: headers.to_owned(),
        body: body.to_owned(),
    };
    variants.into_iter().chain([(long_key.as_str(), good.as_str())]).map(variant).collect()
}

fn calls() -> Vec<Variant> {
    let component = "{\"component_type\": \"worker_pool\", \"name\": \"COMPONENT\"}";
    let calls = [
        ("POST /api/runtime/register", component),
        ("POST /api/worker/pool/heartbeat", "{\"name\": \"COMPONENT\"}"),
        ("POST /api/worker/pool/register", "{\"name\": 1}"),
        ("DELETE /api/runtime/deregister", component),
        ("GET /api/worker/pools?status=wrong", ""),
        ("GET /api/worker/pools", ""),
        ("GET /api/metrics/components", ""),
        ("GET /api/metrics/cardinality", ""),
        ("GET /api/metrics/partitions", ""),
        ("POST /api/metrics/partitions/create?days_ahead=x", ""),
        ("POST /api/metrics/self-report?a=1", ""),
        ("POST /api/metrics/ttl/set", "{}"),
        ("GET /health", ""),
        ("GET /ready", ""),
        ("GET /health", "a body that nobody reads"),
        ("GET /nothing", ""),
        ("PUT /health", ""),
        ("GET /api/metrics/query?limit=x", ""),
        ("GET /docs", ""),
    ];
    let variant = |(line, body): (&'static str, &str)| Variant {
        line,
        headers: String::new(),
        body: body.to_owned(),
    };
    calls.into_iter().map(variant).collect()
}

/// The answer, without what cannot be the same twice: the date and numbers.
fn answer(raw: &mut Raw, way: &str, variant: &Variant) -> (Vec<String>, String) {
    let own = |text: &str| text.replace("COMPONENT", &format!("by-{way}")).replace("KEY", way);
    let (line, headers, body) = (variant.line, own(&variant.headers), own(&variant.body));
    let length = body.len();
    raw.send(format!(
        "{line} HTTP/1.1\r\nhost: it\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ));
    let (head, body) = raw.answer();
    let (dates, mut lines): (Vec<_>, Vec<_>) =
        head.lines().map(str::to_owned).partition(|line| line.starts_with("date: "));
    assert_eq!(dates.len(), 1, "{head}");
    lines.retain(|line| !line.starts_with("content-length: "));
    lines.sort();
    let body = String::from_utf8(body).unwrap().replace("by-slow", "by-fast");
    (lines, body.chars().filter(|byte| !byte.is_ascii_digit()).collect())
}

#[test]
fn a_request_has_one_answer_whoever_reads_it() {
    let server = Launch::new().start();
    let (mut fast, mut slow) = (Raw::open(server.address()), Raw::open(server.address()));
    // Who has asked for a page once is hyper's from then on.
    slow.send("GET /docs HTTP/1.1\r\nhost: it\r\n\r\n");
    assert!(slow.answer().0.starts_with("http/1.1 200 "));
    for variant in reports().iter().chain(&calls()) {
        let by_fast = answer(&mut fast, "fast", variant);
        let by_slow = answer(&mut slow, "slow", variant);
        assert_eq!(by_fast, by_slow, "{} {}{}", variant.line, variant.headers, variant.body);
    }
}
