//! Three servers on one database, as behind a load balancer: whichever takes a report, it is stored
//! once, and whichever is asked, it answers for all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{Answer, Client, gauges};
use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::output::{PATIENCE, until};
use crate::server::{Launch, Server};

const COMPONENTS: usize = 12;
const WORKERS: usize = 6;

/// Starts so many servers at once, each with a directory of its own.
fn start(launch: &Launch, count: usize) -> Vec<Server> {
    let starting: Vec<_> = (0..count)
        .map(|index| {
            let launch = launch.clone().flag("server-name", &format!("metrics-{index}"));
            thread::spawn(move || launch.start())
        })
        .collect();
    starting.into_iter().map(|server| server.join().unwrap()).collect()
}

/// The servers that take requests, one after the other.
struct Balancer {
    /// Held by a request as long as it is under way.
    clients: RwLock<Vec<Option<Arc<Client>>>>,
    next: AtomicUsize,
}

impl Balancer {
    fn new(servers: &[Server]) -> Self {
        let clients = servers.iter().map(|server| Some(Arc::new(server.client()))).collect();
        Self { clients: RwLock::new(clients), next: AtomicUsize::new(0) }
    }

    fn put_in(&self, index: usize, server: &Server) {
        self.clients.write().unwrap()[index] = Some(Arc::new(server.client()));
    }

    /// Sends it nothing any more, and waits for what is under way.
    fn drain(&self, index: usize) {
        let client = self.clients.write().unwrap()[index].take();
        let client = client.expect("the server takes requests");
        until("its last answer", || (Arc::strong_count(&client) == 1).then_some(()));
    }

    fn client(&self, index: usize) -> Arc<Client> {
        self.clients.read().unwrap()[index].clone().expect("the server takes requests")
    }

    /// The next server in turn that takes requests.
    fn pick(&self) -> (usize, Arc<Client>) {
        let clients = self.clients.read().unwrap();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let up: Vec<_> =
            clients.iter().enumerate().filter(|(_, client)| client.is_some()).collect();
        let (index, client) = up[turn % up.len()];
        (index, client.clone().unwrap())
    }
}

/// A report of the fleet: which component, and its how manyeth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    component: usize,
    number: usize,
}

impl Sent {
    /// Two metrics of a time and value that no other report of the component has.
    fn body(self) -> Vec<u8> {
        let metric = |name: &str| {
            json!({"metric_name": name, "metric_type": "counter", "metric_value": self.number,
                   "timestamp": 1_704_110_400 + self.number})
        };
        let name = format!("balanced-{}", self.component);
        let report = json!({"component_name": name, "component_type": "worker_pool",
                            "metrics": [metric("a"), metric("b")]});
        report.to_string().into_bytes()
    }

    fn post(self, client: &Client) -> Option<Answer> {
        let key = format!("balanced-{}-{}", self.component, self.number);
        client.try_post(&[("idempotency-key", &key)], &self.body()).ok()
    }
}

/// What became of the fleet's reports.
#[derive(Default)]
struct Account {
    acknowledged: Mutex<Vec<Sent>>,
    /// Those without an answer, with the server that they went to.
    open: Mutex<Vec<(usize, Sent)>>,
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Account {
    fn run(&self, balancer: &Balancer) {
        while !self.stop.load(Ordering::Relaxed) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let sent = Sent { component: turn % COMPONENTS, number: turn / COMPONENTS };
            loop {
                let (server, client) = balancer.pick();
                match sent.post(&client) {
                    Some(answer) if answer.status == 503 => {
                        // It has not been taken, so any other may take it.
                        assert_eq!(answer.error(503), "stopping");
                    }
                    Some(answer) => {
                        assert_eq!(answer.ok()["durable"], true);
                        self.acknowledged.lock().unwrap().push(sent);
                        break;
                    }
                    None => {
                        self.open.lock().unwrap().push((server, sent));
                        break;
                    }
                }
            }
        }
    }

