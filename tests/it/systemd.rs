//! The server under systemd, whose part is played by a socket; and the unit, as systemd reads it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;

use crate::output::PATIENCE;
use crate::server::Launch;

/// The next word that systemd is told.
fn next(socket: &UnixDatagram) -> String {
    let mut word = [0; 256];
    let length = socket.recv(&mut word).expect("a word to systemd");
    String::from_utf8(word[..length].to_vec()).unwrap()
}

/// The clock by which systemd tells a reload from the one before.
fn monotonic_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

fn check(socket: &UnixDatagram, address: &str) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let launch = Launch::new().variable("NOTIFY_SOCKET", address);
    let mut server = launch.variable("WATCHDOG_USEC", "300000").start();
    let began = Instant::now();
    let mut words: Vec<_> = (0..4).map(|_| next(socket)).collect();
    assert!(began.elapsed() < PATIENCE);
    words.sort();
    assert_eq!(words, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    let word =
        || std::iter::repeat_with(|| next(socket)).find(|word| word != "WATCHDOG=1").unwrap();
    let before = monotonic_us();
    server.signal(Signal::HUP);
    let reloading = word();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    let since: i64 = since.parse().unwrap();
    assert!((before..=monotonic_us()).contains(&since), "{before} {since}");
    assert_eq!(word(), "READY=1");
    assert!(server.terminate().status.success());
    assert_eq!(word(), "STOPPING=1");
}

#[test]
fn systemd_hears_that_the_server_is_ready_lives_reloads_and_stops() {
    let name = format!("noetl-metrics-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    check(&UnixDatagram::bind_addr(&address).unwrap(), &format!("@{name}"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    check(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());
}

#[test]
fn a_server_whose_watchdog_is_anothers_gives_no_signs_of_life() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let launch = Launch::new().variable("NOTIFY_SOCKET", path.to_str().unwrap());
    let launch = launch.variable("WATCHDOG_USEC", "1000").variable("WATCHDOG_PID", "1");
    let mut server = launch.start();
    assert_eq!(next(&socket), "READY=1");
    assert!(server.terminate().status.success());
    assert_eq!(next(&socket), "STOPPING=1");
}

/// A unit may only start what exists, so it is checked as it would be if it were installed.
#[test]
fn systemd_understands_the_unit() {
    let unit = include_str!("../../packaging/systemd/noetl-metrics.service");
    let unit = unit.replace("/usr/bin/noetl-metrics", crate::server::BINARY);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("noetl-metrics.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .expect("the test of the unit needs systemd-analyze; `make test` installs systemd");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("noetl-metrics.service"), "{said}");
}
