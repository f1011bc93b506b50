//! Chosen processes, by the file that holds their id or by their name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sysinfo::{Error, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

use super::host::push;
use super::settings::AgentSettings;
use crate::snapshot::Snapshot;
use crate::vocabulary::MetricType::Gauge;

/// Bytes of a name that Linux keeps for a process.
const COMM_BYTES: usize = 15;

/// Watches them.
pub(super) struct ProcessSource {
    system: System,
    pid_files: Vec<PathBuf>,
    names: Vec<String>,
}

impl ProcessSource {
    pub(super) fn new(settings: &AgentSettings) -> Result<Self, Error> {
        let (pid_files, names) = (settings.pid_files.clone(), settings.process_names.clone());
        Ok(Self { system: System::new()?, pid_files, names })
    }

    pub(super) fn write_to(&mut self, snapshot: &mut Snapshot) {
        let pids: Vec<Option<Pid>> = self.pid_files.iter().map(|file| pid_in(file)).collect();
        let known: Vec<Pid> = pids.iter().flatten().copied().collect();
        let wanted = if self.names.is_empty() {
            ProcessesToUpdate::Some(&known)
        } else {
            ProcessesToUpdate::All
        };
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(wanted, true, what);
        for (file, pid) in self.pid_files.iter().zip(pids) {
            let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
            let process = pid.and_then(|pid| self.system.process(pid));
            write(&name, process.into_iter(), snapshot);
        }
        for name in &self.names {
            let kept = &name[..name.floor_char_boundary(COMM_BYTES)];
            let named = |process: &&Process| {
                let own = process.name().to_string_lossy();
                own == name.as_str() || own == kept
            };
            write(name, self.system.processes().values().filter(named), snapshot);
        }
    }
}

/// The figures of all processes of one name, together.
fn write<'a>(name: &str, processes: impl Iterator<Item = &'a Process>, snapshot: &mut Snapshot) {
    let (mut count, mut cpu, mut memory, mut start_s) = (0_u32, 0.0, 0, None::<u64>);
    for process in processes {
        count += 1;
        cpu += f64::from(process.cpu_usage());
        memory += process.memory();
        let started = process.start_time();
        start_s = Some(start_s.map_or(started, |earliest| earliest.min(started)));
    }
    let labels = [("process", name)];
    let mut figure =
        |metric, value, unit, help| push(snapshot, &labels, (metric, Gauge, value, unit, help));
    figure(
        "noetl_watched_processes",
        f64::from(count),
        "processes",
        "Processes of that name that run",
    );
    if let Some(start_s) = start_s {
        figure(
            "noetl_watched_process_cpu_percent",
            cpu,
            "percent",
            "CPU usage of the processes, of one processor",
        );
        figure(
            "noetl_watched_process_memory_rss_bytes",
            memory as f64,
            "bytes",
            "Resident memory of the processes",
        );
        figure(
            "noetl_watched_process_start_time_seconds",
            start_s as f64,
            "seconds",
            "Start of the oldest of the processes since the Unix epoch",
        );
    }
}

/// The id that a file begins with.
fn pid_in(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    // A file of that kind is a few bytes long, whatever this one is.
    File::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Pid::from_u32)
}
