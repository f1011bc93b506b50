//! `docs/format/log.md` is exact: a reader that was written from its words reads a real log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::client::gauges;
use crate::commands::{Ran, run};
use crate::server::Launch;

fn read(log: &Path) -> Ran {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/read_log.py");
    run(Command::new("python3").arg(script).arg(log))
}

/// A report of five series of `component`, whose timestamps lie a millisecond apart.
fn report(component: &str, number: i64) -> Value {
    let metric = |nth: i64| {
        json!({"metric_name": "decoded", "metric_type": "counter", "unit": "bytes",
               "help_text": "what is told", "metric_value": 100 * number + nth,
               "labels": {"nth": nth, "a": "ü"},
               "timestamp": 1_704_110_400_000_000 + 1_000_000 * number + 1000 * nth})
    };
    json!({"component_name": component, "component_type": "worker_pool",
           "metrics": (0..5).map(metric).collect::<Vec<_>>()})
}

/// The samples of [`report`], as a set of (component, label, time, value).
type Samples = BTreeSet<(String, String, i64, u64)>;

fn samples(component: &str, number: i64) -> Samples {
    let time = |nth: i64| 1_704_110_400_000_000 + 1_000_000 * number + 1000 * nth;
    let value = |nth: i64| ((100 * number + nth) as f64).to_bits();
    (0..5).map(|nth| (component.to_owned(), nth.to_string(), time(nth), value(nth))).collect()
}

#[test]
fn a_reader_written_from_the_page_reads_what_was_acknowledged() {
    let launch = Launch::new().flag("log-segment-bytes", "1MiB").flag("log-budget-bytes", "64MiB");
    let launch = launch.flag("body-bytes-max", "512KiB").flag("batch-age-max", "15s");
    let mut server = launch.start();
    let client = server.client();
    let mut sent = Samples::new();
    // Enough for several segments, none of which goes, for nothing is flushed.
    for number in 0..400 {
        let component = format!("read-{}", number % 3);
        let key = [("idempotency-key", format!("read-{number}"))];
        let headers: Vec<_> = key.iter().map(|(name, key)| (*name, key.as_str())).collect();
        let headers = if number % 4 == 0 { &headers[..] } else { &[] };
        client.post(headers, report(&component, number).to_string().as_bytes()).ok();
        sent.append(&mut samples(&component, number));
        if number % 40 == 0 {
            let second = |nth| f64::from(3000 * i32::try_from(number).unwrap() + nth);
            let filler: Vec<f64> = (0..3000).map(second).collect();
            let mut filler = gauges("filler", "f", &filler);
            for metric in filler["metrics"].as_array_mut().unwrap() {
                metric["timestamp"] =
                    (metric["timestamp"].as_i64().unwrap() + 3000 * number).into();
            }
            client.report(&filler);
        }
    }
    server.kill();
    let log = server.home().data_dir().join("log");
    assert!(log.join("0000000000000001.log").exists(), "there are several segments");
    let ran = read(&log);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let mut lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    let expected =
        json!({"reports": 410, "rows": 30_400, "values": 32_000, "keys": 100, "lost": 0});
    assert_eq!(summary["read"], expected);
    assert_eq!(lines.len(), 32_000);
    lines.retain(|line| line["component"] != "filler");
    let found: Samples = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            assert_eq!(
                (text("metric"), text("type")),
                ("decoded".to_owned(), "counter".to_owned())
            );
            assert_eq!((text("unit"), text("help")), ("bytes".into(), "what is told".into()));
            assert_eq!(line["labels"]["a"], "ü");
            let label = line["labels"]["nth"].as_str().unwrap().to_owned();
            let value = line["value"].as_f64().unwrap().to_bits();
            (text("component"), label, line["timestamp_us"].as_i64().unwrap(), value)
        })
        .collect();
    assert_eq!(lines.len(), 2000);
    assert!(
        found == sent,
        "{} of {} samples are not as they were sent",
        found.difference(&sent).count(),
        sent.len()
    );

    // It notices what the server would: a byte of an older segment, and of the active one.
    for number in 0..2 {
        let path = log.join(format!("{number:016}.log"));
        let bytes = std::fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        damaged[4150] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let ran = read(&log);
        assert_eq!(ran.status, Some(1), "{}", ran.stdout);
        assert!(ran.stderr.contains("damaged at byte 4096"), "{}", ran.stderr);
        std::fs::write(&path, bytes).unwrap();
    }
}
