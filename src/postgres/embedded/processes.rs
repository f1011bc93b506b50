//! PostgreSQL's processes on a cluster, found in /proc and held by descriptor.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::sleep;

/// How often a process that is not our child is looked at. (Tokio registers a descriptor to
/// wait on in unsafe code only, and these processes are rare.)
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process that is not our child. Its number may come to name another one; the descriptor
/// that it is held by may not, so a signal never reaches a stranger.
#[derive(Debug)]
pub(super) struct Held {
    pid: Pid,
    descriptor: OwnedFd,
    data: PathBuf,
}

impl Held {
    /// Holds process `pid` if it is alive and one of PostgreSQL's on the cluster `data`.
    pub(super) fn of(pid: i32, data: &Path) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 0) else { return Ok(None) };
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            // EINVAL: the number of a thread.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after it is held: what is seen is either this process or a later one on the
        // same cluster, and a signal to this one is then a signal to nobody.
        if !works_on(pid, data)? {
            return Ok(None);
        }
        Ok(Some(Self { pid, descriptor, data: data.to_owned() }))
    }

    /// Holds all of PostgreSQL's processes on the cluster `data`.
    pub(super) fn all_of(data: &Path) -> io::Result<Vec<Self>> {
        let mut held = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            held.extend(Self::of(pid, data)?);
        }
        Ok(held)
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal; to a process that has ended, to no effect.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Err(Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Resolves when the process has ended. Cancel-safe.
    pub(super) async fn ended(&self) {
        // What cannot be looked at, for want of a descriptor say, is taken to run on.
        while works_on(self.pid, &self.data).unwrap_or(true) {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a process is alive and one of PostgreSQL's on the cluster `data`.
fn works_on(pid: Pid, data: &Path) -> io::Result<bool> {
    match look_at(pid, data) {
        // It ended before it was looked at, or meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
        looked => looked,
    }
}

/// All of PostgreSQL's processes have their cluster as working directory. One that has ended
/// and is not yet waited for has none.
fn look_at(pid: Pid, data: &Path) -> io::Result<bool> {
    let process = Path::new("/proc").join(pid.as_raw_pid().to_string());
    if fs::read(process.join("comm"))? != b"postgres\n" {
        return Ok(false);
    }
    match fs::read_link(process.join("cwd")) {
        // In a container even root may not look at other users' processes so closely. The
        // arguments are open to all, and a postmaster has the cluster among them.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let arguments = fs::read(process.join("cmdline"))?;
            let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
            let cluster = [b"-D", data.as_os_str().as_encoded_bytes()];
            Ok(arguments.windows(2).any(|pair| pair == cluster))
        }
        found => Ok(found? == data),
    }
}
