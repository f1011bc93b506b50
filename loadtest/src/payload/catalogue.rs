//! The metrics of a NoETL worker: those it reports of its host and process, and those of its
//! queues and requests, in the order in which it sends them.

use crate::payload::value::Shape;

/// One metric of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// Its name.
    pub(crate) name: &'static str,
    /// `gauge` or `counter`.
    pub(crate) kind: &'static str,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Its description.
    pub(crate) help: &'static str,
    /// Labels beside `component` and `hostname`.
    pub(crate) labels: Vec<(&'static str, String)>,
    /// How its value looks and moves.
    pub(crate) shape: Shape,
}

/// Every worker has these.
const PLAIN: [(&str, &str, &str, &str, Shape); 10] = [
    (
        "noetl_system_cpu_usage_percent",
        "gauge",
        "percent",
        "CPU usage percentage",
        Shape::Fraction(2),
    ),
    (
        "noetl_system_memory_usage_bytes",
        "gauge",
        "bytes",
        "Memory usage in bytes",
        Shape::Whole(10),
    ),
    (
        "noetl_system_memory_usage_percent",
        "gauge",
        "percent",
        "Memory usage percentage",
        Shape::Fraction(2),
    ),
    (
        "noetl_process_cpu_percent",
        "gauge",
        "percent",
        "Process CPU usage percentage",
        Shape::Fraction(2),
    ),
    (
        "noetl_process_memory_rss_bytes",
        "gauge",
        "bytes",
        "Process resident memory in bytes",
        Shape::Whole(9),
    ),
    (
        "noetl_process_start_time_seconds",
        "gauge",
        "seconds",
        "Start time of the process since the epoch",
        Shape::Constant,
    ),
    ("noetl_uptime_seconds", "counter", "seconds", "Time since the worker started", Shape::Counter),
    (
        "noetl_worker_active_tasks",
        "gauge",
        "tasks",
        "Tasks that the worker is executing",
        Shape::Whole(2),
    ),
    (
        "noetl_worker_queue_size",
        "gauge",
        "tasks",
        "Tasks that wait for the worker",
        Shape::Whole(3),
    ),
    (
        "noetl_worker_tasks_completed_total",
        "counter",
        "tasks",
        "Tasks that the worker has completed",
        Shape::Counter,
    ),
];

const PHASES: [&str; 4] = ["connect", "send", "wait", "receive"];

/// The first `count` metrics of a worker. Past the plain ones come durations of HTTP requests by
/// queue and phase, and tasks by queue; no two share both name and labels.
pub(crate) fn catalogue(count: u32) -> Vec<Metric> {
    let plain = PLAIN.into_iter().map(|(name, kind, unit, help, shape)| Metric {
        name,
        kind,
        unit,
        help,
        labels: Vec::new(),
        shape,
    });
    let labelled = (0_usize..).flat_map(|queue| {
        let queue = format!("playbook-{queue:03}");
        let tasks = Metric {
            name: "noetl_worker_queue_tasks_total",
            kind: "counter",
            unit: "tasks",
            help: "Tasks taken from the queue",
            labels: vec![("queue", queue.clone())],
            shape: Shape::Counter,
        };
        let durations = PHASES.into_iter().map(move |phase| Metric {
            name: "noetl_http_request_duration_seconds",
            kind: "gauge",
            unit: "seconds",
            help: "Duration of the last HTTP request of a task",
            labels: vec![("queue", queue.clone()), ("phase", phase.to_owned())],
            shape: Shape::Fraction(1),
        });
        std::iter::once(tasks).chain(durations)
    });
    plain.chain(labelled).take(count as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_metrics_are_the_same_series() {
        for count in [1, 10, 64, 1_000] {
            let metrics = catalogue(count);
            let series: HashSet<_> = metrics.iter().map(|m| (m.name, m.labels.clone())).collect();
            assert_eq!(series.len(), count as usize);
        }
    }
}
