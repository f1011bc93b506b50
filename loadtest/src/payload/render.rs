//! The formats: writes a selection of metrics as one report, and remembers where it is patched.

use crate::args::Format;
use crate::payload::catalogue::{LabelValue, Metric};
use crate::payload::skeleton::{Skeleton, ValueForm};
use crate::payload::{NUMBER_WIDTH, WORKER_WIDTH};
use crate::plan::COMPONENT_NAME_WIDTH;
use crate::timestamp::{ISO_WIDTH, MILLIS_WIDTH, VARINT_WIDTH};

/// What a label's value is made of.
#[derive(Clone, Copy)]
enum Label<'a> {
    Component,
    ComponentType,
    Hostname,
    Own(&'a LabelValue, usize),
}

/// Metrics with their indices in the content.
pub(super) type Selected<'a> = [(usize, &'a Metric)];

impl Skeleton {
    /// One report in a format.
    pub(super) fn render(format: Format, metrics: &Selected<'_>) -> Self {
        let mut report = Self::default();
        match format {
            Format::Noetl => report.noetl(metrics),
            Format::Ndjson => {
                report.noetl(metrics);
                report.text("\n");
            }
            Format::VictoriaJson => report.victoria_json(metrics),
            Format::VictoriaText => report.victoria_text(metrics),
            Format::VictoriaInflux => report.victoria_influx(metrics),
            Format::RemoteWrite => report.remote_write(metrics),
        }
        report
    }