    fn wait_for(&self, count: usize) {
        let acknowledged = || self.acknowledged.lock().unwrap().len();
        let wanted = acknowledged() + count;
        until("acknowledgements", || (acknowledged() >= wanted).then_some(()));
    }

    /// Sends what is open again, to the server that it was sent to.
    fn close(&self, balancer: &Balancer) -> usize {
        let open = std::mem::take(&mut *self.open.lock().unwrap());
        for (server, sent) in &open {
            let answer = sent.post(&balancer.client(*server)).expect("the server is back");
            assert_eq!(answer.ok()["metrics_inserted"], 2);
            self.acknowledged.lock().unwrap().push(*sent);
        }
        open.len()
    }
}

/// Every report that was acknowledged is stored once and whole, and nothing else is.
fn assert_stored_once(account: &Account, servers: &[Server]) {
    for server in servers {
        // Each flushes what it has acknowledged.
        server.client().query(&[("component_name", "balanced-0"), ("limit", "1")]);
    }
    let mut sql = servers[0].sql();
    let rows: Vec<(String, i64, i64, i64)> = sql.rows(
        "SELECT component_name, metric_value::int8, count(*), count(DISTINCT metric_name)
           FROM noetl.metrics WHERE component_name LIKE 'balanced-%' GROUP BY 1, 2",
    );
    let mut stored = BTreeSet::new();
    for (name, number, samples, metrics) in rows {
        assert_eq!((samples, metrics), (2, 2), "{name}: report {number}");
        let component = name.strip_prefix("balanced-").unwrap().parse().unwrap();
        stored.insert(Sent { component, number: usize::try_from(number).unwrap() });
    }
    let acknowledged: BTreeSet<_> = account.acknowledged.lock().unwrap().iter().copied().collect();
    assert_eq!(acknowledged.len(), account.acknowledged.lock().unwrap().len());
    assert_eq!(stored, acknowledged);
    let ids: (i64, i64) = sql.row("SELECT count(*), count(DISTINCT metric_id) FROM noetl.metric");
    assert_eq!(ids.0, ids.1, "an id was given out twice");
    // Any of them answers for all.
    let of_first = acknowledged.iter().filter(|sent| sent.component == 0).count();
    for server in servers {
        let query = [("component_name", "balanced-0"), ("metric_name", "a"), ("limit", "10000")];
        assert_eq!(server.client().query(&query)["count"], of_first);
    }
}

#[test]
fn a_fleet_over_three_servers_is_stored_once_while_one_is_killed_and_one_leaves() {
    let cluster = Cluster::start();
    cluster.create("balanced");
    let launch = Launch::new().database(&cluster.tcp_url("balanced", PASSWORD_IN_URL));
    let mut servers = start(&launch, 3);
    let balancer = Balancer::new(&servers);
    let account = Account::default();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| account.run(&balancer));
        }
        let guard = StopOnDrop(&account.stop);
        account.wait_for(300);
        servers[1].kill();
        balancer.drain(1);
        account.wait_for(300);
        servers[1].start_again();
        balancer.put_in(1, &servers[1]);
        let open = account.close(&balancer);
        eprintln!("{open} reports had no answer");
        account.wait_for(300);

        // What comes while a port closes may be lost without an answer, so a balancer takes the server out
        // first. Everything else goes on.
        balancer.drain(2);
        let ended = servers.pop().unwrap().terminate();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("not yet in PostgreSQL"), "{}", ended.stderr);
        account.wait_for(300);
        drop(guard);
    });
    assert_eq!(account.open.lock().unwrap().len(), 0, "only the killed one left some open");
    assert_stored_once(&account, &servers);

    let mut sql = servers[0].sql();
    let components: Vec<(String, i64)> = sql
        .rows("SELECT name, count(*) FROM noetl.runtime WHERE name LIKE 'balanced-%' GROUP BY 1");
    assert_eq!(components.len(), COMPONENTS);
    assert!(components.iter().all(|(_, rows)| *rows == 1), "{components:?}");
    let series: (i64,) = sql.row("SELECT count(*) FROM noetl.series");
    assert_eq!(
        series.0,
        i64::try_from(2 * COMPONENTS).unwrap(),
        "a series is one, whoever heard of it"
    );
    let nodes: Vec<(i16, bool)> = sql.rows("SELECT node, position > 0 FROM noetl.ingest_node");
    assert_eq!(nodes.len(), 3, "one that left keeps its number");
    assert!(nodes.iter().all(|(_, wrote)| *wrote), "{nodes:?}");
    let own: Vec<(String, String)> = sql.rows(
        "SELECT name, status FROM noetl.runtime WHERE component_type = 'server_api' ORDER BY 1",
    );
    let status = |name: &str, status: &str| (name.to_owned(), status.to_owned());
    let expected = [
        status("metrics-0", "ready"),
        status("metrics-1", "ready"),
        status("metrics-2", "offline"),
    ];
    assert_eq!(own, expected);
}

