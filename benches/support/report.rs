//! What the benchmarks have workers say.

use std::fmt::Write;

const NAMES: [&str; 10] = [
    "noetl_system_cpu_usage_percent",
    "noetl_system_memory_usage_bytes",
    "noetl_system_memory_usage_percent",
    "noetl_process_cpu_percent",
    "noetl_process_memory_rss_bytes",
    "noetl_process_start_time_seconds",
    "noetl_uptime_seconds",
    "noetl_server_active_workers",
    "noetl_server_queue_size",
    "noetl_worker_active_tasks",
];

/// A report as NoETL's workers send it: Python's json.dumps, about 300 bytes a metric. `time` is that of
/// all its metrics, in RFC 3339.
pub(crate) fn report(worker: &str, metrics: usize, time: &str) -> String {
    let mut body =
        format!(r#"{{"component_name": "{worker}", "component_type": "worker_pool", "metrics": ["#);
    for n in 0..metrics {
        let name = NAMES[n % NAMES.len()];
        let separator = if n == 0 { "" } else { ", " };
        let value = n as f64 * 1.37 + 0.25;
        write!(
            body,
            r#"{separator}{{"metric_name": "{name}", "metric_type": "gauge", "metric_value": {value}, "#
        )
        .and_then(|()| {
            write!(
                body,
                r#""timestamp": "{time}", "labels": {{"component": "{worker}", "hostname": "node-1", "queue": "q{}"}}, "help_text": "What {name} measures", "unit": "percent"}}"#,
                n / NAMES.len()
            )
        })
        .expect("a String takes everything");
    }
    body.push_str("]}");
    body
}
