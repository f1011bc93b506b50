//! One HTTP request, head and body in one buffer, so that it leaves in one write. It is built from
//! the skeletons once and then patched in place for as long as its reports are of the same kind.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use snap::raw::{Encoder, max_compress_len};

use crate::args::Format;
use crate::payload::content::Content;
use crate::payload::skeleton::{Skeleton, Times};
use crate::plan::{COMPONENT_NAME_WIDTH, Plan};
use crate::timestamp::write_digits;
use crate::wire::Target;

/// Bytes of an idempotency key: the first worker's component, `-`, ten digits of the round.
const KEY_WIDTH: usize = COMPONENT_NAME_WIDTH + 11;

/// What all requests of a run are made from.
#[derive(Debug)]
pub(crate) struct Outline {
    content: Content,
    format: Format,
    /// Of each selection of metrics.
    skeletons: Vec<Skeleton>,
    /// The head up to the value of `content-length`.
    head: Vec<u8>,
    key_at: Option<usize>,
}

/// A request of one connection.
#[derive(Debug)]
pub(crate) struct Request {
    outline: Arc<Outline>,
    /// The selection in each of its reports.
    selections: Vec<u32>,
    /// Head and body, or the body alone where it is compressed.
    plain: Vec<u8>,
    body_at: usize,
    /// Head and compressed body.
    packed: Vec<u8>,
    /// Where a body is compressed.
    body: Vec<u8>,
    encoder: Encoder,
}

impl Outline {
    /// Renders what does not change in requests to `target`.
    pub(crate) fn new(plan: &Plan, target: &Target) -> Self {
        let format = plan.request.format;
        let content = Content::new(&plan.request);
        let skeletons = (0..content.selections())
            .map(|selection| {
                let selected: Vec<_> = content
                    .selected(selection)
                    .map(|index| (index, &content.metrics()[index]))
                    .collect();
                Skeleton::render(format, &selected)
            })
            .collect();
        let mut head = format!(
            "POST {}{} HTTP/1.1\r\nhost: {}\r\nuser-agent: noetl-loadtest\r\n{}",
            target.base_path(),
            format.path(),
            target.authority(),
            format.headers(),
        )
        .into_bytes();
        let key_at = plan.request.keys.then(|| {
            head.extend_from_slice(b"idempotency-key: ");
            let at = head.len();
            head.resize(at + KEY_WIDTH, b'-');
            head.extend_from_slice(b"\r\n");
            at
        });
        head.extend_from_slice(b"content-length: ");
        Self { content, format, skeletons, head, key_at }
    }

    /// The head of a request whose body has `length` bytes.
    fn write_head(&self, out: &mut Vec<u8>, length: usize) {
        out.clear();
        out.extend_from_slice(&self.head);
        out.extend_from_slice(format!("{length}\r\n\r\n").as_bytes());
    }
}

impl Request {
    /// Of nobody as yet.
    pub(crate) fn new(outline: &Arc<Outline>) -> Self {
        Self {
            outline: Arc::clone(outline),
            selections: Vec::new(),
            plain: Vec::new(),
            body_at: 0,
            packed: Vec::new(),
            body: Vec::new(),
            encoder: Encoder::new(),
        }
    }

