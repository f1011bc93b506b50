//! What the host and this process use, read from the operating system; workers report it, and the
//! server does about itself.

use std::time::{Duration, Instant};

use sysinfo::{
    CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System,
};

/// A reading sooner than this after the last one answers that one again: the share of a processor
/// is measured between two, and over less time it is noise.
pub const READING_INTERVAL: Duration = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;

/// What is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostFigures {
    /// Of all processors of the host, 0 to 100.
    pub cpu_percent: f64,
    /// Memory of the host in use.
    pub memory_bytes: u64,
    /// The same of all there is, 0 to 100.
    pub memory_percent: f64,
    /// Of one processor, by this process; more than 100 when it uses several.
    pub process_cpu_percent: f64,
    /// Resident memory of this process.
    pub process_rss_bytes: u64,
    /// When this process started, in seconds since the Unix epoch.
    pub process_start_s: u64,
}

/// One figure by the name that workers and servers report it under; all are gauges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The metric's name.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// In what.
    pub unit: &'static str,
    /// What it measures.
    pub help: &'static str,
}

impl HostFigures {
    /// All of them at `now_s`, in seconds since the Unix epoch.
    pub fn named(&self, now_s: u64) -> [Figure; 7] {
        let figure = |name, value, unit, help| Figure { name, value, unit, help };
        let uptime_s = now_s.saturating_sub(self.process_start_s);
        [
            figure(
                "noetl_system_cpu_usage_percent",
                self.cpu_percent,
                "percent",
                "CPU usage percentage",
            ),
            figure(
                "noetl_system_memory_usage_bytes",
                self.memory_bytes as f64,
                "bytes",
                "Memory usage in bytes",
            ),
            figure(
                "noetl_system_memory_usage_percent",
                self.memory_percent,
                "percent",
                "Memory usage percentage",
            ),
            figure(
                "noetl_process_cpu_percent",
                self.process_cpu_percent,
                "percent",
                "CPU usage of the process",
            ),
            figure(
                "noetl_process_memory_rss_bytes",
                self.process_rss_bytes as f64,
                "bytes",
                "Resident memory of the process",
            ),
            figure(
                "noetl_process_start_time_seconds",
                self.process_start_s as f64,
                "seconds",
                "Start of the process since the Unix epoch",
            ),
            figure(
                "noetl_uptime_seconds",
                uptime_s as f64,
                "seconds",
                "Time since the process started",
            ),
        ]
    }
}

/// Reads [`HostFigures`]. A reading takes about a millisecond of system calls.
#[derive(Debug)]
pub struct HostReader {
    system: System,
    pid: Pid,
    read_at: Instant,
    last: HostFigures,
    readings: Readings,
}

/// Whether there were two readings to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readings {
    One,
    More,
}

impl HostReader {
    /// A reader that has read once, so that the next reading has something to compare with.
    ///
    /// # Errors
    /// What sysinfo says, on systems that it does not know.
    pub fn new() -> Result<Self, sysinfo::Error> {
        let pid = sysinfo::get_current_pid()?;
        let (last, readings) = (HostFigures::default(), Readings::One);
        let mut reader =
            Self { system: System::new()?, pid, read_at: Instant::now(), last, readings };
        reader.refresh();
        Ok(reader)
    }

    /// Whether the next reading is the first that has something to compare with.
    pub fn is_first(&self) -> bool {
        self.readings == Readings::One
    }

    /// The first moment at which a reading is a new one.
    pub fn next_at(&self) -> Instant {
        self.read_at + READING_INTERVAL
    }

    /// What is used now, or was at the last reading if that was a moment ago.
    pub fn read(&mut self) -> HostFigures {
        if Instant::now() >= self.next_at() {
            self.refresh();
            self.readings = Readings::More;
        }
        self.last
    }

    /// Reads these figures and no others.
    fn refresh(&mut self) {
        let system = &mut self.system;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let process = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), false, process);
        self.read_at = Instant::now();
        let total = system.total_memory().max(1) as f64;
        let process = system.process(self.pid);
        self.last = HostFigures {
            cpu_percent: f64::from(system.global_cpu_usage()),
            memory_bytes: system.used_memory(),
            memory_percent: system.used_memory() as f64 / total * 100.0,
            process_cpu_percent: process.map_or(0.0, |one| f64::from(one.cpu_usage())),
            process_rss_bytes: process.map_or(0, sysinfo::Process::memory),
            process_start_s: process.map_or(0, sysinfo::Process::start_time),
        };
    }
}

/// What the host calls itself.
pub fn host_name() -> Option<String> {
    System::host_name().ok().filter(|name| !name.is_empty() && !name.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_is_seen() {
        let spin_until = |end: Instant| {
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        };
        // A process that has used no time yet is not compared with.
        spin_until(Instant::now() + Duration::from_millis(50));
        let mut reader = HostReader::new().unwrap();
        let first = reader.read();
        assert_eq!(first.process_cpu_percent, 0.0, "there is nothing to compare with");
        spin_until(reader.next_at());
        let figures = reader.read();
        assert!(figures.process_cpu_percent > 10.0, "{figures:?}");
        assert!((0.0..=100.0).contains(&figures.cpu_percent), "{figures:?}");
        assert!((0.0..=100.0).contains(&figures.memory_percent), "{figures:?}");
        assert!(figures.process_rss_bytes > 1 << 20, "{figures:?}");
        assert!(figures.memory_bytes > figures.process_rss_bytes, "{figures:?}");
        assert!(figures.process_start_s > 1_700_000_000, "{figures:?}");
        assert_eq!(reader.read(), figures, "too soon for another reading");
    }
}
