//! A fleet of reporters whose server and database die under it: every increment of a counter stands
//! in the tables once.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use noetl_metrics_client::{Builder, Counter, Delivery, Reporter, SystemFigures};
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::output::until;
use crate::reporter::settings;
use crate::server::{Launch, Server};

/// How large it is, and for how long it goes on.
struct Plan {
    reporters: usize,
    /// Of those, how many have a clock that is an hour ahead, and as many an hour behind.
    skewed: usize,
    metrics_interval: Duration,
    /// Time between two mishaps, and how long each lasts.
    calm: Duration,
    away: Duration,
}

/// Memory that each reporter may use for what is not delivered.
const QUEUE_BYTES: u64 = 256 << 10;

/// An address whose port is free now; that another process takes it within a moment is unlikely.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skew {
    None,
    Behind,
    Ahead,
}

struct Member {
    name: String,
    skew: Skew,
    reporter: Reporter,
    jobs: Counter,
}

/// What a member leaves behind.
struct Account {
    name: String,
    skew: Skew,
    jobs: u64,
    left: usize,
    delivered: u64,
    dropped: u64,
    refused: u64,
}

/// Microseconds since the Unix epoch, by a clock that is so many seconds ahead.
fn clock(ahead_s: i64) -> impl Fn() -> i64 + Send + Sync + 'static {
    move || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        i64::try_from(now.as_micros()).unwrap() + ahead_s * 1_000_000
    }
}

fn member(n: usize, plan: &Plan, url: &str) -> Member {
    let (skew, ahead_s) = match n {
        n if n < plan.skewed => (Skew::Behind, -3600),
        n if n < 2 * plan.skewed => (Skew::Ahead, 3600),
        _ => (Skew::None, 0),
    };
    let name = format!("fleet-{n:04}");
    let mut settings = settings(url, &name);
    settings.metrics_interval = plan.metrics_interval;
    settings.heartbeat_interval = Duration::from_secs(5);
    // Enough for what is reported while the server is away, and little for so many.
    settings.queue_bytes = QUEUE_BYTES;
    settings.backoff_max = Duration::from_secs(2);
    let builder = Builder::new(settings).clock(clock(ahead_s));
    let reporter = builder.system_figures(SystemFigures::Left).spawn().unwrap();
    let jobs = reporter.metrics().counter("fleet_jobs_total");
    Member { name, skew, reporter, jobs }
}

/// Touches the counters until told to stop.
async fn work(counters: Vec<Counter>, stop: Arc<AtomicBool>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        round += 1;
        for (n, counter) in counters.iter().enumerate() {
            counter.add((n as u64 * 7 + round) % 5);
        }
    }
}

/// Bytes of resident memory of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Waits until the fleet has delivered again after `then`.
fn wait_for_delivery(deliveries: &[u64], fleet: &[Member]) {
    for (before, member) in deliveries.iter().zip(fleet) {
        let alive =
            |delivery: &Delivery| delivery.delivered() > *before || delivery.dropped().refused > 0;
        until("a delivery", || alive(member.reporter.delivery()).then_some(()));
    }
}

fn deliveries(fleet: &[Member]) -> Vec<u64> {
    fleet.iter().map(|member| member.reporter.delivery().delivered()).collect()
}

/// The time passes in which a mishap lasts, or does not.
fn let_pass(runtime: &Runtime, time: Duration) {
    runtime.block_on(async { tokio::time::sleep(time).await });
}

fn run(plan: &Plan) {
    let mut cluster = Cluster::start();
    cluster.create("fleet");
    let database = cluster.tcp_url("fleet", PASSWORD_IN_URL);
    let listen = free_address();
    let mut server = Launch::new().flag("listen", &listen).database(&database).start();
    let runtime = Runtime::new().unwrap();
    let entered = runtime.enter();
    let url = format!("http://{}", server.address());
    let fleet: Vec<Member> = (0..plan.reporters).map(|n| member(n, plan, &url)).collect();
    drop(entered);
    let stop = Arc::new(AtomicBool::new(false));
    let counters = fleet.iter().map(|member| member.jobs.clone()).collect();
    let working = runtime.spawn(work(counters, Arc::clone(&stop)));
    wait_for_delivery(&vec![0; fleet.len()], &fleet);

    for round in 0..2 {
        let_pass(&runtime, plan.calm);
        server.kill();
        let (memory, before) = (resident_bytes(), deliveries(&fleet));
        let_pass(&runtime, plan.away);
        let waiting: u64 = fleet.iter().map(|one| one.reporter.delivery().queue_bytes()).sum();
        let grown = resident_bytes().saturating_sub(memory);
        eprintln!(
            "server away {round}: {waiting} bytes wait, resident memory grew by {grown} bytes"
        );
        for member in &fleet {
            assert!(member.reporter.delivery().queue_bytes() <= QUEUE_BYTES, "{}", member.name);
        }
        server.start_again();
        wait_for_delivery(&before, &fleet);
        if round == 0 {
            let_pass(&runtime, plan.calm);
            let before = deliveries(&fleet);
            cluster.stop();
            let_pass(&runtime, plan.calm);
            wait_for_delivery(&before, &fleet);
            cluster.start_again();
        }
    }
    let_pass(&runtime, plan.calm);
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(working).unwrap();
    let accounts = runtime.block_on(take_leave(fleet));
    check(&server, &accounts);
}