/// Has the workers of a scope end, also where the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_reports_to_one_server_is_not_offline_for_the_others() {
    let cluster = Cluster::start();
    cluster.create("sweepers");
    let launch = Launch::new().database(&cluster.socket_url("sweepers"));
    let launch = launch.flag("runtime-offline-seconds", "5s");
    let servers = start(&launch.flag("runtime-sweep-interval", "250ms"), 3);
    servers[0].client().report(&gauges("silent", "g", &[1.0]));
    let listed = |server: &Server, name: &str| {
        let pools = server.client().get("/api/worker/pools").ok();
        let found = pools["items"].as_array().unwrap().iter().find(|one| one["name"] == name);
        found.map(|one| one["status"].clone())
    };
    let mut sql = servers[0].sql();
    let status_of = "SELECT status FROM noetl.runtime WHERE name =";
    let mut round = 0;
    // All three look for the silent while this one is heard by the second only.
    until("the silent one is offline", || {
        round += 1;
        servers[1].client().report(&gauges("heard", "g", &[f64::from(round)]));
        let heard: Vec<(String,)> = sql.rows(&format!("{status_of} 'heard'"));
        assert!(heard.iter().all(|(status,)| status == "ready"), "{heard:?} in round {round}");
        let silent: Vec<(String,)> = sql.rows(&format!("{status_of} 'silent'"));
        silent.iter().any(|(status,)| status == "offline").then_some(())
    });
    for server in &servers {
        until("the list", || {
            let (heard, silent) = (listed(server, "heard"), listed(server, "silent"));
            servers[1].client().report(&gauges("heard", "g", &[0.5]));
            (heard == Some(json!("ready")) && silent == Some(json!("offline"))).then_some(())
        });
    }
}

