//! Names, labels and values in the text exposition format 0.0.4.
//!
//! Source: "Exposition formats" of the Prometheus documentation. Metric names match
//! `[a-zA-Z_:][a-zA-Z0-9_:]*`, label names `[a-zA-Z_][a-zA-Z0-9_]*`; label values escape
//! backslash, quote and line feed, help texts backslash and line feed.

use crate::model::SeriesDefinition;

/// The label with the component's name, and the one with its type. They win over a pushed label
/// of that name, so that a worker cannot pass for another.
const COMPONENT: &str = "component";
const COMPONENT_TYPE: &str = "component_type";

/// Appends `name` with every character that a metric name must not have replaced by `_`.
pub(super) fn push_metric_name(out: &mut String, name: &str) {
    push_sanitised(out, name, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
}

fn push_label_name(out: &mut String, name: &str) {
    push_sanitised(out, name, |c| c.is_ascii_alphanumeric() || c == '_');
}

fn push_sanitised(out: &mut String, name: &str, allowed: impl Fn(char) -> bool) {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if allowed(c) { c } else { '_' }));
}

/// Appends a help text, escaped.
pub(super) fn push_help(out: &mut Vec<u8>, help: &str) {
    for byte in help.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            byte => out.push(byte),
        }
    }
}

fn push_label(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str(r"\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The part of a sample's line before its value: `name{label="value",…} `.
///
/// Labels stand in the order of their sanitised names, so that equal sets have equal prefixes.
/// An empty value is left out: to Prometheus it is the same as no label. Of names that become
/// equal by sanitising the first counts; a name that begins with two underscores is
/// Prometheus' own and loses one.
pub(super) fn prefix(
    family: &str,
    series: &SeriesDefinition<'_>,
    component: &str,
    component_type: &str,
) -> String {
    let mut labels =
        vec![(COMPONENT.to_owned(), component), (COMPONENT_TYPE.to_owned(), component_type)];
    for (name, value) in series.labels().filter(|(_, value)| !value.is_empty()) {
        let mut clean = String::with_capacity(name.len());
        push_label_name(&mut clean, name);
        while clean.starts_with("__") {
            clean.remove(0);
        }
        if labels.iter().all(|(taken, _)| *taken != clean) {
            labels.push((clean, value));
        }
    }
    labels.sort_unstable();
    let mut out = String::with_capacity(128);
    out.push_str(family);
    for (at, (name, value)) in labels.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        push_label(&mut out, name, value);
    }
    out.push_str("} ");
    out
}

/// Appends a value: the shortest decimal that reads back as the same number.
pub(super) fn push_value(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricType;
    use crate::model::series::{write_identity, write_metadata};

    #[test]
    fn names_are_sanitised() {
        let check = |name: &str, expected: &str| {
            let mut out = String::new();
            push_metric_name(&mut out, name);
            assert_eq!(out, expected, "{name:?}");
        };
        check("noetl_cpu:rate", "noetl_cpu:rate");
        check("cpu.usage-percent %", "cpu_usage_percent__");
        check("9lives", "_9lives");
        check("größe", "gr__e");
    }

    #[test]
    fn labels_are_escaped_sorted_and_never_stand_twice() {
        let check = |labels: &[(&str, &str)], expected: &str| {
            let mut bytes = Vec::new();
            write_identity(&mut bytes, "m", labels);
            write_metadata(&mut bytes, MetricType::Gauge, "", "");
            let series = SeriesDefinition::parse(&bytes).unwrap();
            assert_eq!(prefix("m", &series, "c\"1", "t"), format!("m{{{expected}}} "));
        };
        let ours = r#"component="c\"1",component_type="t""#;
        check(&[], ours);
        check(&[("z", "x\\y\n\"z\"")], &format!("{ours},z=\"x\\\\y\\n\\\"z\\\"\""));
        check(&[("component", "another"), ("component_type", "u")], ours);
        check(&[("a-b", "1"), ("a.b", "2"), ("a_b", "3")], &format!("a_b=\"1\",{ours}"));
        check(&[("__name__", "evil")], &format!("_name__=\"evil\",{ours}"));
        check(&[("a:b", "1"), ("empty", "")], &format!("a_b=\"1\",{ours}"));
        let one = format!("a_b=\"2\",a_z=\"1\",{ours}");
        check(&[("a.z", "1"), ("a_b", "2")], &one);
        check(&[("a_b", "2"), ("a_z", "1")], &one);
    }

    #[test]
    fn values_read_back_as_the_same_number() {
        let check = |value: f64, expected: &str| {
            let mut out = Vec::new();
            push_value(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        for value in [0.0, -0.0, 45.2, 1e300, 5e-324, 123_456_789_012_345_680.0, 0.1 + 0.2] {
            let mut out = Vec::new();
            push_value(&mut out, value);
            let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
            assert_eq!(read.to_bits(), value.to_bits());
        }
    }
}
