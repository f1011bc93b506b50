//! Finds what changes in a document that the decoder has accepted: values and timestamps, and the
//! texts by which workers differ.
//!
//! It relies on that: the document is valid JSON, its fields stand once, and its metrics are all
//! good. What it cannot tell by looking at plain bytes has no outline.

use std::ops::Range;

use super::{number, plain_text};

/// A value, a timestamp or a text in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) bytes: Range<usize>,
    pub(super) kind: SpanKind,
    /// Whether it is the last one of its metric.
    pub(super) ends_metric: bool,
}

/// What stands in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    /// A number: the metric's value.
    Value,
    /// What is between the quotes of the metric's timestamp.
    TimestampText,
    /// The metric's timestamp, as an integer.
    TimestampInteger,
    /// What is between the quotes of a text of the report itself, such as the component's name, or
    /// of a label's value: what one worker has and another has not.
    Own,
}

/// How deep the fields of the report stand, those of its metrics, and the array between them.
const REPORT_DEPTH: usize = 1;
const METRICS_DEPTH: usize = 2;
const METRIC_DEPTH: usize = 3;

/// The values and timestamps of all metrics, and the texts, in their order; `None` when one cannot
/// be told.
pub(super) fn spans(document: &[u8]) -> Option<Vec<Span>> {
    let mut scan = Scan { document, at: 0, depth: 0, in_metrics: false, spans: Vec::new() };
    let mut has_value = false;
    while let Some(&byte) = document.get(scan.at) {
        match byte {
            b'{' | b'[' => scan.depth += 1,
            b'}' if scan.in_metrics && scan.depth == METRIC_DEPTH => {
                if !std::mem::take(&mut has_value) {
                    return None;
                }
                scan.spans.last_mut()?.ends_metric = true;
                scan.depth -= 1;
            }
            b'}' | b']' => {
                scan.in_metrics &= scan.depth != METRICS_DEPTH;
                scan.depth = scan.depth.checked_sub(1)?;
            }
            b'"' => {
                has_value |= scan.text()?;
                continue;
            }
            _ => {}
        }
        scan.at += 1;
    }
    Some(scan.spans)
}

struct Scan<'d> {
    document: &'d [u8],
    at: usize,
    depth: usize,
    in_metrics: bool,
    spans: Vec<Span>,
}

impl Scan<'_> {
    /// Passes a string, and what a known key announces; says whether that was a metric's value.
    fn text(&mut self) -> Option<bool> {
        let text = self.at + 1..string_end(self.document, self.at + 1)?;
        self.at = text.end + 1;
        let mut next = self.at;
        skip_space(self.document, &mut next);
        if self.document.get(next) != Some(&b':') {
            let of_labels = self.in_metrics && self.depth == METRIC_DEPTH + 1;
            if of_labels || self.depth == REPORT_DEPTH {
                self.spans.push(Span { bytes: text, kind: SpanKind::Own, ends_metric: false });
            }
            return Some(false);
        }
        self.at = next + 1;
        skip_space(self.document, &mut self.at);
        let in_metric = self.in_metrics && self.depth == METRIC_DEPTH;
        let key = &self.document[text];
        if (in_metric || self.depth == REPORT_DEPTH) && key.contains(&b'\\') {
            // It may spell a known key.
            return None;
        }
        match key {
            b"metrics" if self.depth == REPORT_DEPTH => {
                self.in_metrics = self.document.get(self.at) == Some(&b'[');
            }
            b"metric_value" if in_metric => {
                let (_, bytes) = number::float(&self.document[self.at..])?;
                self.span(bytes, SpanKind::Value);
                return Some(true);
            }
            b"timestamp" if in_metric => self.timestamp()?,
            _ => {}
        }
        Some(false)
    }

    /// A timestamp that is `null` is as good as none: it stays as it is.
    fn timestamp(&mut self) -> Option<()> {
        match self.document.get(self.at)? {
            b'"' => {
                self.at += 1;
                let bytes = plain_text(&self.document[self.at..])?.len();
                self.span(bytes, SpanKind::TimestampText);
                self.at += 1;
            }
            b'n' => {}
            _ => {
                let (_, bytes) = number::natural(&self.document[self.at..])?;
                self.span(bytes, SpanKind::TimestampInteger);
            }
        }
        Some(())
    }

    fn span(&mut self, bytes: usize, kind: SpanKind) {
        let bytes = self.at..self.at + bytes;
        self.at = bytes.end;
        self.spans.push(Span { bytes, kind, ends_metric: false });
    }
}

/// Where the string that begins at `at` ends: its closing quote.
fn string_end(document: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match document.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn skip_space(document: &[u8], at: &mut usize) {
    while matches!(document.get(*at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        *at += 1;
    }
}
