//! The metrics of a NoETL worker: those it reports of its host and process, and those of its
//! queues and requests, in the order in which it sends them.

use crate::payload::value::ValueKind;

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
    pub(crate) labels: Vec<(&'static str, LabelValue)>,
    /// How its value looks and moves.
    pub(crate) value: ValueKind,
}

/// What stands behind a label's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LabelValue {
    /// All of it, or what it begins with.
    pub(crate) text: String,
    /// The number that follows, where there is one.
    pub(crate) number: Option<Numbering>,
}

/// A number that differs from worker to worker or from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Numbering {
    /// How often the series was replaced.
    Generation,
    /// One for every series of the whole fleet.
    Task,
    /// One of a thousand.
    Tenant,
}

/// Every worker has these.
const PLAIN: [(&str, &str, &str, &str, ValueKind); 10] = [
    (
        "noetl_system_cpu_usage_percent",
        "gauge",
        "percent",
        "CPU usage percentage",
        ValueKind::Fraction(2),
    ),
    (
        "noetl_system_memory_usage_bytes",
        "gauge",
        "bytes",
        "Memory usage in bytes",
        ValueKind::Whole(10),
    ),
    (
        "noetl_system_memory_usage_percent",
        "gauge",
        "percent",
        "Memory usage percentage",
        ValueKind::Fraction(2),
    ),
    (
        "noetl_process_cpu_percent",
        "gauge",
        "percent",
        "Process CPU usage percentage",
        ValueKind::Fraction(2),
    ),
    (
        "noetl_process_memory_rss_bytes",
        "gauge",
        "bytes",
        "Process resident memory in bytes",
        ValueKind::Whole(9),
    ),
    (
        "noetl_process_start_time_seconds",
        "gauge",
        "seconds",
        "Start time of the process since the epoch",
        ValueKind::Constant,
    ),
    (
        "noetl_uptime_seconds",
        "counter",
        "seconds",
        "Time since the worker started",
        ValueKind::Counter,
    ),
    (
        "noetl_worker_active_tasks",
        "gauge",
        "tasks",
        "Tasks that the worker is executing",
        ValueKind::Whole(2),
    ),
    (
        "noetl_worker_queue_size",
        "gauge",
        "tasks",
        "Tasks that wait for the worker",
        ValueKind::Whole(3),
    ),
    (
        "noetl_worker_tasks_completed_total",
        "counter",
        "tasks",
        "Tasks that the worker has completed",
        ValueKind::Counter,
    ),
];

const PHASES: [&str; 4] = ["connect", "send", "wait", "receive"];

impl From<String> for LabelValue {
    fn from(text: String) -> Self {
        Self { text, number: None }
    }
}

impl LabelValue {
    fn numbered(text: &str, number: Numbering) -> Self {
        Self { text: text.to_owned(), number: Some(number) }
    }
}

/// The first `count` metrics of a worker. Past the plain ones come durations of HTTP requests by
/// queue and phase, and tasks by queue; no two share both name and labels.
pub(crate) fn catalogue(count: u32) -> Vec<Metric> {
    let plain = PLAIN.into_iter().map(|(name, kind, unit, help, value)| Metric {
        name,
        kind,
        unit,
        help,
        labels: Vec::new(),
        value,
    });
    let labelled = (0_usize..).flat_map(|queue| {
        let queue = format!("playbook-{queue:03}");
        let tasks = Metric {
            name: "noetl_worker_queue_tasks_total",
            kind: "counter",
            unit: "tasks",
            help: "Tasks taken from the queue",
            labels: vec![("queue", queue.clone().into())],
            value: ValueKind::Counter,
        };
        let durations = PHASES.into_iter().map(move |phase| Metric {
            name: "noetl_http_request_duration_seconds",
            kind: "gauge",
            unit: "seconds",
            help: "Duration of the last HTTP request of a task",
            labels: vec![("queue", queue.clone().into()), ("phase", phase.to_owned().into())],
            value: ValueKind::Fraction(1),
        });
        std::iter::once(tasks).chain(durations)
    });
    plain.chain(labelled).take(count as usize).collect()
}

/// The same metrics, each of them of one execution that others follow.
pub(crate) fn replaceable(count: u32) -> Vec<Metric> {
    let mut metrics = catalogue(count);
    for metric in &mut metrics {
        let value = LabelValue::numbered("", Numbering::Generation);
        metric.labels.push(("execution", value));
    }
    metrics
}

/// Metrics of few names, told from each other by labels of which one is never seen twice.
pub(crate) fn many_labels(count: u32) -> Vec<Metric> {
    const NAMES: [(&str, &str, &str, ValueKind); 4] = [
        ("noetl_task_duration_seconds", "seconds", "Duration of the task", ValueKind::Fraction(2)),
        ("noetl_task_rows_total", "rows", "Rows that the task has read", ValueKind::Counter),
        ("noetl_task_memory_bytes", "bytes", "Memory that the task uses", ValueKind::Whole(9)),
        ("noetl_task_attempts", "attempts", "Attempts of the task", ValueKind::Whole(1)),
    ];
    let metric = |index: u32| {
        let (name, unit, help, value) = NAMES[index as usize % NAMES.len()];
        let route = format!("/api/v1/steps/{:02}", index % 97);
        Metric {
            name,
            kind: if value == ValueKind::Counter { "counter" } else { "gauge" },
            unit,
            help,
            labels: vec![
                ("task", LabelValue::numbered("task-", Numbering::Task)),
                ("route", route.into()),
                ("tenant", LabelValue::numbered("tenant-", Numbering::Tenant)),
            ],
            value,
        }
    };
    (0..count).map(metric).collect()
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
