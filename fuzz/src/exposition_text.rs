//! The text format of Prometheus: what is taken can be written again, and is read back the same.

use std::fmt::Write;

use noetl_metrics_client::exposition;

/// What one sample says; NaN by its bits.
type Said = (String, &'static str, u64, Vec<(String, String)>, Option<i64>);

/// The bytes as a text.
pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (said, error) = read(text);
    if let Some(error) = error {
        assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}");
        assert!(!error.problem.is_empty());
    }
    let mut written = String::new();
    for (name, kind, value, labels, timestamp_ms) in &said {
        // Types belong to families, and a text has one of each name.
        if said.iter().any(|(other, k, ..)| other == name && k != kind) {
            return;
        }
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let value = f64::from_bits(*value);
        let timestamp = timestamp_ms.map_or(String::new(), |ms| format!(" {ms}"));
        let labels = labels.join(",");
        writeln!(written, "# TYPE {name} {kind}\n{name}{{{labels}}} {value}{timestamp}")
            .expect("a String takes everything");
    }
    let (again, error) = read(&written);
    assert_eq!(error, None, "{written}");
    assert_eq!(again, said, "{written}");
}

fn read(text: &str) -> (Vec<Said>, Option<exposition::NotExposition>) {
    let mut said = Vec::new();
    let result = exposition::parse(text, |one| {
        let labels: Vec<_> = one
            .labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string()))
            .collect();
        let value = if one.value.is_nan() { f64::NAN } else { one.value };
        let kind = one.metric_type.as_str();
        said.push((one.name.to_owned(), kind, value.to_bits(), labels, one.timestamp_ms));
        one.with_sample(|sample| assert_eq!(sample.labels.len(), one.labels.len()));
    });
    (said, result.err())
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
