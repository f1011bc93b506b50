//! A PostgreSQL that hangs.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::output::until;

/// All processes of a cluster, stopped until this is dropped.
pub(crate) struct Frozen(Vec<Pid>);

impl Frozen {
    /// Stops everything that works on the cluster `data`.
    pub(crate) fn new(data: &Path) -> Self {
        let data = data.canonicalize().unwrap();
        // What a process starts before it is stopped is found by the next look.
        until("every process of PostgreSQL is stopped", || {
            let pids = of_cluster(&data);
            let running: Vec<_> = pids.iter().filter(|pid| !is_stopped(**pid)).collect();
            for pid in &running {
                send(**pid, Signal::STOP);
            }
            (running.is_empty() && !pids.is_empty()).then(|| Self(pids))
        })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            send(*pid, Signal::CONT);
        }
    }
}

/// To one that has ended meanwhile, to no effect.
fn send(pid: Pid, signal: Signal) {
    assert!(matches!(kill_process(pid, signal), Ok(()) | Err(rustix::io::Errno::SRCH)));
}

/// PostgreSQL's processes have their cluster as working directory.
fn of_cluster(data: &Path) -> Vec<Pid> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            (fs::read_link(entry.path().join("cwd")).ok()? == data).then_some(pid)
        })
        .collect()
}

fn is_stopped(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()))
        .map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}
