//! The JSON of the answers to reports, written straight into bytes.
//!
//! Owns the shape of success, partial success and error. Guarantees valid JSON whatever the
//! texts contain, and lists of at most [`REJECT_TEXTS_MAX`] entries, with the whole count beside a
//! list that was cut. Refuses to know status codes and headers.

use super::report::REJECT_TEXTS_MAX;
use crate::model::{Reject, RuntimeId};

/// A report of which at least one sample was taken.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The component's id.
    pub runtime_id: RuntimeId,
    /// Samples taken, repeats included.
    pub metrics_inserted: usize,
    /// Whether they are synced.
    pub durable: bool,
    /// What was not taken.
    pub rejects: &'a [Reject],
}

/// An NDJSON body of which at least one sample was taken.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedLines<'a> {
    /// Lines that are not blank.
    pub lines: usize,
    /// Samples taken, repeats included.
    pub metrics_inserted: usize,
    /// Whether they are synced.
    pub durable: bool,
    /// The lines of which nothing was taken.
    pub lines_rejected: &'a [LineReject],
    /// What was not taken of other lines: the line's number and the reject.
    pub metrics_rejected: &'a [(u32, Reject)],
}

/// A line of which nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReject {
    /// The line's number, from 1.
    pub line: u32,
    /// One sentence that the sender can act on; may be empty beyond [`REJECT_TEXTS_MAX`].
    pub reason: String,
}

/// Appends the answer to a report that was taken.
pub fn write_accepted(out: &mut Vec<u8>, accepted: &Accepted<'_>) {
    out.extend_from_slice(b"{\"status\":\"ok\",\"runtime_id\":");
    write_integer(out, accepted.runtime_id.get());
    write_inserted(out, accepted.metrics_inserted, accepted.durable);
    write_rejects(out, accepted.rejects);
    out.push(b'}');
}

/// Appends the answer to an NDJSON body that was taken.
pub fn write_accepted_lines(out: &mut Vec<u8>, accepted: &AcceptedLines<'_>) {
    out.extend_from_slice(b"{\"status\":\"ok\",\"lines\":");
    write_integer(out, accepted.lines);
    write_inserted(out, accepted.metrics_inserted, accepted.durable);
    write_line_rejects(out, accepted.lines_rejected);
    write_list(out, "metrics_rejected", accepted.metrics_rejected, |out, (line, reject)| {
        out.extend_from_slice(b"{\"line\":");
        write_integer(out, *line);
        out.extend_from_slice(b",\"index\":");
        write_integer(out, reject.index);
        write_reason(out, &reject.reason);
    });
    out.push(b'}');
}

/// Appends the answer to a call that had the server report about itself.
pub fn write_self_reported(out: &mut Vec<u8>, name: &str, id: RuntimeId, metrics: usize) {
    out.extend_from_slice(b"{\"status\":\"ok\",\"component_name\":");
    write_string(out, name);
    out.extend_from_slice(b",\"runtime_id\":");
    write_integer(out, id.get());
    out.extend_from_slice(b",\"metrics_reported\":");
    write_integer(out, metrics);
    out.push(b'}');
}

/// How many samples an answer of [`write_accepted`] said were taken: 0 for other bytes.
pub fn read_inserted(answer: &[u8]) -> usize {
    let value: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    let inserted = value.and_then(|value| value.get("metrics_inserted")?.as_u64());
    inserted.and_then(|inserted| usize::try_from(inserted).ok()).unwrap_or(0)
}

/// Appends an error; `code` is stable, `detail` is one sentence a person can act on.
pub fn write_error(out: &mut Vec<u8>, code: &str, detail: &str) {
    write_error_open(out, code, detail);
    out.push(b'}');
}

/// Appends the error for a report of which nothing could be taken, with the reasons.
pub fn write_nothing_taken(out: &mut Vec<u8>, rejects: &[Reject]) {
    let detail = match rejects.first() {
        Some(first) => {
            format!("no metric could be taken; metric {}: {}", first.index, first.reason)
        }
        None => "no metric could be taken".to_owned(),
    };
    write_error_open(out, "no_valid_metrics", &detail);
    write_rejects(out, rejects);
    out.push(b'}');
}

/// Appends the error for an NDJSON body of which nothing could be taken, with the reasons.
pub fn write_no_lines_taken(out: &mut Vec<u8>, rejects: &[LineReject]) {
    let detail = match rejects.first() {
        Some(first) => format!("no line could be taken; line {}: {}", first.line, first.reason),
        None => "no line could be taken".to_owned(),
    };
    write_error_open(out, "no_valid_lines", &detail);
    write_line_rejects(out, rejects);
    out.push(b'}');
}

