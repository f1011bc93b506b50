//! One HTTP request, rendered once and patched in place.

use crate::args::Format;
use crate::payload::catalogue::Metric;
use crate::payload::value::{Shape, report_eighths};
use crate::payload::{WORKER_WIDTH, catalogue};
use crate::plan::{COMPONENT_NAME_WIDTH, Plan};
use crate::timestamp::{ISO_WIDTH, MILLIS_WIDTH, write_digits, write_iso};
use crate::wire::Target;

/// Bytes of an idempotency key: the first worker's component, `-`, ten digits of the round.
const KEY_WIDTH: usize = COMPONENT_NAME_WIDTH + 11;

/// A request of a fixed number of reports, head and body in one buffer, so that it leaves in one
/// write. All reports are equally long and patched at the same offsets.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    key_at: Option<usize>,
    body_at: usize,
    report_len: usize,
    metrics: Vec<Metric>,
    patches: Patches,
}

/// Offsets within a report.
#[derive(Debug, Default)]
struct Patches {
    names: Vec<usize>,
    worker_numbers: Vec<usize>,
    iso_times: Vec<usize>,
    milli_times: Vec<usize>,
    values: Vec<(usize, Shape)>,
}

impl Template {
    /// Renders a request of `reports` reports to `target`, as yet of nobody.
    pub(crate) fn new(plan: &Plan, target: &Target, reports: u32) -> Self {
        let metrics = catalogue(plan.request.metrics);
        let mut renderer = Renderer::default();
        let (path, content_type) = match plan.request.format {
            Format::Noetl => {
                renderer.noetl(&metrics);
                ("/api/metrics/report", "application/json")
            }
            Format::Ndjson => {
                renderer.noetl(&metrics);
                renderer.text("\n");
                ("/api/metrics/report", "application/x-ndjson")
            }
            Format::VictoriaJson => {
                renderer.victoria(&metrics);
                ("/api/v1/import", "application/x-ndjson")
            }
        };
        let Renderer { bytes: report, patches } = renderer;
        let head = format!(
            "POST {}{path} HTTP/1.1\r\nhost: {}\r\nuser-agent: noetl-loadtest\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n",
            target.base_path(),
            target.authority(),
            report.len() * reports as usize,
        );
        let mut bytes = head.into_bytes();
        let key_at = plan.request.keys.then(|| {
            bytes.extend_from_slice(b"idempotency-key: ");
            let at = bytes.len();
            bytes.resize(at + KEY_WIDTH, b'-');
            bytes.extend_from_slice(b"\r\n");
            at
        });
        bytes.extend_from_slice(b"\r\n");
        let body_at = bytes.len();
        bytes.extend(report.repeat(reports as usize));
        Self { bytes, key_at, body_at, report_len: report.len(), metrics, patches }
    }

    /// The request as it is to be sent.
    pub(crate) fn request(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the request that of workers `first_worker…`, each with its report number `round`.
    pub(crate) fn patch(&mut self, plan: &Plan, first_worker: u32, round: u64) {
        let unix_ms = plan.timestamp_ms(round);
        let mut iso = [0; ISO_WIDTH];
        write_iso(&mut iso, unix_ms);
        let mut millis = [0; MILLIS_WIDTH];
        write_digits(&mut millis, unix_ms);
        if let Some(at) = self.key_at {
            let key = &mut self.bytes[at..at + KEY_WIDTH];
            key[..COMPONENT_NAME_WIDTH].copy_from_slice(&plan.component_name(first_worker));
            write_digits(&mut key[COMPONENT_NAME_WIDTH + 1..], round);
        }
        let reports = self.bytes[self.body_at..].chunks_exact_mut(self.report_len);
        for (worker, report) in (first_worker..).zip(reports) {
            let name = plan.component_name(worker);
            let mut number = [0; WORKER_WIDTH];
            number.copy_from_slice(&name[COMPONENT_NAME_WIDTH - WORKER_WIDTH..]);
            overwrite(report, &self.patches.names, &name);
            overwrite(report, &self.patches.worker_numbers, &number);
            overwrite(report, &self.patches.iso_times, &iso);
            overwrite(report, &self.patches.milli_times, &millis);
            let values = report_eighths(&self.metrics, plan.request.seed, worker, round);
            for ((at, shape), eighths) in self.patches.values.iter().zip(values) {
                shape.write(&mut report[*at..*at + shape.width()], eighths);
            }
        }
    }
}

/// The width is a constant, so that each copy is a few moves and not a call.
fn overwrite<const WIDTH: usize>(report: &mut [u8], offsets: &[usize], bytes: &[u8; WIDTH]) {
    for at in offsets {
        report[*at..*at + WIDTH].copy_from_slice(bytes);
    }
}

/// Writes a report and remembers where it is to be patched.
#[derive(Debug, Default)]
struct Renderer {
    bytes: Vec<u8>,
    patches: Patches,
}

impl Renderer {
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
        self.patches.names.push(at);
    }

    fn hostname(&mut self) {
        self.text("node-");
        let at = self.gap(WORKER_WIDTH);
        self.patches.worker_numbers.push(at);
        self.text(".noetl.svc.cluster.local");
    }

    fn value(&mut self, shape: Shape) {
        let at = self.gap(shape.width());
        self.patches.values.push((at, shape));
    }

