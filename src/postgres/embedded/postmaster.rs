//! The server's first process: our child, or one that a former owner left running.

use std::fmt;
use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::EmbeddedError;
use super::processes::Held;

/// How a server ended. The status of one that was adopted is unknown: it is told to the parent
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(Option<ExitStatus>);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("its exit status is unknown, as it was adopted"),
        }
    }
}

/// A postmaster that was alive when it was started or found.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: Pid,
    process: Process,
}

#[derive(Debug)]
enum Process {
    Child(Box<Child>),
    Adopted(Held),
}

impl Postmaster {
    /// Starts one. Dropped, it runs on.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, process: Process::Child(Box::new(child)) })
    }

    /// Takes over a running one.
    pub(super) fn adopt(held: Held) -> Self {
        Self { pid: held.pid(), process: Process::Adopted(held) }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn is_adopted(&self) -> bool {
        matches!(self.process, Process::Adopted(_))
    }

    /// Resolves when it has ended, and at once from then on. Cancel-safe.
    pub(super) async fn exited(&mut self) -> Exit {
        match &mut self.process {
            // Waiting fails only where there is no such child any more: it has ended, and its
            // status went to somebody else.
            Process::Child(child) => Exit(child.wait().await.ok()),
            Process::Adopted(held) => {
                held.ended().await;
                Exit(None)
            }
        }
    }

    /// Sends a signal; to one that has ended, to no effect.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), EmbeddedError> {
        let sent = match &self.process {
            Process::Adopted(held) => held.signal(signal),
            // An id that is still there is that of a process not waited for, so not reused.
            Process::Child(child) if child.id().is_some() => {
                kill_process(self.pid, signal).map_err(io::Error::from)
            }
            Process::Child(_) => Ok(()),
        };
        sent.map_err(|source| EmbeddedError::Io {
            doing: format!("signal PostgreSQL's process {}", self.pid.as_raw_pid()),
            source,
        })
    }
}