#[test]
fn partitions_are_made_once_and_dropped_by_one_at_a_time() {
    let cluster = Cluster::start();
    cluster.create("upkeep");
    let servers = start(&Launch::new().database(&cluster.socket_url("upkeep")), 3);
    let post = |server: &Server, path: &str| server.client().post_to(path, b"");
    let made: BTreeMap<String, usize> = thread::scope(|scope| {
        let asked: Vec<_> = servers
            .iter()
            .map(|server| {
                scope.spawn(move || {
                    // One of the others may have the lock just now.
                    until("an answer", || {
                        let answer = post(server, "/api/metrics/partitions/create?days_ahead=20");
                        (answer.status == 200).then(|| answer.json())
                    })
                })
            })
            .collect();
        let mut made = BTreeMap::new();
        for answer in asked {
            for name in answer.join().unwrap()["created_partitions"].as_array().unwrap() {
                *made.entry(name.as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        made
    });
    assert!((13..=14).contains(&made.len()), "{made:?}");
    assert!(made.values().all(|times| *times == 1), "{made:?}");

    let old = gauges("upkeep", "g", &[1.0]);
    servers[0].client().report(&old);
    servers[0].client().query(&[("component_name", "upkeep")]);
    let mut sql = servers[0].sql();
    sql.run("UPDATE noetl.late_write SET written_at = now() - interval '2 days'");
    let mut other = servers[0].sql();
    // Class "noet" and number 3, which whoever drops partitions has.
    other.run("SELECT pg_advisory_lock(x'6e6f6574'::int4, 3)");
    for server in &servers {
        let refused = post(server, "/api/metrics/cleanup").ok();
        assert_eq!(refused["dropped_count"], 0);
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("another server or command is looking after"), "{message}");
    }
    other.run("SELECT pg_advisory_unlock(x'6e6f6574'::int4, 3)");
    let began = Instant::now();
    // The servers' own upkeep may come first, so it is the partition that is looked for.
    while sql.row::<(bool,)>("SELECT to_regclass('noetl.report_20240101') IS NOT NULL").0 {
        assert!(began.elapsed() < PATIENCE, "it is never dropped");
        post(&servers[1], "/api/metrics/cleanup").ok();
    }
    assert_eq!(servers[2].client().query(&[("component_name", "upkeep")])["count"], 0);
}

#[test]
fn a_retry_is_known_to_the_server_that_took_the_report_and_to_no_other() {
    let cluster = Cluster::start();
    cluster.create("retries");
    let servers = start(&Launch::new().database(&cluster.socket_url("retries")), 2);
    let key = [("idempotency-key", "several-1")];
    let body = gauges("retried", "g", &[1.0, 2.0]).to_string();
    let stored = |server: &Server| server.client().samples_of("retried").len();
    for _ in 0..3 {
        servers[0].client().post(&key, body.as_bytes()).ok();
    }
    assert_eq!(stored(&servers[0]), 2);
    // docs/operations.md says so, and how to find what is there twice.
    servers[1].client().post(&key, body.as_bytes()).ok();
    assert_eq!(stored(&servers[1]), 4);
    let page = include_str!("../../docs/operations.md");
    let (_, query) =
        page.split_once("<!-- query: twice -->\n```sql\n").expect("the query is there");
    let (query, _) = query.split_once("```").unwrap();
    let query = query.trim_end().trim_end_matches(';');
    let twice: Vec<(i64,)> = servers[0]
        .sql()
        .rows(&format!("SELECT samples FROM ({query}) found WHERE component_name = 'retried'"));
    assert_eq!(twice, [(2,), (2,)]);
}

#[test]
fn a_series_that_moved_stands_on_both_pages_until_it_is_stale() {
    let cluster = Cluster::start();
    cluster.create("moved");
    let launch = Launch::new().database(&cluster.socket_url("moved"));
    let servers = start(&launch.flag("stale-after", "3s"), 3);
    let report = |server: &Server, value: f64| {
        let report: Value = json!({"component_name": "moved", "metrics": [
            {"metric_name": "m", "metric_type": "gauge", "metric_value": value}]});
        server.client().report(&report);
    };
    let shown = |server: &Server| {
        let page = server.client().get("/api/metrics/prometheus").text();
        let line = page.lines().find(|line| line.starts_with("m{component=\"moved\""));
        line.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    until("both pages", || {
        let pages = [shown(&servers[0]), shown(&servers[1])];
        // Where the machine was held up, the first may be stale already.
        if pages[0].is_none() {
            report(&servers[0], 1.0);
        }
        report(&servers[1], 2.0);
        (pages == [Some(1.0), Some(2.0)]).then_some(())
    });
    until("the first is stale", || {
        report(&servers[1], 2.0);
        (shown(&servers[0]).is_none() && shown(&servers[1]) == Some(2.0)).then_some(())
    });
    assert_eq!(shown(&servers[2]), None, "it has heard nothing of it");
}
