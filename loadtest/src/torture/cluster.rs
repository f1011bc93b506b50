//! A PostgreSQL of our own: on TCP, so that a proxy can stand before it, and where it can be had
//! on small disks.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::torture::postgres::POLL_INTERVAL;
use crate::torture::process;

/// The database and the role of the server; the role is a superuser, so that the tool needs none
/// of its own.
pub(crate) const NAME: &str = "metrics";

/// Few connections, so that they can all be taken; short logs, so that a small disk holds them.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "max_connections=40",
    "superuser_reserved_connections=0",
    "shared_buffers=64MB",
    "max_wal_size=64MB",
    "min_wal_size=8MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "log_min_messages=warning",
    "restart_after_crash=on",
];

/// A cluster that this program made and runs.
#[derive(Debug)]
pub(crate) struct OwnCluster {
    programs: PathBuf,
    account: Option<(u32, u32)>,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl OwnCluster {
    /// Makes a cluster in `dir`, which is the user's that PostgreSQL runs as.
    pub(crate) async fn make(dir: &Path) -> Result<Self> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = free.local_addr().context("find a free port")?.port();
        let (account, data) = (account()?, dir.join("data"));
        let log = dir.join("postgres.log");
        let cluster = Self { programs: programs()?, account, data, log, port, postmaster: None };
        cluster.give(dir)?;
        let output = cluster
            .command("initdb")
            .args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-k"])
            .args(["--wal-segsize", "1", "-D"])
            .arg(&cluster.data)
            .output()
            .await
            .context("run initdb")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "make a cluster: {said}");
        Ok(cluster)
    }

    /// Makes a directory that belongs to PostgreSQL's user.
    pub(crate) fn give(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir, open).context("open the directory")?;
        if let Some((uid, gid)) = self.account {
            chown(dir, Some(uid), Some(gid)).context("give the directory to PostgreSQL's user")?;
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it unless it runs. It need not take connections yet.
    pub(crate) async fn run(&mut self) -> Result<()> {
        if let Some(child) = &mut self.postmaster
            && child.try_wait().context("look after PostgreSQL")?.is_none()
        {
            return Ok(());
        }
        // Those that outlived their postmaster keep the next one out.
        while let left = process::of_cluster(&self.data)?
            && !left.is_empty()
        {
            for pid in left {
                process::signal(pid, Signal::QUIT)?;
            }
            sleep(POLL_INTERVAL).await;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.context("open PostgreSQL's log")?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).stdout(own_handle(&log)?).stderr(log);
        command.args(["-c", &format!("port={}", self.port)]);
        command.args(["-c", &format!("unix_socket_directories={}", "")]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        self.postmaster = Some(command.spawn().context("start PostgreSQL")?);
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::null()).process_group(0);
        if let Some((uid, gid)) = self.account {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        process::end_cluster(&self.data);
    }
}

fn own_handle(file: &File) -> Result<File> {
    file.try_clone().context("share PostgreSQL's log")
}

/// The newest PostgreSQL, or the one that the server is told to use.
fn programs() -> Result<PathBuf> {
    if let Some(told) = std::env::var_os("NOETL_POSTGRES_BIN_DIR") {
        return Ok(told.into());
    }
    let version_of = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(version_of)
        .context("no PostgreSQL under /usr/lib/postgresql: name one in NOETL_POSTGRES_BIN_DIR")
}

/// Whom PostgreSQL runs as where this program is root, which PostgreSQL refuses to be.
fn account() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let ids_of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    let found = ids_of("postgres").or_else(|| ids_of("nobody"));
    found.map(Some).context("there is no user postgres or nobody to run PostgreSQL as")
}