    fn own_labels(&mut self, metric: &Metric, separator: &str) {
        for (name, value) in &metric.labels {
            self.text(&format!(r#",{separator}"{name}":{separator}"{value}""#));
        }
    }

    /// One report, spaced as Python's `json.dumps` does it.
    fn noetl(&mut self, metrics: &[Metric]) {
        self.text(r#"{"component_name": ""#);
        self.name();
        self.text(r#"", "component_type": "worker_pool", "metrics": ["#);
        for (index, metric) in metrics.iter().enumerate() {
            let Metric { name, kind, unit, help, shape, .. } = metric;
            let comma = if index == 0 { "" } else { ", " };
            self.text(&format!(
                r#"{comma}{{"metric_name": "{name}", "metric_type": "{kind}", "metric_value": "#
            ));
            self.value(*shape);
            self.text(r#", "timestamp": ""#);
            let at = self.gap(ISO_WIDTH);
            self.patches.iso_times.push(at);
            self.text(r#"", "labels": {"component": ""#);
            self.name();
            self.text(r#"", "hostname": ""#);
            self.hostname();
            self.text("\"");
            self.own_labels(metric, " ");
            self.text(&format!(r#"}}, "help_text": "{help}", "unit": "{unit}"}}"#));
        }
        self.text("]}");
    }

    /// The same samples, each as a line. The format has no place for help and unit.
    fn victoria(&mut self, metrics: &[Metric]) {
        for metric in metrics {
            self.text(&format!(r#"{{"metric":{{"__name__":"{}","component":""#, metric.name));
            self.name();
            self.text(r#"","component_type":"worker_pool","hostname":""#);
            self.hostname();
            self.text("\"");
            self.own_labels(metric, "");
            self.text(r#"},"values":["#);
            self.value(metric.shape);
            self.text(r#"],"timestamps":["#);
            let at = self.gap(MILLIS_WIDTH);
            self.patches.milli_times.push(at);
            self.text("]}\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::value::EIGHTHS_PER_UNIT;
    use crate::plan::{Amount, PlanRequest};
    use serde_json::Value;

    fn plan(format: Format) -> Plan {
        Plan::new(PlanRequest {
            format,
            workers: 100,
            metrics: 17,
            connections: 2,
            seed: 7,
            amount: Amount::Samples(100_000),
            reports_per_request: 1,
            rate: None,
            keys: true,
        })
        .unwrap()
    }

    fn body(request: &[u8]) -> &str {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        body
    }

    fn expected(plan: &Plan, worker: u32, round: u64) -> Vec<f64> {
        report_eighths(&catalogue(17), plan.request.seed, worker, round)
            .map(|eighths| eighths as f64 / EIGHTHS_PER_UNIT as f64)
            .collect()
    }

    #[test]
    fn reports_hold_the_planned_identity_values_and_time() {
        let plan = plan(Format::Ndjson);
        let mut template = Template::new(&plan, &Target::parse("http://h:1").unwrap(), 3);
        for round in [0, 41, 58] {
            template.patch(&plan, 40, round);
            let reports: Vec<Value> = body(template.request())
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(reports.len(), 3);
            for (worker, report) in (40..).zip(&reports) {
                let name = plan.component_name(worker);
                assert_eq!(report["component_name"].as_str().unwrap().as_bytes(), name);
                let metrics = report["metrics"].as_array().unwrap();
                let values: Vec<f64> =
                    metrics.iter().map(|m| m["metric_value"].as_f64().unwrap()).collect();
                assert_eq!(values, expected(&plan, worker, round));
                let mut iso = [0; ISO_WIDTH];
                write_iso(&mut iso, plan.timestamp_ms(round));
                for metric in metrics {
                    assert_eq!(metric["timestamp"].as_str().unwrap().as_bytes(), iso);
                    assert_eq!(metric["labels"]["component"], report["component_name"]);
                }
                assert_eq!(metrics[16]["labels"]["queue"], "playbook-001");
            }
        }
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let plan = plan(Format::Noetl);
        let mut template = Template::new(&plan, &Target::parse("http://h:1").unwrap(), 1);
        let mut key_of = |worker, round| {
            template.patch(&plan, worker, round);
            let (head, _) =
                std::str::from_utf8(template.request()).unwrap().split_once("\r\n\r\n")?;
            let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "))?;
            Some(key.to_owned())
        };
        let first = key_of(40, 3).unwrap();
        assert!(first.ends_with("-000040-0000000003"), "{first}");
        assert_ne!(key_of(40, 4).unwrap(), first);
        assert_ne!(key_of(41, 3).unwrap(), first);
        assert_eq!(key_of(40, 3).unwrap(), first);
    }

    #[test]
    fn a_victoria_line_holds_the_same_sample() {
        let plan = plan(Format::VictoriaJson);
        let mut template = Template::new(&plan, &Target::parse("http://h:1").unwrap(), 1);
        template.patch(&plan, 99, 12);
        let lines: Vec<Value> = body(template.request())
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let values: Vec<f64> = lines.iter().map(|l| l["values"][0].as_f64().unwrap()).collect();
        assert_eq!(values, expected(&plan, 99, 12));
        for line in &lines {
            assert_eq!(line["timestamps"][0].as_u64(), Some(plan.timestamp_ms(12)));
            assert_eq!(line["metric"]["hostname"], "node-000099.noetl.svc.cluster.local");
        }
    }

    #[test]
    fn a_metric_weighs_about_300_bytes() {
        let plan = plan(Format::Noetl);
        let template = Template::new(&plan, &Target::parse("http://h:1").unwrap(), 1);
        let per_metric = body(template.request()).len() / 17;
        assert!((250..350).contains(&per_metric), "{per_metric} bytes per metric");
    }
}
