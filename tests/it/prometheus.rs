//! The pages as Prometheus reads them: its own checker, and a real one that scrapes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{Output, until};
use crate::server::{Launch, Server};

const INSTALL: &str = "the tests need Prometheus and Python with prometheus-client on PATH; `make test` installs them";

/// The paths of the pages.
const PUSHED: &str = "/api/metrics/prometheus";
const OWN: &str = "/metrics";

const OPEN_METRICS: &str = "application/openmetrics-text";

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
pub(crate) fn check_page(page: &[u8]) -> String {
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

/// Reads pages from its input, each behind a line with its length, by the strict parser of the
/// Python client, and says which families there are, as `name type lines`.
const PARSER: &str = r"
import sys
from prometheus_client.openmetrics import parser
while length := sys.stdin.buffer.readline():
    page = sys.stdin.buffer.read(int(length)).decode()
    try:
        families = list(parser.text_string_to_metric_families(page))
    except Exception as error:
        sys.exit(f'{error!r}\n{page}')
    print(' '.join(f'{one.name}:{one.type}:{len(one.samples)}' for one in families))
";

/// What the strict parser finds on pages in OpenMetrics.
pub(crate) fn parse_open_metrics(pages: &[Vec<u8>]) -> Vec<String> {
    let mut python = Command::new("python3")
        .args(["-c", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(INSTALL);
    let mut input = python.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            for page in pages {
                // Where the parser ended, its message says more than this would.
                if writeln!(input, "{}", page.len()).and_then(|()| input.write_all(page)).is_err() {
                    break;
                }
            }
        });
        python.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "the strict parser refuses a page");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Answers every request with the server's page in the older format, which this Prometheus does not
/// ask for by itself.
fn relay_text(server: &Server) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = server.client();
    // Ends with the process; nothing waits for it.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.extend_from_slice(&byte);
            }
            let page = client.get(PUSHED);
            let content_type = page.header("content-type").unwrap().to_owned();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                page.body.len()
            );
            // Prometheus may have gone meanwhile.
            drop(stream.write_all(&[head.as_bytes(), &page.body].concat()));
        }
    });
    address
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

/// A Prometheus that scrapes both pages every second, the pushed one in both formats.
struct Prometheus {
    keeper: Child,
    client: Client,
}

impl Prometheus {
    fn start(server: &Server) -> Self {
        let version = Command::new("prometheus").arg("--version").output().expect(INSTALL);
        assert!(version.status.success(), "{INSTALL}");
        let directory = tempfile::tempdir().unwrap().keep();
        let job = |name: &str, path: &str, address: SocketAddr| {
            format!(
                "  - job_name: {name}\n    metrics_path: {path}\n    static_configs:\n      \
                 - targets: ['{address}']\n"
            )
        };
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}{}{}",
            job("pushed", PUSHED, server.address()),
            job("text", PUSHED, relay_text(server)),
            job("own", OWN, server.address())
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
    let histogram = |part: &str, labels: Value, value: f64| {
        json!({"metric_name": format!("latency_seconds{part}"), "metric_type": "histogram",
               "metric_value": value, "labels": labels, "unit": "seconds"})
    };
    server.client().report(&json!({
        "component_name": "scraped", "component_type": "worker_pool",
        "metrics": [{"metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
                     "metric_value": 45.2, "labels": {"hostname": "node-1"},
                     "help_text": "CPU usage percentage", "unit": "percent"},
                    histogram("_bucket", json!({"le": "1"}), 2.0),
                    histogram("_bucket", json!({"le": "+Inf"}), 3.0),
                    histogram("_sum", json!({}), 4.5), histogram("_count", json!({}), 3.0)]
    }));
    check_page(&server.client().get(PUSHED).body);
    let open = server.client().get_with(PUSHED, &[("accept", OPEN_METRICS)]);
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let families = &parse_open_metrics(&[open.body])[0];
    for family in ["noetl_system_cpu_usage_percent:gauge:1", "latency_seconds:histogram:4"] {
        assert!(families.contains(family), "{families}");
    }
    assert_eq!(check_page(&server.client().get(OWN).body), "", "our own names follow the advice");

    let prometheus = Prometheus::start(&server);
    for job in ["pushed", "text"] {
        let cpu = format!(
            r#"noetl_system_cpu_usage_percent{{job="{job}",component="scraped",component_type="worker_pool",hostname="node-1"}}"#
        );
        assert_eq!(prometheus.value_of(&cpu), "45.2");
        let bucket = format!(r#"latency_seconds_bucket{{job="{job}",le="1.0"}}"#);
        assert_eq!(prometheus.value_of(&bucket), "2");
    }
    assert_eq!(prometheus.value_of(r#"noetl_metrics_samples_total{job="own"} >= 1"#), "35");
    for job in ["pushed", "text", "own"] {
        assert_eq!(prometheus.value_of(&format!("up{{job=\"{job}\"}}")), "1");
    }
    let escaped = r#"quoted{component="hos\"ti\\le\n",job="text"}"#;
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

#[test]
fn a_page_that_the_client_has_is_not_sent_again() {
    let server = Server::shared();
    server.client().report(&crate::client::gauges("prometheus-etag", "noetl_etag", &[7.0]));
    let path = "/api/metrics/prometheus?component_name=prometheus-etag";
    let first = server.client().get(path);
    let tag = first.header("etag").unwrap();
    let again = server.client().get_with(path, &[("if-none-match", tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
    for other in [("accept", OPEN_METRICS), ("accept-encoding", "gzip")] {
        let other = server.client().get_with(path, &[("if-none-match", tag), other]);
        assert_eq!(other.status, 200, "each form of the page has its own tag");
    }
    server.client().report(&crate::client::gauges("prometheus-etag", "noetl_etag", &[8.0]));
    let changed = server.client().get_with(path, &[("if-none-match", tag)]);
    assert_eq!(changed.status, 200);
    assert!(changed.text().ends_with("} 8.0\n"), "{}", changed.text());
}
