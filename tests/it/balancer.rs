//! `packaging/haproxy/haproxy.cfg` with a real HAProxy before three servers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::client::{REPORT, Raw, gauges};
use crate::cluster::Cluster;
use crate::fleet::free_address;
use crate::output::until;
use crate::server::{Launch, Server};

const CONFIGURATION: &str = include_str!("../../packaging/haproxy/haproxy.cfg");

/// Hosts that workers report from, each by an address of the loopback network.
const HOSTS: u8 = 24;

/// HAProxy, as it is installed or as `make test` unpacks it.
fn haproxy() -> Command {
    let target = Path::new(crate::server::BINARY).ancestors().nth(2).unwrap();
    let tools = target.join("tools/usr");
    let unpacked = tools.join("sbin/haproxy");
    if !unpacked.exists() {
        return Command::new("haproxy");
    }
    let mut command = Command::new(unpacked);
    let libraries = |directory: PathBuf| -> Vec<PathBuf> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries(tools.join("lib"))).unwrap());
    command
}

/// Runs HAProxy until its input closes, which happens when this process ends, however it does.
const KEEPER: &str = r#"
trap '' INT TERM
"$1" -db -f "$2" &
cat >/dev/null || true
kill -KILL "$!"
"#;

struct Balancer {
    keeper: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Balancer {
    fn start(servers: &[Server]) -> Self {
        let address = free_address();
        let mut configuration = CONFIGURATION.replace("bind :8082", &format!("bind {address}"));
        // Each takes two open files, of which a test may have few.
        configuration = configuration.replace("maxconn 20000", "maxconn 200");
        for (index, server) in servers.iter().enumerate() {
            let shown = format!("10.0.0.1{}:8082", index + 1);
            assert!(configuration.contains(&shown), "{shown}");
            configuration = configuration.replace(&shown, &server.address().to_string());
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, configuration).unwrap();
        let command = haproxy();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(command.get_program()).arg(&path);
        keeper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let keeper = keeper.process_group(0).stdin(Stdio::piped()).spawn().unwrap();
        Self { keeper, address: address.parse().unwrap(), _directory: directory }
    }

    /// Reports from a host; the status, or `None` when nothing answers.
    fn report(&self, runtime: &Runtime, host: u8, value: f64) -> Option<u16> {
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 7, host + 1)), 0))?;
            socket.connect(self.address).await?.into_std()
        };
        let stream = runtime.block_on(connecting).ok()?;
        stream.set_nonblocking(false).unwrap();
        let body = gauges(&component(host), "g", &[value]).to_string();
        let mut raw = Raw::of(stream);
        raw.send(format!(
            "POST {REPORT} HTTP/1.1\r\nhost: it\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ));
        let (head, _) = raw.answer();
        head.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

fn component(host: u8) -> String {
    format!("host-{host}")
}

/// Which servers have heard the host, by their pages.
fn heard_by(servers: &[Server], host: u8) -> Vec<usize> {
    let path = format!("/api/metrics/prometheus?component_name={}", component(host));
    let heard = |server: &Server| server.client().get(&path).text().contains("\ng{");
    (0..servers.len()).filter(|index| heard(&servers[*index])).collect()
}

#[test]
fn haproxy_takes_the_configuration_as_it_is() {
    let output = haproxy()
        .args(["-c", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/haproxy/haproxy.cfg")])
        .output()
        .expect("the test needs HAProxy; `make test` unpacks it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn a_worker_stays_with_its_server_and_moves_when_that_stops() {
    let cluster = Cluster::start();
    cluster.create("haproxy");
    let launch = Launch::new().database(&cluster.socket_url("haproxy"));
    let mut servers: Vec<_> = (0..3).map(|_| launch.clone().start()).collect();
    let balancer = Balancer::start(&servers);
    let runtime = Runtime::new().unwrap();
    let report = |host: u8, value: f64| balancer.report(&runtime, host, value);
    until("all servers to be up", || (report(0, 0.0) == Some(200)).then_some(()));
    for round in 1..=5 {
        for host in 1..=HOSTS {
            assert_eq!(report(host, f64::from(round)), Some(200), "host {host}");
        }
    }
    let first: Vec<_> = (1..=HOSTS).map(|host| heard_by(&servers, host)).collect();
    assert!(first.iter().all(|servers| servers.len() == 1), "{first:?}");
    for server in 0..3 {
        assert!(first.iter().any(|one| one == &[server]), "server {server} has none: {first:?}");
    }

    // The one that stops says so to the balancer, and its workers go elsewhere.
    let ended = servers.pop().unwrap().terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    for host in 1..=HOSTS {
        until("another server", || (report(host, 6.0) == Some(200)).then_some(()));
    }
    for (host, before) in (1..=HOSTS).zip(&first) {
        let now = heard_by(&servers, host);
        if *before == [2] {
            assert_eq!(now.len(), 1, "host {host} moved to one other");
        } else {
            assert_eq!(now, *before, "host {host} had no reason to move");
        }
        // What another server acknowledged is there once that has flushed it.
        servers[1].client().samples_of(&component(host));
        let found = servers[0].client().samples_of(&component(host));
        let values: Vec<_> = found.iter().filter_map(|one| one["metric_value"].as_f64()).collect();
        assert!(values.contains(&6.0), "any server answers for all: {values:?}");
    }
}
