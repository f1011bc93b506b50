//! All values of one moment, written as the reports that carry them.
//!
//! Guarantees that no series stands in a snapshot twice, that there are no more than the bound, and
//! that no report is much longer than [`REPORT_BYTES_MAX`]. The same series in the same order make
//! the same bytes but for values and times, which a server reads without parsing.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use serde_json::ser::to_writer;

use crate::vocabulary::{
    HELP_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, MetricType, NAME_BYTES_MAX, UNIT_BYTES_MAX,
};

/// Bytes after which a report is closed and the next one begun.
pub const REPORT_BYTES_MAX: usize = 1 << 20;

/// One value.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// Its type.
    pub metric_type: MetricType,
    /// The value; NaN and the infinities are values.
    pub value: f64,
    /// What tells it from others of that name. These win over the reporter's own labels.
    pub labels: &'a [(&'a str, &'a str)],
    /// What it measures; may be empty.
    pub help: &'a str,
    /// In what; may be empty.
    pub unit: &'a str,
    /// When it was taken, in microseconds since the Unix epoch; `None` for the snapshot's time.
    pub timestamp_us: Option<i64>,
}

impl<'a> Sample<'a> {
    /// A value of that name and type, without labels, texts and a time of its own.
    pub fn new(name: &'a str, metric_type: MetricType, value: f64) -> Self {
        Self { name, metric_type, value, labels: &[], help: "", unit: "", timestamp_us: None }
    }
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct Reporting {
    /// The component's name.
    pub component_name: String,
    /// Its type; without one the server takes the component of that name, or an `external` one.
    pub component_type: Option<String>,
    /// Labels of every sample, unless the sample has one of that name.
    pub labels: Vec<(String, String)>,
}

/// The values of one moment, while they are gathered.
#[derive(Debug)]
pub struct Snapshot {
    head: Vec<u8>,
    labels: Vec<(String, String)>,
    taken_us: i64,
    series_max: usize,
    seen: HashSet<Box<[u8]>>,
    refused: u64,
    closed: Vec<Document>,
    open: Document,
}

/// The body of one report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// JSON.
    pub body: Vec<u8>,
    /// How many samples it has.
    pub samples: u32,
}

impl Snapshot {
    /// An empty snapshot of the moment `taken_us`, for at most `series_max` series.
    pub fn new(reporting: &Reporting, taken_us: i64, series_max: usize) -> Self {
        let mut head = b"{\"component_name\":".to_vec();
        json(&mut head, &reporting.component_name);
        if let Some(component_type) = &reporting.component_type {
            head.extend_from_slice(b",\"component_type\":");
            json(&mut head, component_type);
        }
        head.extend_from_slice(b",\"metrics\":[");
        Self {
            head,
            labels: reporting.labels.clone(),
            taken_us,
            series_max,
            seen: HashSet::new(),
            refused: 0,
            closed: Vec::new(),
            open: Document::default(),
        }
    }

    /// Adds a value, or refuses and counts it: the bound is reached, its series is there already,
    /// or a server would reject it for a name, a label or a unit.
    pub fn push(&mut self, sample: &Sample<'_>) {
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels: BTreeMap<&str, &str> = labels.chain(sample.labels.iter().copied()).collect();
        if self.seen.len() >= self.series_max || !is_sound(sample, &labels) {
            self.refused += 1;
            return;
        }
        let mut series = b"{\"metric_name\":".to_vec();
        json(&mut series, sample.name);
        for (n, (name, value)) in labels.iter().enumerate() {
            series.extend_from_slice(if n == 0 { b",\"labels\":{" } else { b"," });
            json(&mut series, name);
            series.push(b':');
            json(&mut series, value);
        }
        if !labels.is_empty() {
            series.push(b'}');
        }
        let new = self.seen.insert(series.clone().into_boxed_slice());
        if !new {
            self.refused += 1;
            return;
        }
        self.write(sample, &series);
    }

    fn write(&mut self, sample: &Sample<'_>, series: &[u8]) {
        let body = &mut self.open.body;
        if body.is_empty() {
            body.extend_from_slice(&self.head);
        } else {
            body.push(b',');
        }
        body.extend_from_slice(series);
        body.extend_from_slice(b",\"metric_type\":");
        json(body, sample.metric_type.as_str());
        for (key, text) in [("help_text", cut(sample.help)), ("unit", sample.unit)] {
            if !text.is_empty() {
                append(body, format_args!(",\"{key}\":"));
                json(body, text);
            }
        }
        let timestamp_us = sample.timestamp_us.unwrap_or(self.taken_us);
        append(body, format_args!(",\"timestamp\":{timestamp_us},\"metric_value\":"));
        match sample.value {
            value if value.is_nan() => body.extend_from_slice(b"\"NaN\""),
            f64::INFINITY => body.extend_from_slice(b"\"+Inf\""),
            f64::NEG_INFINITY => body.extend_from_slice(b"\"-Inf\""),
            // Whole numbers as such, so that a counter looks like one.
            value if value.fract() == 0.0 && value.abs() < 1e15 => {
                append(body, format_args!("{}", value as i64));
            }
            value => to_writer(body, &value).expect("a Vec takes everything"),
        }
        self.open.body.push(b'}');
        self.open.samples += 1;
        if self.open.body.len() >= REPORT_BYTES_MAX {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.open.samples > 0 {
            self.open.body.extend_from_slice(b"]}");
            self.closed.push(std::mem::take(&mut self.open));
        }
    }

    /// How many values were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The reports that carry the snapshot: none where it is empty, one unless it is large.
    pub fn finish(mut self) -> Vec<Document> {
        self.close();
        self.closed
    }
}

/// Whether a server with the default limits takes the sample.
fn is_sound(sample: &Sample<'_>, labels: &BTreeMap<&str, &str>) -> bool {
    let named = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0');
    let mut labels_sound = labels.iter().map(|(name, value)| {
        named(name) && value.len() <= LABEL_VALUE_BYTES_MAX && !value.contains('\0')
    });
    named(sample.name)
        && labels.len() <= LABELS_MAX
        && labels_sound.all(|sound| sound)
        && sample.unit.len() <= UNIT_BYTES_MAX
        && !sample.unit.contains('\0')
        && !sample.help.contains('\0')
}

/// As much of a help text as is kept.
fn cut(help: &str) -> &str {
    &help[..help.floor_char_boundary(HELP_BYTES_MAX)]
}

fn json(out: &mut Vec<u8>, text: &str) {
    to_writer(out, text).expect("a Vec takes everything");
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests;
