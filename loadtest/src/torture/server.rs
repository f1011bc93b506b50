//! The server under torture: started, killed, started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::torture::process;
use crate::usage::resident_peak;
use crate::wire::{Target, get};

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const LAST_WORDS_BYTES: usize = 6_000;

/// A server that runs or does not.
#[derive(Debug)]
pub(crate) struct Server {
    binary: PathBuf,
    flags: Vec<String>,
    database_url: Option<String>,
    log: PathBuf,
    target: Target,
    child: Option<Child>,
    /// How often it was started.
    pub(crate) starts: u32,
    /// The most memory that any of its processes had.
    pub(crate) memory_bytes_max: u64,
    /// The longest start but the first, which may make a cluster.
    pub(crate) start_max: Duration,
}

impl Server {
    /// A server that is not started yet. What it says goes to `log`.
    pub(crate) fn new(
        binary: &Path,
        mut flags: Vec<String>,
        database_url: Option<String>,
        log: PathBuf,
    ) -> Result<Self> {
        // The port is free now; that another process takes it within a moment is unlikely.
        let free = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = free.local_addr().context("find a free port")?.port();
        flags.push(format!("--listen=127.0.0.1:{port}"));
        Ok(Self {
            binary: binary.to_owned(),
            flags,
            database_url,
            log,
            target: Target::loopback(port),
            child: None,
            starts: 0,
            memory_bytes_max: 0,
            start_max: Duration::ZERO,
        })
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.as_ref().and_then(Child::id).context("the server does not run")
    }

    /// Starts it and waits until it takes reports, at most for `limit`.
    pub(crate) async fn start(&mut self, limit: Duration) -> Result<Duration> {
        ensure!(self.child.is_none(), "the server runs already");
        let began = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.context("open the server's log")?;
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("NOETL_") && text != "NOETL_POSTGRES_BIN_DIR" {
                command.env_remove(name);
            }
        }
        match &self.database_url {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.env_remove("DATABASE_URL"),
        };
        command
            .arg("serve")
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the server's log")?)
            .stderr(log)
            .kill_on_drop(true);
        self.child = Some(command.spawn().context("start the server")?);
        self.starts += 1;
        loop {
            self.require_alive()?;
            let page = get(&self.target, "/ready", Duration::from_secs(2)).await;
            if page.is_ok_and(|(status, _)| status == 200) {
                let took = began.elapsed();
                if self.starts > 1 {
                    self.start_max = self.start_max.max(took);
                }
                return Ok(took);
            }
            ensure!(began.elapsed() < limit, "the server did not take reports within {limit:?}");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Fails when it has ended by itself.
    pub(crate) fn require_alive(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if let Some(status) = child.try_wait().context("look after the server")? {
            self.child = None;
            bail!("the server ended by itself: {status}");
        }
        self.observe_memory();
        Ok(())
    }

    /// Remembers the most memory that it had.
    pub(crate) fn observe_memory(&mut self) {
        let pid = self.child.as_ref().and_then(Child::id);
        if let Some(peak) = pid.and_then(resident_peak) {
            self.memory_bytes_max = self.memory_bytes_max.max(peak);
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.observe_memory();
        process::signal(self.pid()?, signal)
    }

    /// Sends it a signal if it runs.
    pub(crate) fn signal_if_running(&self, signal: Signal) -> Result<()> {
        match self.child.as_ref().and_then(Child::id) {
            Some(pid) => process::signal(pid, signal),
            None => Ok(()),
        }
    }

    /// Waits until it has ended, after a signal that ends it.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the server does not run")?;
        match timeout(limit, child.wait()).await {
            Ok(status) => status.context("wait for the server"),
            Err(_) => bail!("the server did not end within {limit:?}"),
        }
    }

    /// A figure of its own page, 0 where it is not there.
    pub(crate) async fn figure(&self, name: &str) -> Result<f64> {
        let (status, page) = get(&self.target, "/metrics", Duration::from_secs(5)).await?;
        ensure!(status == 200, "/metrics answered {status}");
        let of_line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        Ok(page.lines().find_map(of_line).unwrap_or(0.0))
    }

    /// The end of what it said.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LAST_WORDS_BYTES)..]).into_owned()
    }
}
