//! The wall of cases: every sentence of the contract on reporting.

mod envelope;
mod metric;
mod outline;

use crate::model::{RejectKind, SeriesDefinition, Timestamp};

use super::*;

/// 2024-01-01T12:00:00Z.
const NOW: Timestamp = match Timestamp::from_micros(1_704_110_400_000_000) {
    Some(now) => now,
    None => Timestamp::MIN,
};

/// A decoded metric in a form that is easy to compare.
#[derive(Clone, Debug, PartialEq)]
struct Metric {
    name: String,
    labels: Vec<(String, String)>,
    metric_type: &'static str,
    help: Option<String>,
    unit: Option<String>,
    value: f64,
    micros: i64,
    index: u32,
}

/// What a report was decoded to.
#[derive(Debug, Default)]
struct Outcome {
    metrics: Vec<Metric>,
    rejects: Vec<Reject>,
}

impl Outcome {
    fn kinds(&self) -> Vec<(u32, RejectKind)> {
        self.rejects.iter().map(|reject| (reject.index, reject.kind)).collect()
    }
}

/// Checks that the arena holds the samples' series, one after the other, and nothing else.
fn read_batch(batch: &SampleBatch) -> Outcome {
    let mut end = 0;
    let mut metrics = Vec::new();
    for sample in &batch.samples {
        assert_eq!(sample.series.start, end, "no byte of a reject is left in the arena");
        end = sample.series.end;
        let series = SeriesDefinition::parse(batch.series_of(sample)).unwrap();
        assert_eq!(series.identity_bytes(), sample.identity_bytes as usize);
        metrics.push(Metric {
            name: series.name().to_owned(),
            labels: series.labels().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            metric_type: series.metric_type().as_str(),
            help: series.help().map(str::to_owned),
            unit: series.unit().map(str::to_owned),
            value: sample.value,
            micros: sample.timestamp.micros(),
            index: sample.index,
        });
    }
    assert_eq!(batch.arena.len(), end as usize, "no byte of a reject is left in the arena");
    Outcome { metrics, rejects: batch.rejects.clone() }
}

/// Decodes with the default settings at [`NOW`].
fn decode(body: impl AsRef<[u8]>) -> Result<Outcome, ReportError> {
    decode_with(&DecodeSettings::default(), body)
}

fn decode_with(settings: &DecodeSettings, body: impl AsRef<[u8]>) -> Result<Outcome, ReportError> {
    let mut decoder = ReportDecoder::default();
    let mut body = body.as_ref().to_vec();
    decoder.decode(&mut body, NOW, settings).map(|report| read_batch(report.batch))
}
