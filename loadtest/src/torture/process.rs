//! Processes: signals, states, who works on a cluster.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal. One that has ended already is no error.
pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid =
        i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id is positive")?;
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("signal process {pid:?}")),
    }
}

/// All of PostgreSQL's processes on the cluster `data`: it is their working directory.
pub(crate) fn of_cluster(data: &Path) -> Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").context("list the processes")? {
        let entry = entry.context("list the processes")?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ends while it is looked at is none.
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The postmaster that the cluster names, alive or not.
pub(crate) fn postmaster(data: &Path) -> Option<u32> {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

/// Ends everything that works on the cluster `data`, on the way out: what is frozen as well.
pub(crate) fn end_cluster(data: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Ok(pids) = of_cluster(data)
        && !pids.is_empty()
        && Instant::now() < deadline
    {
        // The first one ends the others; those that have lost it are told themselves.
        let first = postmaster(data).filter(|first| pids.contains(first));
        for pid in pids {
            let told = first.is_none_or(|first| first == pid);
            let sent = signal(pid, Signal::CONT)
                .and_then(|()| if told { signal(pid, Signal::QUIT) } else { Ok(()) });
            if let Err(error) = sent {
                eprintln!("loadtest: cannot end PostgreSQL: {error:#}");
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The state letter of a process (`T` is stopped); `None` when there is none.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_this_process() {
        assert!(matches!(state(std::process::id()), Some('R' | 'S')));
        assert_eq!(state(u32::MAX - 1), None);
    }
}
