//! The decoder of reports against serde_json and a model of the contract.

pub mod json;
pub mod model;

use jiff::tz::TimeZone;
use noetl_metrics::model::{RejectKind, SampleBatch, SeriesDefinition, Timestamp};
use noetl_metrics::protocol::report::JSON_DEPTH_MAX;
use noetl_metrics::protocol::{DecodeSettings, ReportDecoder, ReportError};

use json::Json;
use model::Expected;

/// 2024-01-01T12:00:00Z.
pub const NOW_US: i64 = 1_704_110_400_000_000;

/// A decoded metric in a form that is easy to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its labels, sorted.
    pub labels: Vec<(String, String)>,
    /// Its type.
    pub metric_type: &'static str,
    /// Its help text, unless that is empty.
    pub help: Option<String>,
    /// Its unit, unless that is empty.
    pub unit: Option<String>,
    /// The bits of its value, by which NaN equals itself.
    pub value: u64,
    /// Its time.
    pub micros: i64,
    /// Its place in the report.
    pub index: u32,
}

/// What a report was decoded to.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The metrics taken.
    pub metrics: Vec<Metric>,
    /// The others, by their places.
    pub rejects: Vec<(u32, RejectKind)>,
}

/// Decodes with the default settings at [`NOW_US`].
///
/// # Errors
/// Those of the decoder.
pub fn decode(body: &[u8]) -> Result<Outcome, ReportError> {
    let now = Timestamp::from_micros(NOW_US).expect("within the range");
    let mut decoder = ReportDecoder::default();
    let mut body = body.to_vec();
    let report = decoder.decode(&mut body, now, &DecodeSettings::default())?;
    Ok(read(report.batch))
}

fn read(batch: &SampleBatch) -> Outcome {
    let mut end = 0;
    let mut outcome = Outcome::default();
    for sample in &batch.samples {
        assert_eq!(sample.series.start, end, "no byte of a reject is left in the arena");
        end = sample.series.end;
        let series = SeriesDefinition::parse(batch.series_of(sample)).expect("canonical bytes");
        assert_eq!(series.identity_bytes(), sample.identity_bytes as usize);
        outcome.metrics.push(Metric {
            name: series.name().to_owned(),
            labels: series.labels().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            metric_type: series.metric_type().as_str(),
            help: series.help().map(str::to_owned),
            unit: series.unit().map(str::to_owned),
            value: sample.value.to_bits(),
            micros: sample.timestamp.micros(),
            index: sample.index,
        });
    }
    assert_eq!(batch.arena.len(), end as usize, "no byte of a reject is left in the arena");
    for reject in &batch.rejects {
        assert!(!reject.reason.is_empty(), "a reject says why");
        outcome.rejects.push((reject.index, reject.kind));
    }
    outcome
}

/// The bytes as a report.
pub fn run(bytes: &[u8]) {
    let decoded = decode(bytes);
    let document: Result<Json, _> = serde_json::from_slice(&without_negative_zero(bytes));
    let not_json =
        |error: &ReportError| matches!(error, ReportError::NotJson { .. } | ReportError::TooDeep);
    let document = match document {
        Ok(document) if document.depth() <= JSON_DEPTH_MAX => document,
        // Which of its faults is told first is nobody's business.
        Ok(_) | Err(_) => {
            let error = decoded.expect_err("no JSON, or too deep, is decoded");
            assert!(not_json(&error), "{error}");
            return;
        }
    };
    match (decoded, model::read(&document, &TimeZone::UTC)) {
        (Ok(outcome), Expected::Report(expected)) => assert_eq!(outcome, expected),
        (Err(error), Expected::Refused) => assert!(!not_json(&error), "JSON refused: {error}"),
        (decoded, expected) => panic!("{decoded:?} where {expected:?} is right"),
    }
}

/// The one documented difference to serde_json: the integer `-0` is 0, which has no sign. Spaces out
/// its sign.
fn without_negative_zero(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let mut in_string = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            // What is escaped ends no string.
            b'\\' if in_string => at += 1,
            b'-' if !in_string && bytes.get(at + 1) == Some(&b'0') => {
                let begins = at == 0 || !matches!(bytes[at - 1], b'e' | b'E');
                let ends = !bytes
                    .get(at + 2)
                    .is_some_and(|next| matches!(next, b'.' | b'e' | b'E' | b'0'..=b'9'));
                if begins && ends {
                    changed[at] = b' ';
                }
            }
            _ => {}
        }
        at += 1;
    }
    changed
}

/// The bytes as they are, and in the places of a report where any JSON may stand.
pub fn run_embedded(bytes: &[u8]) {
    run(bytes);
    let embed =
        |before: &str, after: &str| run(&[before.as_bytes(), bytes, after.as_bytes()].concat());
    let metric = r#"{"component_name":"w","metrics":[{"metric_name":"m","metric_type":"gauge","#;
    embed(r#"{"component_name":"w","ignored":"#, r#","metrics":[1]}"#);
    embed(&format!("{metric}\"metric_value\":"), "}]}");
    embed(&format!("{metric}\"metric_value\":1,\"labels\":{{\"a\":"), "}}]}");
    embed(&format!("{metric}\"metric_value\":1,\"labels\":"), "}]}");
    embed(&format!("{metric}\"metric_value\":1,\"timestamp\":"), "}]}");
}
