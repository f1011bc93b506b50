//! Looks at `/proc` from time to time, in a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cpu::CpuSeconds;
use crate::cpu::stat::Stat;
use crate::cpu::tree::{Ticks, Tree};

/// Linux reports times to user space in units of 10 ms (USER_HZ) whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Often enough to know most children before they end, seldom enough not to count itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Measures the CPU time of process trees from its start on.
#[derive(Debug)]
pub(crate) struct Meter {
    tree: Arc<Mutex<Tree>>,
    roots: Vec<u32>,
    before: Ticks,
    // Dropping it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Starts to measure the processes `roots` and their descendants.
    pub(crate) fn start(roots: &[u32]) -> Result<Self> {
        let mut tree = Tree::default();
        let processes = processes().context("list the processes")?;
        for root in roots {
            let lives = processes.iter().any(|stat| stat.pid == *root);
            ensure!(lives, "there is no process {root} to measure");
        }
        tree.observe(&processes, roots);
        let before = tree.ticks();
        let tree = Arc::new(Mutex::new(tree));
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("cpu-meter".to_owned()).spawn({
            let (tree, roots) = (Arc::clone(&tree), roots.to_vec());
            move || look_until(&stopped, &tree, &roots)
        });
        let thread = Some(thread.context("start the CPU meter")?);
        Ok(Self { tree, roots: roots.to_vec(), before, stop: Some(stop), thread })
    }

    /// CPU seconds used since the start.
    pub(crate) fn read(&self) -> Result<CpuSeconds> {
        let now = {
            let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
            tree.observe(&processes().context("list the processes")?, &self.roots);
            tree.ticks()
        };
        let seconds = |now: u64, before: u64| now.saturating_sub(before) as f64 / TICKS_PER_SECOND;
        Ok(CpuSeconds {
            roots: seconds(now.roots, self.before.roots),
            descendants: seconds(now.descendants, self.before.descendants),
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the CPU meter panicked: its figures end where it did");
        }
    }
}

/// CPU seconds that this process has used.
pub(crate) fn own_seconds() -> Result<f64> {
    let line = std::fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let stat = Stat::parse(&line).context("understand /proc/self/stat")?;
    Ok(stat.own as f64 / TICKS_PER_SECOND)
}

fn look_until(stopped: &Receiver<()>, tree: &Mutex<Tree>, roots: &[u32]) {
    while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        // A look that fails is made up for by the next one; the last one reports its failure.
        if let Ok(processes) = processes() {
            tree.lock().unwrap_or_else(PoisonError::into_inner).observe(&processes, roots);
        }
    }
}

/// Every process of the machine. One that ends while they are listed is left out.
fn processes() -> std::io::Result<Vec<Stat>> {
    let mut stats = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let numeric = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if numeric && let Ok(line) = std::fs::read(path.join("stat")) {
            // A name may hold any bytes; the numbers are ASCII.
            stats.extend(Stat::parse(&String::from_utf8_lossy(&line)));
        }
    }
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn a_busy_child_that_comes_and_goes_is_counted() {
        let meter = Meter::start(&[std::process::id()]).unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let deadline = Instant::now() + Duration::from_secs(30);
        while meter.read().unwrap().descendants < 0.05 {
            assert!(Instant::now() < deadline, "a busy child was not counted");
            assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_refused() {
        assert!(Meter::start(&[u32::MAX - 1]).is_err());
    }
}
