//! Disks as they are at their worst: full, and broken. Each is a real file system of its own, for
//! which a test has to be root, as in CI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::client::{Answer, Client, gauges};
use crate::cluster::Cluster;
use crate::commands::run;
use crate::home::Home;
use crate::output::until;
use crate::server::{Launch, Server};

/// Mounts a file system and takes it away when its input closes: with the [`Mount`] or with this
/// process, however that ends.
const KEEPER: &str = r#"
trap '' INT TERM
at=$1
shift
mount "$@" "$at" && echo mounted
cat >/dev/null || true
umount -l "$at"
"#;

/// A mounted file system.
struct Mount {
    keeper: Child,
    at: PathBuf,
}

impl Mount {
    /// Mounts over the log directory of `home`; `None`, with a word about it, where this process
    /// may not.
    fn over_log_of(home: &Home, arguments: &[&str]) -> Option<Self> {
        let at = home.data_dir().join("log");
        fs::create_dir_all(&at).unwrap();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&at)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 8];
        let mounted = std::io::Read::read_exact(keeper.stdout.as_mut().unwrap(), &mut said);
        if mounted.is_ok() {
            return Some(Self { keeper, at });
        }
        drop(keeper.stdin.take());
        keeper.wait().unwrap();
        assert!(std::env::var_os("CI").is_none(), "CI has to be able to mount");
        eprintln!("SKIPPED: mount {arguments:?} is not possible here; run this test as root");
        None
    }

    fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

/// Reports one after the other, each with a value of its own.
struct Reporter {
    client: Client,
    component: &'static str,
    next: u32,
    acknowledged: Vec<f64>,
}

impl Reporter {
    fn new(server: &Server, component: &'static str) -> Self {
        Self { client: server.client(), component, next: 0, acknowledged: Vec::new() }
    }

    /// A report of one row a value, `rows` in all.
    fn send(&mut self, rows: u32) -> Answer {
        let first = f64::from(self.next) * 1000.0;
        let values: Vec<f64> = (0..rows).map(|row| first + f64::from(row)).collect();
        let mut report = gauges(self.component, "d", &values);
        for metric in report["metrics"].as_array_mut().unwrap() {
            metric["timestamp"] =
                (metric["timestamp"].as_u64().unwrap() + u64::from(1000 * self.next)).into();
        }
        self.next += 1;
        let answer = self.client.post(&[], report.to_string().as_bytes());
        if answer.status == 200 {
            assert_eq!(answer.json()["durable"], true);
            self.acknowledged.extend(values);
        }
        answer
    }

    /// Everything acknowledged is stored once, and nothing that was refused.
    fn assert_stored_once(&self, server: &Server) {
        server.client().query(&[("component_name", self.component), ("limit", "1")]);
        let mut stored: Vec<(f64,)> = server.sql().rows(&format!(
            "SELECT metric_value FROM noetl.metrics WHERE component_name = '{}' ORDER BY 1",
            self.component
        ));
        let stored: Vec<f64> = stored.drain(..).map(|(value,)| value).collect();
        assert!(
            stored == self.acknowledged,
            "{} values are stored, {} were acknowledged",
            stored.len(),
            self.acknowledged.len()
        );
    }
}

#[test]
fn a_full_disk_refuses_with_503_and_is_recovered_from_without_a_restart() {
    let mut cluster = Cluster::start();
    cluster.create("brimful");
    let home = Home::new();
    let Some(mount) = Mount::over_log_of(&home, &["-t", "tmpfs", "-o", "size=8m", "tmpfs"]) else {
        return;
    };
    let launch = Launch::new().database(&cluster.socket_url("brimful"));
    let launch = launch.flag("log-segment-bytes", "1MiB").flag("log-budget-bytes", "64MiB");
    let server = launch.flag("body-bytes-max", "512KiB").start_in(home);
    // Moved behind the server, to be unmounted before its home is removed.
    let mount = mount;
    // Nothing is flushed from now on, so that only space lets the log go on.
    cluster.stop();
    let filler = mount.path().join("somebody_elses");
    fs::write(&filler, vec![1; 4 << 20]).unwrap();
    let mut reporter = Reporter::new(&server, "full");
    let fill = |reporter: &mut Reporter| {
        let refused =
            until("a full disk", || Some(reporter.send(1000)).filter(|one| one.status != 200));
        assert_eq!(refused.error(503), "disk_full");
        assert_eq!(refused.header("retry-after"), Some("10"));
    };
    fill(&mut reporter);
    let taken = reporter.acknowledged.len();
    assert!(taken > 0, "some fitted");
    assert_eq!(reporter.send(1).status, 503, "it stays so");
    // Space returns, and the server finds it by itself.
    fs::remove_file(&filler).unwrap();
    until("room", || (reporter.send(1).status == 200).then_some(()));
    // To the brim once more, this time until PostgreSQL takes the log away.
    fill(&mut reporter);
    assert!(reporter.acknowledged.len() > taken + 1000, "the space was used");
    cluster.start_again();
    until("room", || (reporter.send(1).status == 200).then_some(()));
    reporter.assert_stored_once(&server);
}

/// Has the file system stop working, as a drive does that falls off the bus: from now on each
/// write and sync is an I/O error (`EXT4_IOC_SHUTDOWN`, without flushing anything).
fn break_disk(at: &Path) {
    let script = "import fcntl, os, struct, sys\n\
                  fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
    let ran = run(Command::new("python3").args(["-c", script]).arg(at));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
}

#[test]
fn a_broken_disk_ends_acknowledgement_and_the_server_and_costs_nothing_acknowledged() {
    let cluster = Cluster::start();
    cluster.create("broken");
    let home = Home::new();
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = run(Command::new("/usr/sbin/mkfs.ext4").args(["-q", "-F"]).arg(&image));
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let arguments = ["-o", "loop", image.to_str().unwrap()];
    let Some(mount) = Mount::over_log_of(&home, &arguments) else { return };
    let launch = Launch::new().database(&cluster.socket_url("broken"));
    let launch = launch.flag("log-segment-bytes", "1MiB").flag("log-budget-bytes", "32MiB");
    let mut server = launch.flag("body-bytes-max", "512KiB").start_in(home);
    let mount = mount;
    let mut reporter = Reporter::new(&server, "broken");
    for _ in 0..50 {
        assert_eq!(reporter.send(3).status, 200);
    }
    break_disk(mount.path());
    // The server may be gone by now, for its own upkeep notices too; but it acknowledges nothing.
    let body = gauges("broken", "late", &[1.0]).to_string();
    if let Ok(refused) = reporter.client.try_post(&[], body.as_bytes()) {
        assert_eq!(refused.status, 503, "{refused:?}");
    }
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the write-ahead log failed: "), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("nothing is acknowledged any more: check the disk"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("Input/output error"), "{}", ended.stderr);

    // The drive is back, with what it had synced.
    drop(mount);
    let mount = Mount::over_log_of(server.home(), &arguments);
    assert!(mount.is_some(), "it was mounted before");
    server.start_again();
    reporter.client = server.client();
    assert_eq!(reporter.send(3).status, 200);
    reporter.assert_stored_once(&server);
}