async fn take_leave(fleet: Vec<Member>) -> Vec<Account> {
    let leaving: Vec<_> = fleet
        .into_iter()
        .map(|Member { name, skew, reporter, jobs }| {
            let delivery = reporter.shared_delivery();
            let end = tokio::spawn(reporter.shutdown());
            (name, skew, jobs, delivery, end)
        })
        .collect();
    let mut accounts = Vec::new();
    for (name, skew, jobs, delivery, end) in leaving {
        let left = end.await.unwrap().reports;
        let dropped = delivery.dropped();
        accounts.push(Account {
            name,
            skew,
            jobs: jobs.get(),
            left,
            delivered: delivery.delivered(),
            dropped: dropped.overflowed + dropped.damaged,
            refused: dropped.refused,
        });
    }
    accounts
}

/// What the tables have of one member.
type Row = (String, i64, i64, f64, i64, i64);

fn check(server: &Server, accounts: &[Account]) {
    // Waits until all that was acknowledged is there.
    server.client().query(&[("component_name", "fleet-0000"), ("limit", "1")]);
    // Samples, different times, the total at last, steps back, and how far from now the last is.
    let rows: Vec<Row> = server.sql().rows(
        "SELECT component_name, count(*), count(DISTINCT at), max(value),
                count(*) FILTER (WHERE value < earlier), (now_s - max(at))::bigint
           FROM (SELECT component_name, metric_value AS value,
                        extract(epoch FROM \"timestamp\") AS at,
                        extract(epoch FROM now()) AS now_s,
                        lag(metric_value) OVER
                            (PARTITION BY component_name ORDER BY \"timestamp\") AS earlier
                   FROM noetl.metrics WHERE metric_name = 'fleet_jobs_total') s
          GROUP BY component_name, now_s",
    );
    let mut stored: std::collections::HashMap<_, _> =
        rows.into_iter().map(|row| (row.0.clone(), row)).collect();
    for account in accounts {
        let name = &account.name;
        assert_eq!((account.left, account.dropped), (0, 0), "{name}");
        if account.skew == Skew::Ahead {
            // Further in the future than `future-max`: rejected, told, counted, not stored.
            assert!(account.refused > 0 && account.delivered == 0, "{name}");
            assert!(!stored.contains_key(name), "{name}");
            continue;
        }
        let (_, samples, times, total, back, age_s) = stored.remove(name).unwrap();
        assert_eq!(account.refused, 0, "{name}");
        assert_eq!(total, account.jobs as f64, "{name}: every increment");
        assert_eq!(samples, i64::try_from(account.delivered).unwrap(), "{name}: every report");
        assert_eq!((times, back), (samples, 0), "{name}: once, and in order");
        let hour_old = (3600..7200).contains(&age_s);
        assert_eq!(hour_old, account.skew == Skew::Behind, "{name}: {age_s} s old");
    }
    assert!(stored.is_empty());
    let total: u64 = accounts.iter().map(|account| account.jobs).sum();
    let reports: u64 = accounts.iter().map(|account| account.delivered).sum();
    eprintln!("{} reporters, {reports} reports, {total} increments", accounts.len());
}

#[test]
fn every_increment_of_a_fleet_is_stored_once() {
    run(&Plan {
        reporters: 40,
        skewed: 4,
        metrics_interval: Duration::from_millis(300),
        calm: Duration::from_millis(500),
        away: Duration::from_secs(1),
    });
}

/// `cargo test --test it large_fleet -- --ignored --nocapture`
#[test]
#[ignore = "takes more than two minutes, and both cores"]
fn every_increment_of_a_large_fleet_is_stored_once() {
    let began = Instant::now();
    run(&Plan {
        reporters: 2000,
        skewed: 100,
        metrics_interval: Duration::from_secs(5),
        calm: Duration::from_secs(5),
        away: Duration::from_secs(60),
    });
    assert!(began.elapsed() >= Duration::from_secs(120));
}
