//! A server that this process started, on a directory of its own: it is ended by its id, and its directory is removed, on
//! every way out.

mod candidate;

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wire::{Target, get};
pub(crate) use candidate::{Binaries, Candidate, PeerBinaries};

const READY_PATIENCE: Duration = Duration::from_secs(120);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const LAST_WORDS_BYTES: usize = 4_000;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    candidate: Candidate,
    binary: PathBuf,
    target: Target,
    dir: PathBuf,
    child: Child,
}

impl Server {
    /// Starts it in the new directory `dir` and waits until it is ready.
    pub(crate) async fn start(
        candidate: Candidate,
        binaries: &Binaries,
        port: u16,
        dir: PathBuf,
    ) -> Result<Self> {
        // An embedded PostgreSQL may run as another user and must get through.
        DirBuilder::new().mode(0o755).create(&dir).with_context(|| format!("create {dir:?}"))?;
        std::fs::set_permissions(&dir, Permissions::from_mode(0o755))
            .with_context(|| format!("open {dir:?} to the database's user"))?;
        let binary = candidate.binary(binaries);
        let started = std::path::absolute(binary)
            .with_context(|| format!("find {binary:?}"))
            .and_then(|binary| {
                let log =
                    File::create(dir.join("server.log")).context("create the server's log")?;
                let mut command = candidate.command(binaries, port, &dir)?;
                let also = log.try_clone().context("share the server's log")?;
                let child = command.stdin(Stdio::null()).stdout(also).stderr(log).spawn();
                Ok((binary, child.with_context(|| format!("start {candidate}"))?))
            });
        let (binary, child) = match started {
            Ok(started) => started,
            Err(error) => {
                remove(&dir);
                return Err(error);
            }
        };
        let mut server = Self { candidate, binary, target: Target::loopback(port), dir, child };
        match server.wait_until_ready().await {
            Ok(()) => Ok(server),
            Err(error) => Err(error.context(format!("{candidate} said:\n{}", server.last_words()))),
        }
    }

    /// Which server it is.
    pub(crate) fn candidate(&self) -> Candidate {
        self.candidate
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of its database, as its own command prints it.
    pub(crate) fn database_url(&self) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(["database-url", "--data-dir"])
            .arg(self.dir.join("data"))
            .env_remove("DATABASE_URL")
            .output()
            .context("ask for the database's address")?;
        ensure!(
            output.status.success(),
            "database-url failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(self.dir.join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LAST_WORDS_BYTES)..]).into_owned()
    }

    /// Stops it and returns the bytes that its data takes on disk then.
    pub(crate) fn stop(mut self) -> Result<u64> {
        end(&mut self.child).with_context(|| format!("stop {}", self.candidate))?;
        disk_bytes(&self.dir.join("data")).context("measure the server's data")
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().context("look after the server")? {
                bail!("{} ended before it was ready: {status}", self.candidate);
            }
            let page = get(&self.target, self.candidate.ready_path(), Duration::from_secs(5)).await;
            if page.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} did not get ready", self.candidate);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = end(&mut self.child) {
            eprintln!("cannot stop {} (process {}): {error:#}", self.candidate, self.child.id());
        }
        remove(&self.dir);
    }
}

fn remove(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir) {
        eprintln!("cannot remove {}: {error}", dir.display());
    }
}

/// Asks a process to end, and ends it at the deadline. One that has ended is left alone.
fn end(child: &mut Child) -> Result<()> {
    if child.try_wait().context("look after the server")?.is_some() {
        return Ok(());
    }
    kill_process(Pid::from_child(child), Signal::TERM).context("send SIGTERM")?;
    let deadline = Instant::now() + STOP_PATIENCE;
    while child.try_wait().context("wait for the server")?.is_none() {
        if Instant::now() >= deadline {
            eprintln!("process {} ignores SIGTERM: killing it", child.id());
            child.kill().context("send SIGKILL")?;
            child.wait().context("wait for the killed server")?;
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Bytes of all files below `path`.
fn disk_bytes(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut queue = vec![path.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                queue.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ended_by_sigterm_and_only_once() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        end(&mut child).unwrap();
        assert!(!child.try_wait().unwrap().unwrap().success());
        end(&mut child).unwrap();
    }

    #[test]
    fn files_of_all_depths_are_measured() {
        let root = std::env::temp_dir().join(format!("disk-bytes-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("one"), [0; 10]).unwrap();
        std::fs::write(root.join("a/b/two"), [0; 32]).unwrap();
        let measured = disk_bytes(&root);
        remove(&root);
        assert_eq!(measured.unwrap(), 42);
    }
}
