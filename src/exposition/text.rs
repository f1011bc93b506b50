//! Names, labels and values in the text exposition format 0.0.4 and in OpenMetrics 1.0.
//!
//! Source: "Exposition formats" of the Prometheus documentation, and the OpenMetrics
//! specification. Metric names match `[a-zA-Z_:][a-zA-Z0-9_:]*`, label names
//! `[a-zA-Z_][a-zA-Z0-9_]*`; label values escape backslash, quote and line feed; help texts
//! backslash and line feed, in OpenMetrics the quote as well.

use std::borrow::Cow;

use crate::model::SeriesDefinition;

/// The label with the component's name, and the one with its type. They win over a pushed label
/// of that name, so that a worker cannot pass for another.
const COMPONENT: &str = "component";
const COMPONENT_TYPE: &str = "component_type";

/// What a page is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text exposition format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// `name` with every character that a metric name must not have replaced by `_`.
pub(super) fn metric_name(name: &str) -> Cow<'_, str> {
    sanitised(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

fn label_name(name: &str) -> Cow<'_, str> {
    let clean = sanitised(name, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // A name that begins with two underscores is Prometheus' own, and loses all but one.
    if !clean.starts_with("__") {
        return clean;
    }
    let kept = clean.trim_start_matches('_').len() + 1;
    clean[clean.len() - kept..].to_owned().into()
}

fn sanitised(name: &str, allowed: impl Fn(u8) -> bool) -> Cow<'_, str> {
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    if starts_well && name.bytes().all(&allowed) {
        return name.into();
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if !starts_well {
        clean.push('_');
    }
    let allowed = |c: &char| u8::try_from(*c).is_ok_and(|byte| c.is_ascii() && allowed(byte));
    clean.extend(name.chars().map(|c| if allowed(&c) { c } else { '_' }));
    clean.into()
}

/// The labels of a line in the order of their names, so that equal sets are written alike.
///
/// An empty value is left out: to Prometheus it is the same as no label. Of names that become
/// equal by sanitising the first counts.
pub(super) struct Labels<'a> {
    labels: Vec<(Cow<'a, str>, &'a str)>,
    altered: bool,
}

impl<'a> Labels<'a> {
    pub(super) fn of(
        series: &SeriesDefinition<'a>,
        component: &'a str,
        component_type: &'a str,
    ) -> Self {
        let pushed = series.labels();
        let mut labels: Vec<(Cow<'a, str>, &'a str)> = Vec::with_capacity(pushed.len() + 2);
        labels.push((COMPONENT.into(), component));
        labels.push((COMPONENT_TYPE.into(), component_type));
        let mut altered = false;
        for (name, value) in pushed {
            let clean = label_name(name);
            // Raw names differ from each other, so only a cleaned one can meet another.
            let is_owned = matches!(clean, Cow::Owned(_));
            let is_ours = clean == COMPONENT || clean == COMPONENT_TYPE;
            let taken = (altered || is_owned) && labels.iter().any(|(other, _)| *other == clean);
            altered |= is_owned || is_ours || value.is_empty();
            if !value.is_empty() && !is_ours && !taken {
                labels.push((clean, value));
            }
        }
        labels.sort_unstable();
        Self { labels, altered }
    }

    /// Whether another set of pushed labels may be written alike.
    pub(super) fn is_altered(&self) -> bool {
        self.altered
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// Appends `{name="value",…} `, each value as `value_of` has it and without those it has not.
    pub(super) fn write<'b>(
        &'b self,
        out: &mut Vec<u8>,
        value_of: impl Fn(&'b str, &'b str) -> Option<&'b str>,
    ) {
        let mut before = b'{';
        for (name, value) in &self.labels {
            let Some(value) = value_of(name, value) else { continue };
            out.push(before);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            push_escaped(out, value, true);
            out.push(b'"');
            before = b',';
        }
        out.extend_from_slice(b"} ");
    }
}

fn push_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(br"\n"),
            b'"' if !quotes => out.push(b'"'),
            special => out.extend_from_slice(&[b'\\', special]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends a help text, escaped.
pub(super) fn push_help(out: &mut Vec<u8>, help: &str, format: Format) {
    push_escaped(out, help, format == Format::OpenMetrics);
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

/// A bucket's bound or a quantile in the one form that OpenMetrics has for it, which is Go's
/// `%g` with `.0` behind a whole number: an exponent below 10⁻⁴ and from 10⁶ on.
pub(super) fn canonical_bound(bound: f64) -> String {
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        small @ ..-4 => format!("{digits}e-{:02}", -small),
        large @ 6.. => format!("{digits}e+{large:02}"),
        _ if bound.fract() == 0.0 => format!("{bound}.0"),
        _ => format!("{bound}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricType;
    use crate::model::series::{write_identity, write_metadata};

    #[test]
    fn names_are_sanitised() {
        let check = |name: &str, expected: &str| assert_eq!(metric_name(name), expected);
        check("noetl_cpu:rate", "noetl_cpu:rate");
        check("cpu.usage-percent %", "cpu_usage_percent__");
        check("9lives", "_9lives");
        check("größe", "gr__e");
    }

    #[test]
    fn labels_are_escaped_sorted_and_never_stand_twice() {
        let check = |labels: &[(&str, &str)], altered: bool, expected: &str| {
            let mut bytes = Vec::new();
            write_identity(&mut bytes, "m", labels);
            write_metadata(&mut bytes, MetricType::Gauge, "", "");
            let series = SeriesDefinition::parse(&bytes).unwrap();
            let labels = Labels::of(&series, "c\"1", "t");
            let mut written = Vec::new();
            labels.write(&mut written, |_, value| Some(value));
            assert_eq!(String::from_utf8(written).unwrap(), format!("{{{expected}}} "));
            assert_eq!(labels.is_altered(), altered, "{expected}");
        };
        let ours = r#"component="c\"1",component_type="t""#;
        check(&[], false, ours);
        check(&[("z", "x\\y\n\"z\"")], false, &format!("{ours},z=\"x\\\\y\\n\\\"z\\\"\""));
        check(&[("component", "another"), ("component_type", "u")], true, ours);
        check(&[("a-b", "1"), ("a.b", "2"), ("a_b", "3")], true, &format!("a_b=\"1\",{ours}"));
        check(&[("__name__", "evil")], true, &format!("_name__=\"evil\",{ours}"));
        check(&[("___", "1")], true, &format!("_=\"1\",{ours}"));
        check(&[("a:b", "1"), ("empty", "")], true, &format!("a_b=\"1\",{ours}"));
        let one = format!("a_b=\"2\",a_z=\"1\",{ours}");
        check(&[("a.z", "1"), ("a_b", "2")], true, &one);
        check(&[("a_b", "2"), ("a_z", "1")], false, &one);
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

    #[test]
    fn bounds_have_one_form() {
        let check = |bound: f64, expected: &str| assert_eq!(canonical_bound(bound), expected);
        check(1.0, "1.0");
        check(0.0, "0.0");
        check(-2.5, "-2.5");
        check(0.005, "0.005");
        check(100_000.0, "100000.0");
        check(1_000_000.0, "1e+06");
        check(1_234_567.0, "1.234567e+06");
        check(1e-4, "0.0001");
        check(1e-5, "1e-05");
        check(1e300, "1e+300");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn help_texts_escape_what_their_format_asks_for() {
        let check = |format: Format, expected: &str| {
            let mut out = Vec::new();
            push_help(&mut out, "a\\b\n\"c\"", format);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(Format::Text, r#"a\\b\n"c""#);
        check(Format::OpenMetrics, r#"a\\b\n\"c\""#);
    }
}
