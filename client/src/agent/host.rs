//! Load, memory, disks and networks of the host. Processor and memory in use are among the figures
//! that every reporter has.

use sysinfo::{DiskRefreshKind, Disks, Error, MemoryRefreshKind, Networks, System};

use crate::snapshot::{Sample, Snapshot};
use crate::vocabulary::MetricType::{self, Counter, Gauge};

/// Disks and networks that are reported, each.
const DEVICES_MAX: usize = 256;

/// Reads them.
pub(super) struct HostSource {
    system: System,
    disks: Disks,
    networks: Networks,
}

impl HostSource {
    pub(super) fn new() -> Result<Self, Error> {
        let (system, disks, networks) = (System::new()?, Disks::new()?, Networks::new()?);
        Ok(Self { system, disks, networks })
    }

    pub(super) fn write_to(&mut self, snapshot: &mut Snapshot) {
        self.write_load(snapshot);
        self.write_memory(snapshot);
        self.write_disks(snapshot);
        self.write_networks(snapshot);
    }

    fn write_load(&self, snapshot: &mut Snapshot) {
        let Ok(load) = System::load_average() else { return };
        for (interval, value) in [("1m", load.one), ("5m", load.five), ("15m", load.fifteen)] {
            let labels = [("interval", interval)];
            let help = "Processes that run or wait to, on average over the interval";
            push(snapshot, &labels, ("noetl_system_load_average", Gauge, value, "processes", help));
        }
    }

    fn write_memory(&mut self, snapshot: &mut Snapshot) {
        self.system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let system = &self.system;
        let figures = [
            ("noetl_system_memory_total_bytes", system.total_memory(), "Memory of the host"),
            (
                "noetl_system_memory_available_bytes",
                system.available_memory(),
                "Memory that programs can still have",
            ),
            ("noetl_system_swap_total_bytes", system.total_swap(), "Swap space of the host"),
            ("noetl_system_swap_used_bytes", system.used_swap(), "Swap space in use"),
        ];
        for (name, bytes, help) in figures {
            push(snapshot, &[], (name, Gauge, bytes as f64, "bytes", help));
        }
    }

    fn write_disks(&mut self, snapshot: &mut Snapshot) {
        self.disks.refresh_specifics(true, DiskRefreshKind::everything());
        for disk in self.disks.iter().take(DEVICES_MAX) {
            let mount = disk.mount_point().to_string_lossy();
            let (device, kind) =
                (disk.name().to_string_lossy(), disk.file_system().to_string_lossy());
            let labels = [("mountpoint", &*mount), ("device", &*device), ("fstype", &*kind)];
            let usage = disk.usage();
            let figures = [
                ("noetl_system_disk_total_bytes", Gauge, disk.total_space(), "Size of the disk"),
                (
                    "noetl_system_disk_available_bytes",
                    Gauge,
                    disk.available_space(),
                    "Space that programs can still have",
                ),
                (
                    "noetl_system_disk_read_bytes_total",
                    Counter,
                    usage.total_read_bytes,
                    "Bytes read from the disk",
                ),
                (
                    "noetl_system_disk_written_bytes_total",
                    Counter,
                    usage.total_written_bytes,
                    "Bytes written to the disk",
                ),
            ];
            for (name, kind, bytes, help) in figures {
                push(snapshot, &labels, (name, kind, bytes as f64, "bytes", help));
            }
        }
    }

    fn write_networks(&mut self, snapshot: &mut Snapshot) {
        self.networks.refresh(true);
        let mut networks: Vec<_> =
            self.networks.iter().map(|(name, data)| (name.to_string_lossy(), data)).collect();
        // A map has an order of its own each time.
        networks.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, data) in networks.into_iter().take(DEVICES_MAX) {
            let figures = [
                (
                    "noetl_system_network_received_bytes_total",
                    data.total_received(),
                    "bytes",
                    "Bytes received",
                ),
                (
                    "noetl_system_network_transmitted_bytes_total",
                    data.total_transmitted(),
                    "bytes",
                    "Bytes transmitted",
                ),
                (
                    "noetl_system_network_receive_errors_total",
                    data.total_errors_on_received(),
                    "packets",
                    "Packets that were received with an error",
                ),
                (
                    "noetl_system_network_transmit_errors_total",
                    data.total_errors_on_transmitted(),
                    "packets",
                    "Packets that could not be transmitted",
                ),
            ];
            for (figure, count, unit, help) in figures {
                push(snapshot, &[("device", &*name)], (figure, Counter, count as f64, unit, help));
            }
        }
    }
}

/// Adds a figure: its name, type, value, unit and help.
pub(super) fn push(
    snapshot: &mut Snapshot,
    labels: &[(&str, &str)],
    (name, metric_type, value, unit, help): (&str, MetricType, f64, &str, &str),
) {
    snapshot.push(&Sample { labels, unit, help, ..Sample::new(name, metric_type, value) });
}