    /// The request as it is to be sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.outline.format.is_compressed() { &self.packed } else { &self.plain }
    }

    /// Makes it that of `workers`, each with its report number `round`.
    pub(crate) fn fill(&mut self, plan: &Plan, workers: Range<u32>, round: u64) -> Result<()> {
        let outline = Arc::clone(&self.outline);
        let content = &outline.content;
        let wanted = || workers.clone().map(|worker| content.selection(worker, round));
        if !wanted().eq(self.selections.iter().copied()) {
            self.selections.clear();
            self.selections.extend(wanted());
            self.rebuild();
        }
        let times = Times::new(plan.timestamp_ms(round));
        let mut rest = &mut self.plain[self.body_at..];
        for (worker, selection) in workers.clone().zip(&self.selections) {
            let skeleton = &outline.skeletons[*selection as usize];
            let (report, others) = rest.split_at_mut(skeleton.bytes.len());
            skeleton.gaps.fill(report, plan, content, &times, (worker, round));
            rest = others;
        }
        if outline.format.is_compressed() {
            self.compress()?;
        }
        if let Some(at) = outline.key_at {
            let buffer =
                if outline.format.is_compressed() { &mut self.packed } else { &mut self.plain };
            let key = &mut buffer[at..at + KEY_WIDTH];
            key[..COMPONENT_NAME_WIDTH].copy_from_slice(&plan.component_name(workers.start));
            write_digits(&mut key[COMPONENT_NAME_WIDTH + 1..], round);
        }
        Ok(())
    }

    fn rebuild(&mut self) {
        let reports = self.selections.iter().map(|s| &self.outline.skeletons[*s as usize].bytes);
        self.plain.clear();
        if !self.outline.format.is_compressed() {
            self.outline.write_head(&mut self.plain, reports.clone().map(Vec::len).sum());
        }
        self.body_at = self.plain.len();
        reports.for_each(|report| self.plain.extend_from_slice(report));
    }

    fn compress(&mut self) -> Result<()> {
        let room = max_compress_len(self.plain.len());
        self.body.resize(room.max(self.body.len()), 0);
        let length = self.encoder.compress(&self.plain, &mut self.body);
        let length = length.context("compress a request")?;
        self.outline.write_head(&mut self.packed, length);
        self.packed.extend_from_slice(&self.body[..length]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::value::EIGHTHS_PER_UNIT;
    use crate::plan::{Amount, PlanRequest, Shape};
    use crate::timestamp::{ISO_WIDTH, write_iso};
    use serde_json::Value;

    fn plan(format: Format, shape: Shape) -> Plan {
        Plan::new(PlanRequest {
            format,
            metrics: 17,
            seed: 7,
            keys: true,
            shape,
            ..PlanRequest::closed(100, Amount::Samples(100_000))
        })
        .unwrap()
    }

    fn request(plan: &Plan) -> Request {
        let target = Target::parse("http://h:1").unwrap();
        Request::new(&Arc::new(Outline::new(plan, &target)))
    }

    fn parts(request: &Request) -> (&str, &[u8]) {
        let at = request.bytes().windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&request.bytes()[..at]).unwrap();
        let body = &request.bytes()[at + 4..];
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        (head, body)
    }

    fn body(request: &Request) -> &str {
        std::str::from_utf8(parts(request).1).unwrap()
    }

    fn expected(plan: &Plan, worker: u32, round: u64) -> Vec<f64> {
        Content::new(&plan.request)
            .samples(worker, round)
            .map(|(_, eighths)| eighths as f64 / EIGHTHS_PER_UNIT as f64)
            .collect()
    }

    fn check_reports(shape: Shape) {
        let plan = plan(Format::Ndjson, shape);
        let mut request = request(&plan);
        for (round, workers) in [(0, 40..43), (41, 40..43), (58, 41..43)] {
            request.fill(&plan, workers.clone(), round).unwrap();
            let reports: Vec<Value> =
                body(&request).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(reports.len(), workers.len());
            for (worker, report) in workers.zip(&reports) {
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
            }
        }
    }

    #[test]
    fn reports_of_all_shapes_hold_the_planned_identity_values_and_time() {
        check_reports(Shape::Noetl);
        check_reports(Shape::Sparse);
        check_reports(Shape::Churn { percent: 10, every: 3 });
        check_reports(Shape::Cardinality);
    }

    #[test]
    fn numbers_in_labels_are_those_of_the_content() {
        let labels = |shape, worker: u32, round| -> Value {
            let plan = plan(Format::Noetl, shape);
            let mut request = request(&plan);
            request.fill(&plan, worker..worker + 1, round).unwrap();
            let report: Value = serde_json::from_str(body(&request)).unwrap();
            report["metrics"][3]["labels"].clone()
        };
        let churn = Shape::Churn { percent: 100, every: 3 };
        assert_eq!(labels(churn, 5, 2)["execution"], "00000000");
        assert_eq!(labels(churn, 5, 7)["execution"], "00000002");
        assert_eq!(labels(Shape::Cardinality, 5, 7)["task"], "task-00000088");
        assert_eq!(labels(Shape::Noetl, 5, 7).as_object().unwrap().len(), 2);
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let plan = plan(Format::Noetl, Shape::Noetl);
        let mut request = request(&plan);
        let mut key_of = |worker: u32, round| {
            request.fill(&plan, worker..worker + 1, round).unwrap();
            let head = parts(&request).0;
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
        let plan = plan(Format::VictoriaJson, Shape::Noetl);
        let mut request = request(&plan);
        request.fill(&plan, 99..100, 12).unwrap();
        let lines: Vec<Value> =
            body(&request).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let values: Vec<f64> = lines.iter().map(|l| l["values"][0].as_f64().unwrap()).collect();
        assert_eq!(values, expected(&plan, 99, 12));
        for line in &lines {
            assert_eq!(line["timestamps"][0].as_u64(), Some(plan.timestamp_ms(12)));
            assert_eq!(line["metric"]["hostname"], "node-000099.noetl.svc.cluster.local");
        }
    }

    #[test]
    fn text_and_influx_lines_hold_the_same_samples() {
        let plan_of = |format| plan(format, Shape::Noetl);
        let text_plan = plan_of(Format::VictoriaText);
        let mut text = request(&text_plan);
        text.fill(&text_plan, 3..4, 2).unwrap();
        let values: Vec<f64> = body(&text)
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.rsplitn(3, ' ').collect();
                assert_eq!(fields[0], text_plan.timestamp_ms(2).to_string());
                assert!(fields[2].starts_with("noetl_") && fields[2].ends_with('}'), "{line}");
                fields[1].parse().unwrap()
            })
            .collect();
        assert_eq!(values, expected(&text_plan, 3, 2));

        let influx_plan = plan_of(Format::VictoriaInflux);
        let mut influx = request(&influx_plan);
        influx.fill(&influx_plan, 3..4, 2).unwrap();
        let lines: Vec<&str> = body(&influx).lines().collect();
        // The ten without labels of their own stand together.
        assert_eq!(lines.len(), 8);
        let values: Vec<f64> = lines
            .iter()
            .flat_map(|line| line.split(' ').nth(1).unwrap().split(','))
            .map(|field| field.split_once('=').unwrap().1.parse().unwrap())
            .collect();
        assert_eq!(values, expected(&influx_plan, 3, 2));
        let name = "noetl,component=load-";
        assert!(lines[0].starts_with(name) && lines[0].contains(" system_cpu_usage_percent="));
        assert!(lines[0].ends_with(&format!(" {}000000", influx_plan.timestamp_ms(2))));
    }

    #[test]
    fn remote_write_holds_the_same_samples_with_sorted_labels() {
        let plan = plan(Format::RemoteWrite, Shape::Sparse);
        let mut request = request(&plan);
        for round in [4, 5] {
            request.fill(&plan, 8..10, round).unwrap();
            let message = snap::raw::Decoder::new().decompress_vec(parts(&request).1).unwrap();
            let mut values = Vec::new();
            for (number, series) in fields(&message) {
                assert_eq!(number, 1);
                let (labels, sample): (Vec<_>, Vec<_>) =
                    fields(series).into_iter().partition(|(number, _)| *number == 1);
                let names: Vec<&[u8]> = labels.iter().map(|(_, pair)| fields(pair)[0].1).collect();
                assert!(names.is_sorted() && names[0] == b"__name__");
                let sample = sample[0].1;
                values.push(f64::from_le_bytes(sample[1..9].try_into().unwrap()));
                let mut varint = [0; 6];
                crate::timestamp::write_varint(&mut varint, plan.timestamp_ms(round));
                assert_eq!((sample[0], sample[9], &sample[10..]), (9, 16, &varint[..]));
            }
            assert_eq!(values, [expected(&plan, 8, round), expected(&plan, 9, round)].concat());
        }
    }

    /// The fields of a message that has nothing but bytes, shorter than 16 KiB.
    fn fields(mut message: &[u8]) -> Vec<(u8, &[u8])> {
        let mut found = Vec::new();
        while let [tag, low, rest @ ..] = message {
            assert_eq!(tag & 7, 2);
            let (length, rest) = match rest {
                [high, rest @ ..] if low & 0x80 != 0 => {
                    (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
                }
                _ => (usize::from(*low), rest),
            };
            found.push((tag >> 3, &rest[..length]));
            message = &rest[length..];
        }
        found
    }

    #[test]
    fn a_metric_weighs_about_300_bytes() {
        let plan = plan(Format::Noetl, Shape::Noetl);
        let mut request = request(&plan);
        request.fill(&plan, 0..1, 0).unwrap();
        let per_metric = body(&request).len() / 17;
        assert!((250..350).contains(&per_metric), "{per_metric} bytes per metric");
    }
}
