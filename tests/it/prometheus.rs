//! The pages as Prometheus reads them: its own checker, and a real one that scrapes.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{Output, until};
use crate::server::{Launch, Server};

const INSTALL: &str = "the tests need Prometheus on PATH; `make test` installs it";

/// The paths of the pages.
const PUSHED: &str = "/api/metrics/prometheus";
const OWN: &str = "/metrics";

/// Pushes names, labels and texts that are valid in a report and not on a page.
fn push_hostile(server: &Server) {
    let metric = |name: &str, kind: &str, value: Value, labels: Value, help: &str| {
        json!({"metric_name": name, "metric_type": kind, "metric_value": value, "labels": labels,
               "help_text": help, "unit": "by\\te\n"})
    };
    let metrics = json!([
        metric("0 starts with a digit", "gauge", json!(1), json!({}), ""),
        metric(
            "a-b.c/d é 💥",
            "counter",
            json!("NaN"),
            json!({"a-b": "1", "a.b": "2", "a_b": "3"}),
            "x"
        ),
        metric(
            "quoted",
            "gauge",
            json!("+Inf"),
            json!({"v": "\"\\\n\t{}=,\u{1}"}),
            "back\\slash\nnew \"line\""
        ),
        metric(
            "labels",
            "gauge",
            json!("-Inf"),
            json!({"": "e", "0": "d", "__name__": "n", "é": "u", "le": "x"}),
            "# TYPE"
        ),
        metric(
            "reserved",
            "gauge",
            json!(1e300),
            json!({"component": "x", "component_type": "y", "job": "z"}),
            "h"
        ),
        metric("twice", "gauge", json!(1), json!({"a.b": "1"}), "one"),
        metric("twice", "gauge", json!(2), json!({"a-b": "1"}), "two"),
        metric("types", "gauge", json!(1), json!({"t": "g"}), "h"),
        metric("types", "counter", json!(1), json!({"t": "c"}), "h"),
        metric("types", "histogram", json!(1), json!({"t": "h"}), "h"),
        metric("h", "histogram", json!(1), json!({}), "h"),
        metric("h_bucket", "histogram", json!(1), json!({"le": "0.1"}), "h"),
        metric("h_sum", "gauge", json!(1), json!({}), "h"),
        metric("s", "summary", json!(1), json!({"quantile": "0.5"}), "h"),
        metric("# HELP", "gauge", json!(-0.0), json!({}), "h"),
        metric("{}", "gauge", json!(5e-324), json!({}), "h"),
    ]);
    let metrics = metrics.as_array().unwrap();
    for component in ["hostile", "hos\"ti\\le\n"] {
        let report =
            json!({"component_name": component, "component_type": "t\"\n", "metrics": metrics});
        let answer = server.client().post(&[], report.to_string().as_bytes()).ok();
        // A label without a name is the one thing here that a report must not have.
        assert_eq!(answer["metrics_inserted"], metrics.len() - 1, "{answer}");
    }
}

/// What `promtool check metrics` says of a page. Its advice about names is none of ours, for names
/// are the workers'; anything that it cannot read is.
fn check_page(page: &[u8]) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(INSTALL);
    promtool.stdin.take().unwrap().write_all(page).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    const ADVICE: i32 = 3;
    let readable =
        matches!(output.status.code(), Some(0 | ADVICE)) && !said.contains("error while");
    assert!(readable, "{said}\n{}", String::from_utf8_lossy(page));
    said
}

/// Ends Prometheus and removes its files when its input closes: with the test or with this process.
const KEEPER: &str = r#"
trap '' INT TERM
cd "$1"
prometheus --config.file=prometheus.yml --storage.tsdb.path=data --log.format=json \
    --web.listen-address=127.0.0.1:0 >/dev/null &
prometheus=$!
cat >/dev/null || true
kill -KILL "$prometheus"
wait "$prometheus"
cd /
rm -rf "$1"
"#;

/// A Prometheus that scrapes both pages every second.
struct Prometheus {
    keeper: Child,
    client: Client,
}

impl Prometheus {
    fn start(server: &Server) -> Self {
        let version = Command::new("prometheus").arg("--version").output().expect(INSTALL);
        assert!(version.status.success(), "{INSTALL}");
        let directory = tempfile::tempdir().unwrap().keep();
        let job = |name: &str, path: &str| {
            format!(
                "  - job_name: {name}\n    metrics_path: {path}\n    static_configs:\n      \
                 - targets: ['{}']\n",
                server.address()
            )
        };
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}{}",
            job("pushed", PUSHED),
            job("own", OWN)
        );
        fs::write(directory.join("prometheus.yml"), config).unwrap();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Output::of(keeper.stderr.take().unwrap());
        let address = log.wait_for("the address of Prometheus", |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let listens = event["msg"] == "Listening on";
            listens.then(|| event["address"].as_str().unwrap().parse().unwrap())
        });
        Self { keeper, client: Client::new(address) }
    }

    /// The value of the one series that `query` selects, once there is one.
    fn value_of(&self, query: &str) -> String {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        until(query, || {
            let answer = self.client.get(&format!("/api/v1/query?query={encoded}"));
            if answer.status == 503 {
                return None;
            }
            let answer = answer.ok();
            match answer["data"]["result"].as_array().unwrap().as_slice() {
                [] => None,
                [series] => Some(series["value"][1].as_str().unwrap().to_owned()),
                several => panic!("{several:?}"),
            }
        })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

#[test]
fn promtool_reads_both_pages_and_prometheus_answers_for_what_was_pushed() {
    let server = Launch::new().start();
    push_hostile(&server);
    server.client().report(&json!({
        "component_name": "scraped", "component_type": "worker_pool",
        "metrics": [{"metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
                     "metric_value": 45.2, "labels": {"hostname": "node-1"},
                     "help_text": "CPU usage percentage", "unit": "percent"}]
    }));
    check_page(&server.client().get(PUSHED).body);
    assert_eq!(check_page(&server.client().get(OWN).body), "", "our own names follow the advice");

    let prometheus = Prometheus::start(&server);
    let pushed = r#"noetl_system_cpu_usage_percent{component="scraped",component_type="worker_pool",hostname="node-1"}"#;
    assert_eq!(prometheus.value_of(pushed), "45.2");
    assert_eq!(prometheus.value_of(r#"noetl_metrics_samples_total{job="own"} >= 1"#), "31");
    for job in ["pushed", "own"] {
        assert_eq!(prometheus.value_of(&format!("up{{job=\"{job}\"}}")), "1");
    }
    let escaped = r#"quoted{component="hos\"ti\\le\n"}"#;
    assert_eq!(prometheus.value_of(escaped), "+Inf");
}

#[test]
fn the_page_is_compressed_for_those_who_ask() {
    let server = Server::shared();
    let report = crate::client::gauges("prometheus-gzip", "noetl_gzip", &[7.0]);
    server.client().report(&report);
    let path = "/api/metrics/prometheus?component_name=prometheus-gzip";
    let plain = server.client().get(path);
    let gzip = server.client().get_with(path, &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(plain.header("content-encoding"), None);
    let mut inflated = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*gzip.body), &mut inflated)
        .unwrap();
    assert_eq!(inflated, plain.text());
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}
