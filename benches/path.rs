//! The whole path: reports over HTTP into the synced log and into the embedded PostgreSQL.
//!
//! One client on one connection sends a thousand reports a request. What many connections with a
//! report a request cost is measured by `loadtest`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark has no callers")]

#[path = "support/report.rs"]
mod report;

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::process::{Pid, Signal, kill_process};

const REPORTS: usize = 1000;
const METRICS: usize = 10;

/// A server of its own, which ends with this.
struct Server {
    child: Child,
    base: String,
    _home: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let permissions = Permissions::from_mode(0o755);
        let home = tempfile::Builder::new().permissions(permissions).tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_noetl-metrics"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.path().join("data"))
            .env_remove("DATABASE_URL")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let base = loop {
            let line = lines.next().expect("the server ended before it was ready").unwrap();
            if let Some(rest) = line.strip_prefix("noetl-metrics is ready on ") {
                break rest.split(';').next().unwrap().to_owned();
            }
        };
        // What it says later must not make it wait.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, base, _home: home }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// So many workers' reports of one second.
fn lines(second: u64) -> String {
    let time =
        format!("2024-01-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
    let line = |worker| report::report(&format!("worker-{worker:06}"), METRICS, &time) + "\n";
    (0..REPORTS).map(line).collect()
}

fn path(criterion: &mut Criterion) {
    let server = Server::start();
    let agent = ureq::Agent::new_with_defaults();
    let mut second = 0;
    let mut send = || {
        second = (second + 1) % 86_400;
        let body = lines(second);
        let began = Instant::now();
        let request = agent.post(format!("{}/api/metrics/report", server.base));
        request.header("content-type", "application/x-ndjson").send(&body).unwrap();
        began.elapsed()
    };
    // A query waits for what was acknowledged.
    let flush = || {
        let began = Instant::now();
        agent.get(format!("{}/api/metrics/query?limit=1", server.base)).call().unwrap();
        began.elapsed()
    };
    send();
    send();
    flush();
    let mut group = criterion.benchmark_group("path");
    group.throughput(Throughput::Elements((REPORTS * METRICS) as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("acknowledged", |bencher| {
        bencher.iter_custom(|requests| (0..requests).map(|_| send()).sum());
    });
    group.bench_function("in_postgresql", |bencher| {
        bencher.iter_custom(|requests| {
            let sent: Duration = (0..requests).map(|_| send()).sum();
            sent + flush()
        });
    });
    group.finish();
}

criterion_group!(benches, path);
criterion_main!(benches);
