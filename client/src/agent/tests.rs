use std::fs;

use serde_json::Value;

use super::*;
use crate::snapshot::{Reporting, Snapshot};

/// The metrics that `write` adds.
fn written(write: impl FnOnce(&mut Snapshot)) -> Vec<Value> {
    let reporting =
        Reporting { component_name: "host".to_owned(), component_type: None, labels: Vec::new() };
    let mut snapshot = Snapshot::new(&reporting, 1, 100_000);
    write(&mut snapshot);
    assert_eq!(snapshot.refused(), 0);
    let reports = snapshot.finish();
    reports
        .iter()
        .flat_map(|one| {
            let report: Value = serde_json::from_slice(&one.body).unwrap();
            report["metrics"].as_array().unwrap().clone()
        })
        .collect()
}

fn values(metrics: &[Value], name: &str, label: (&str, &str)) -> Vec<f64> {
    metrics
        .iter()
        .filter(|one| one["metric_name"] == name)
        .filter(|one| label.0.is_empty() || one["labels"][label.0] == label.1)
        .map(|one| one["metric_value"].as_f64().unwrap())
        .collect()
}

#[test]
fn the_host_is_measured() {
    let mut host = host::HostSource::new().unwrap();
    let metrics = written(|snapshot| host.write_to(snapshot));
    let any = ("", "");
    assert_eq!(values(&metrics, "noetl_system_load_average", any).len(), 3);
    let total = values(&metrics, "noetl_system_memory_total_bytes", any)[0];
    let available = values(&metrics, "noetl_system_memory_available_bytes", any)[0];
    assert!(available > 0.0 && available <= total, "{available} of {total}");
    let again = written(|snapshot| host.write_to(snapshot));
    let series = |metrics: &[Value]| -> Vec<_> {
        metrics.iter().map(|one| (one["metric_name"].clone(), one["labels"].clone())).collect()
    };
    assert_eq!(series(&again), series(&metrics), "always in the same order");
}

#[test]
fn processes_are_watched_by_file_and_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (mine, gone) = (directory.path().join("mine.pid"), directory.path().join("gone.pid"));
    fs::write(&mine, format!(" {}\nmore", std::process::id())).unwrap();
    let own = fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
    let settings = AgentSettings {
        pid_files: vec![mine, gone],
        process_names: vec![own.clone(), "no-such-program".to_owned()],
        ..AgentSettings::default()
    };
    let mut source = processes::ProcessSource::new(&settings).unwrap();
    let metrics = written(|snapshot| source.write_to(snapshot));
    let count = |name: &str| values(&metrics, "noetl_watched_processes", ("process", name));
    assert_eq!(count("mine"), [1.0]);
    assert_eq!(count("gone"), [0.0]);
    assert!(count(&own)[0] >= 1.0);
    assert_eq!(count("no-such-program"), [0.0]);
    let memory = values(&metrics, "noetl_watched_process_memory_rss_bytes", ("process", "mine"));
    assert!(memory[0] > 1e6);
}

#[test]
fn text_files_are_taken_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(directory.path().join(name), text).unwrap();
    write("backup.prom", b"# TYPE backup_bytes counter\nbackup_bytes{disk=\"a\"} 7\n");
    write("broken.prom", b"half 1\nno sample\n");
    write("binary.prom", b"\xff\xfe");
    write("notes.txt", b"other 1\n");
    fs::create_dir(directory.path().join("directory.prom")).unwrap();
    let metrics = written(|snapshot| text_files::write_to(directory.path(), snapshot));
    assert_eq!(values(&metrics, "backup_bytes", ("disk", "a")), [7.0]);
    assert!(values(&metrics, "half", ("", "")).is_empty());
    assert!(values(&metrics, "other", ("", "")).is_empty());
    let failed = |file: &str| values(&metrics, "noetl_textfile_error", ("file", file));
    assert_eq!(failed("backup.prom"), [0.0]);
    for file in ["broken.prom", "binary.prom", "directory.prom"] {
        assert_eq!(failed(file), [1.0], "{file}");
    }
    assert!(values(&metrics, "noetl_textfile_mtime_seconds", ("file", "backup.prom"))[0] > 1.7e9);
    assert_eq!(values(&metrics, "noetl_textfile_directory_error", ("", "")), [0.0]);
    let nowhere = directory.path().join("nowhere");
    let metrics = written(|snapshot| text_files::write_to(&nowhere, snapshot));
    assert_eq!(values(&metrics, "noetl_textfile_directory_error", ("", "")), [1.0]);
}

#[test]
fn datagrams_of_statsd_add_up() {
    let metrics = Metrics::new(100);
    let listener = udp::Listener::new(metrics.clone());
    listener.take(b"jobs:1|c|#queue:mail\njobs:2|c|#queue:mail\r\nload:5|g\nload:-2|g\n");
    listener.take(b"took:10|ms\nnonsense\n\xff\xff:1|c\n");
    let found = written(|snapshot| metrics.write_to(snapshot));
    assert_eq!(values(&found, "jobs", ("queue", "mail")), [3.0]);
    assert_eq!(values(&found, "load", ("", "")), [3.0]);
    assert_eq!(values(&found, "took_count", ("", "")), [1.0]);
    assert_eq!(values(&found, "noetl_statsd_lines_total", ("", "")), [5.0]);
    assert_eq!(values(&found, "noetl_statsd_lines_refused_total", ("", "")), [2.0]);
}