    /// Spaced as Python's `json.dumps` does it.
    fn noetl(&mut self, metrics: &Selected<'_>) {
        self.text(r#"{"component_name": ""#);
        self.name();
        self.text(r#"", "component_type": "worker_pool", "metrics": ["#);
        for (nth, (index, metric)) in metrics.iter().enumerate() {
            let Metric { name, kind, unit, help, value, .. } = metric;
            let comma = if nth == 0 { "" } else { ", " };
            self.text(&format!(
                r#"{comma}{{"metric_name": "{name}", "metric_type": "{kind}", "metric_value": "#
            ));
            self.value(*value);
            self.text(r#", "timestamp": ""#);
            let at = self.gap(ISO_WIDTH);
            self.gaps.iso_times.push(at);
            self.text(r#"", "labels": "#);
            let labels = labels(*index, metric).filter(|(name, _)| *name != "component_type");
            self.json_object(labels, ", ", ": ");
            self.text(&format!(r#", "help_text": "{help}", "unit": "{unit}"}}"#));
        }
        self.text("]}");
    }

    /// A line for each sample. The format has no place for help and unit, as the others below.
    fn victoria_json(&mut self, metrics: &Selected<'_>) {
        for (index, metric) in metrics {
            self.text(r#"{"metric":"#);
            let name = LabelValue::from(metric.name.to_owned());
            let named = std::iter::once(("__name__", Label::Own(&name, *index)));
            self.json_object(named.chain(labels(*index, metric)), ",", ":");
            self.text(r#","values":["#);
            self.value(metric.value);
            self.text(r#"],"timestamps":["#);
            self.millis();
            self.text("]}\n");
        }
    }

    /// A line for each sample, as a client's page has it, with its time.
    fn victoria_text(&mut self, metrics: &Selected<'_>) {
        for (index, metric) in metrics {
            self.text(metric.name);
            for (nth, (name, label)) in labels(*index, metric).enumerate() {
                self.text(&format!("{}{name}=\"", if nth == 0 { "{" } else { "," }));
                self.label(label);
                self.text("\"");
            }
            self.text("} ");
            self.value(metric.value);
            self.text(" ");
            self.millis();
            self.text("\n");
        }
    }

    /// A line for the neighbours that have the same labels; the measurement's name and the field's
    /// make the series' name of the other formats.
    fn victoria_influx(&mut self, metrics: &Selected<'_>) {
        for together in metrics.chunk_by(|(_, one), (_, next)| one.labels == next.labels) {
            self.text("noetl");
            let (first, metric) = together[0];
            for (name, label) in labels(first, metric) {
                self.text(&format!(",{name}="));
                self.label(label);
            }
            for (nth, (_, metric)) in together.iter().enumerate() {
                let field = metric.name.trim_start_matches("noetl_");
                self.text(&format!("{}{field}=", if nth == 0 { " " } else { "," }));
                self.value(metric.value);
            }
            self.text(" ");
            self.millis();
            self.text("000000\n");
        }
    }

    /// Prometheus' remote write 1.0: labels sorted by name, one sample a series.
    fn remote_write(&mut self, metrics: &Selected<'_>) {
        for (index, metric) in metrics {
            let name = LabelValue::from(metric.name.to_owned());
            let named = std::iter::once(("__name__", Label::Own(&name, *index)));
            let mut sorted: Vec<_> = named.chain(labels(*index, metric)).collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            let mut series = Self::default();
            for (name, label) in sorted {
                let (mut pair, mut value) = (Self::default(), Self::default());
                pair.field(1, Self { bytes: name.into(), ..Self::default() });
                value.label(label);
                pair.field(2, value);
                series.field(1, pair);
            }
            let mut sample = Self::default();
            // Field 1 of eight bytes, then field 2, a varint.
            sample.bytes.push(1 << 3 | 1);
            let at = sample.gap(8);
            sample.gaps.values.push((at, ValueForm::Double));
            sample.bytes.push(2 << 3);
            let at = sample.gap(VARINT_WIDTH);
            sample.gaps.varint_times.push(at);
            series.field(2, sample);
            self.field(1, series);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn gap(&mut self, width: usize) -> usize {
        let at = self.bytes.len();
        self.bytes.resize(at + width, b'0');
        at
    }

    fn name(&mut self) {
        let at = self.gap(COMPONENT_NAME_WIDTH);
        self.gaps.names.push(at);
    }

    fn millis(&mut self) {
        let at = self.gap(MILLIS_WIDTH);
        self.gaps.milli_times.push(at);
    }

    fn value(&mut self, kind: crate::payload::value::ValueKind) {
        let at = self.gap(kind.width());
        self.gaps.values.push((at, ValueForm::Text(kind)));
    }

    fn label(&mut self, label: Label<'_>) {
        match label {
            Label::Component => self.name(),
            Label::ComponentType => self.text("worker_pool"),
            Label::Hostname => {
                self.text("node-");
                let at = self.gap(WORKER_WIDTH);
                self.gaps.worker_numbers.push(at);
                self.text(".noetl.svc.cluster.local");
            }
            Label::Own(value, index) => {
                self.text(&value.text);
                if let Some(numbering) = value.number {
                    let at = self.gap(NUMBER_WIDTH);
                    self.gaps.numbers.push((at, numbering, index));
                }
            }
        }
    }

    fn json_object<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'static str, Label<'a>)>,
        comma: &str,
        colon: &str,
    ) {
        for (nth, (name, label)) in labels.enumerate() {
            self.text(&format!("{}\"{name}\"{colon}\"", if nth == 0 { "{" } else { comma }));
            self.label(label);
            self.text("\"");
        }
        self.text("}");
    }

    /// A field of Protocol Buffers that holds bytes.
    fn field(&mut self, number: u8, content: Self) {
        self.bytes.push(number << 3 | 2);
        let mut length = content.bytes.len();
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.gaps.append(content.gaps, self.bytes.len());
        self.bytes.extend(content.bytes);
    }
}

/// All labels of a series but its name.
fn labels<'a>(index: usize, metric: &'a Metric) -> impl Iterator<Item = (&'static str, Label<'a>)> {
    let own = metric.labels.iter().map(move |(name, value)| (*name, Label::Own(value, index)));
    [
        ("component", Label::Component),
        ("component_type", Label::ComponentType),
        ("hostname", Label::Hostname),
    ]
    .into_iter()
    .chain(own)
}