/// Appends `text` as a JSON string, quotation marks included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.extend_from_slice(&rest[..at]);
        write_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_line_rejects(out: &mut Vec<u8>, rejects: &[LineReject]) {
    write_list(out, "lines_rejected", rejects, |out, rejected| {
        out.extend_from_slice(b"{\"line\":");
        write_integer(out, rejected.line);
        write_reason(out, &rejected.reason);
    });
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0x0f)]]);
            return;
        }
    };
    out.extend([b'\\', short]);
}

fn write_error_open(out: &mut Vec<u8>, code: &str, detail: &str) {
    out.extend_from_slice(b"{\"status\":\"error\",\"error\":");
    write_string(out, code);
    out.extend_from_slice(b",\"detail\":");
    write_string(out, detail);
}

fn write_inserted(out: &mut Vec<u8>, metrics_inserted: usize, durable: bool) {
    out.extend_from_slice(b",\"metrics_inserted\":");
    write_integer(out, metrics_inserted);
    out.extend_from_slice(b",\"durable\":");
    out.extend_from_slice(if durable { b"true" } else { b"false" });
}

fn write_rejects(out: &mut Vec<u8>, rejects: &[Reject]) {
    write_list(out, "metrics_rejected", rejects, |out, reject| {
        out.extend_from_slice(b"{\"index\":");
        write_integer(out, reject.index);
        write_reason(out, &reject.reason);
    });
}

/// Appends the member `name` with the first entries of `list`, and `name_count` when it is cut;
/// nothing when it is empty.
fn write_list<T>(out: &mut Vec<u8>, name: &str, list: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if list.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    for (place, entry) in list.iter().take(REJECT_TEXTS_MAX).enumerate() {
        out.push(if place == 0 { b'[' } else { b',' });
        write(out, entry);
    }
    out.push(b']');
    if list.len() > REJECT_TEXTS_MAX {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"_count\":");
        write_integer(out, list.len());
    }
}

fn write_reason(out: &mut Vec<u8>, reason: &str) {
    out.extend_from_slice(b",\"reason\":");
    write_string(out, reason);
    out.push(b'}');
}

pub(super) fn write_integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::RejectKind;

    fn reject(index: u32, reason: &str) -> Reject {
        Reject { index, kind: RejectKind::Name, reason: reason.to_owned() }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice::<serde_json::Value>(&out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_answer_to_a_report() {
        let check = |rejects: &[Reject], expected: &str| {
            let runtime_id = RuntimeId::from_raw(123);
            let accepted = Accepted { runtime_id, metrics_inserted: 1, durable: true, rejects };
            assert_eq!(written(|out| write_accepted(out, &accepted)), expected);
        };
        check(&[], r#"{"status":"ok","runtime_id":123,"metrics_inserted":1,"durable":true}"#);
        check(
            &[reject(3, "metric_name is \"\""), reject(5, "b")],
            r#"{"status":"ok","runtime_id":123,"metrics_inserted":1,"durable":true,"metrics_rejected":[{"index":3,"reason":"metric_name is \"\""},{"index":5,"reason":"b"}]}"#,
        );
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let rejects: Vec<_> = (0..1_001).map(|index| reject(index, "r")).collect();
        for (rejects, count) in [(&rejects[..1_000], None), (&rejects[..], Some(1_001))] {
            let text = written(|out| write_nothing_taken(out, rejects));
            let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["metrics_rejected"].as_array().unwrap().len(), 1_000);
            assert_eq!(answer["metrics_rejected_count"].as_u64(), count);
            assert_eq!(answer["error"], "no_valid_metrics");
            assert_eq!(answer["detail"], "no metric could be taken; metric 0: r");
        }
    }

    #[test]
    fn the_answer_to_lines() {
        let accepted = AcceptedLines {
            lines: 3,
            metrics_inserted: 20,
            durable: true,
            lines_rejected: &[LineReject { line: 2, reason: "the body is not JSON".to_owned() }],
            metrics_rejected: &[(4, reject(0, "metric_name is empty"))],
        };
        assert_eq!(
            written(|out| write_accepted_lines(out, &accepted)),
            r#"{"status":"ok","lines":3,"metrics_inserted":20,"durable":true,"lines_rejected":[{"line":2,"reason":"the body is not JSON"}],"metrics_rejected":[{"line":4,"index":0,"reason":"metric_name is empty"}]}"#
        );
    }

    #[test]
    fn an_error_names_its_code_and_detail() {
        assert_eq!(
            written(|out| write_error(out, "not_found", "Component 'x' not found")),
            r#"{"status":"error","error":"not_found","detail":"Component 'x' not found"}"#
        );
    }

    proptest! {
        #[test]
        fn strings_are_escaped_as_serde_json_does(text in "[\\x00-\\x7f]{0,40}|.{0,40}|\\PC*") {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
