//! Looks at `/proc` from time to time, in a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::usage::stat::Stat;
use crate::usage::tree::{Ticks, Tree};
use crate::usage::{CpuSeconds, PeakBytes, Usage, memory};

/// Linux reports times to user space in units of 10 ms (USER_HZ) whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Often enough to know most children before they end, seldom enough not to count itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Looks from one look at memory to the next, for which the kernel goes through all its pages.
const LOOKS_PER_MEMORY: u32 = 4;

/// Measures process trees from its start on.
#[derive(Debug)]
pub(crate) struct Meter {
    seen: Arc<Mutex<Seen>>,
    roots: Vec<u32>,
    before: Ticks,
    // Dropping it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What was seen up to now.
#[derive(Debug, Default)]
struct Seen {
    tree: Tree,
    memory: PeakBytes,
}

impl Seen {
    fn look(&mut self, roots: &[u32]) -> Result<()> {
        self.tree.observe(&processes().context("list the processes")?, roots);
        Ok(())
    }

    fn look_at_memory(&mut self, roots: &[u32]) {
        let of_roots = roots.iter().filter_map(|pid| memory::resident_peak(*pid)).sum();
        let of_others = self.tree.descendants().filter_map(memory::share).sum();
        self.memory.roots = self.memory.roots.max(of_roots);
        self.memory.descendants = self.memory.descendants.max(of_others);
    }
}

impl Meter {
    /// Starts to measure the processes `roots` and their descendants, without the one `left_out`. That
    /// one must outlive the measuring: what it has used goes to its parent when it ends.
    pub(crate) fn start(roots: &[u32], left_out: Option<u32>) -> Result<Self> {
        let mut seen = Seen { tree: Tree::without(left_out), ..Seen::default() };
        let processes = processes().context("list the processes")?;
        for root in roots {
            let lives = processes.iter().any(|stat| stat.pid == *root);
            ensure!(lives, "there is no process {root} to measure");
        }
        seen.tree.observe(&processes, roots);
        seen.look_at_memory(roots);
        let before = seen.tree.ticks();
        let seen = Arc::new(Mutex::new(seen));
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("meter".to_owned()).spawn({
            let (seen, roots) = (Arc::clone(&seen), roots.to_vec());
            move || look_until(&stopped, &seen, &roots)
        });
        let thread = Some(thread.context("start the meter")?);
        Ok(Self { seen, roots: roots.to_vec(), before, stop: Some(stop), thread })
    }

    /// What was used since the start.
    pub(crate) fn read(&self) -> Result<Usage> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.look(&self.roots)?;
        seen.look_at_memory(&self.roots);
        let now = seen.tree.ticks();
        let seconds = |now: u64, before: u64| now.saturating_sub(before) as f64 / TICKS_PER_SECOND;
        let cpu = CpuSeconds {
            roots: seconds(now.roots, self.before.roots),
            descendants: seconds(now.descendants, self.before.descendants),
        };
        Ok(Usage { cpu, memory: seen.memory })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the meter panicked: its figures end where it did");
        }
    }
}

/// CPU seconds that this process has used.
pub(crate) fn own_seconds() -> Result<f64> {
    let line = std::fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let stat = Stat::parse(&line).context("understand /proc/self/stat")?;
    Ok(stat.own as f64 / TICKS_PER_SECOND)
}

fn look_until(stopped: &Receiver<()>, seen: &Mutex<Seen>, roots: &[u32]) {
    let mut looks = 0;
    while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A look that fails is made up for by the next one; the last one reports its failure.
        looks += u32::from(seen.look(roots).is_ok());
        if looks % LOOKS_PER_MEMORY == 0 {
            seen.look_at_memory(roots);
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
        let meter = Meter::start(&[std::process::id()], None).unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let deadline = Instant::now() + Duration::from_secs(30);
        while meter.read().unwrap().cpu.descendants < 0.05 {
            assert!(Instant::now() < deadline, "a busy child was not counted");
            assert!(Command::new("sh").args(["-c", script]).status().unwrap().success());
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_refused() {
        assert!(Meter::start(&[u32::MAX - 1], None).is_err());
    }
}
