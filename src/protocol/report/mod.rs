//! The decoder of `POST /api/metrics/report`.
//!
//! Owns the way from the bytes of one report to a [`SampleBatch`]: simd-json writes a tape, the
//! tape is walked once, each metric is checked whole and then written in canonical form.
//! Guarantees that a bad metric leaves nothing behind but its reject, that decoding a good one
//! allocates nothing once the decoder is warm, and that no input panics. Refuses to know which
//! components exist.
//!
//! Where the contract leaves a choice: `null` is the same as a missing field (but a
//! `metric_value` of `null` is NaN); unknown fields are ignored; a known field that stands twice
//! is an error, because taking either would be a guess. `component_name` wins over a
//! `runtime_id` beside it, for a name can be registered and a number cannot. A `runtime_id` may
//! be a string of digits, as JavaScript must send large integers.

mod envelope;
mod error;
mod fault;
mod labels;
mod metric;
mod moment;
mod outline;
mod tape;

use std::fmt;
use std::mem;

use jiff::tz::TimeZone;
use simd_json::{Buffers, INPUT_PADDING, Tape};

use crate::model::{Limits, Reject, RuntimeId, SampleBatch, Timestamp};
use envelope::Envelope;
pub use error::ReportError;
use labels::LabelRoom;
use metric::{Bounds, MetricReader};
use moment::MomentReader;
pub use outline::{Form, OUTLINE_DOCUMENT_BYTES_MAX, Outline, Reading};
use tape::{Json, Values};

/// How deep a document may be nested. A report needs four levels; the rest is for fields that
/// are ignored.
pub const JSON_DEPTH_MAX: usize = 16;
/// The longest document, in bytes. The body's own limit is lower by far; this one keeps every
/// offset within 32 bits.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 30;
/// The most metrics of one report.
pub const METRICS_MAX: usize = 1_000_000;
/// The most rejects of one report that have a text; those after them have an empty reason.
pub const REJECT_TEXTS_MAX: usize = 1_000;

/// Bytes that must follow a document given to [`ReportDecoder::decode_padded`].
pub const PADDING_BYTES: usize = INPUT_PADDING;

/// The longest document whose buffers [`ReportDecoder::trim`] keeps, in bytes.
const TRIMMED_DOCUMENT_BYTES: usize = 1 << 20;

/// What a decoder must be told.
#[derive(Clone, Debug)]
pub struct DecodeSettings {
    /// The bounds on a report.
    pub limits: Limits,
    /// The zone of timestamps that name none.
    pub time_zone: TimeZone,
}

impl Default for DecodeSettings {
    /// The default limits, and UTC.
    fn default() -> Self {
        Self { limits: Limits::default(), time_zone: TimeZone::UTC }
    }
}

/// The component of a report, as the report names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentRef<'a> {
    /// By its name; both parts are valid for a [`ComponentKey`](crate::model::ComponentKey).
    Named {
        /// The type, if the report has one.
        component_type: Option<&'a str>,
        /// The name.
        name: &'a str,
    },
    /// By its id.
    RuntimeId(RuntimeId),
}

/// A report whose metrics were each taken or rejected.
#[derive(Debug)]
pub struct DecodedReport<'a> {
    /// Who reports.
    pub component: ComponentRef<'a>,
    /// The samples and the rejects, together at least one.
    pub batch: &'a mut SampleBatch,
}

/// The pooled scratch of one decoding: buffers, tape, labels and batch, reused from report to
/// report so that a warm decoder allocates for nothing but the texts of rejects.
#[derive(Default)]
pub struct ReportDecoder {
    parser: Parser,
    label_room: LabelRoom,
    batch: SampleBatch,
    document_bytes_max: usize,
}

impl ReportDecoder {
    /// Decodes a body that is one report. The body is consumed: it is overwritten and padded.
    ///
    /// `now` stands in for a missing timestamp and is what the future is measured from.
    ///
    /// # Errors
    /// [`ReportError`] when the body is no report. A bad metric is no error: it is in
    /// [`SampleBatch::rejects`], and whether anything good is left is the caller's to see.
    pub fn decode<'a>(
        &'a mut self,
        body: &'a mut Vec<u8>,
        now: Timestamp,
        settings: &DecodeSettings,
    ) -> Result<DecodedReport<'a>, ReportError> {
        let document_bytes = body.len();
        if document_bytes > DOCUMENT_BYTES_MAX {
            return Err(ReportError::TooLong(document_bytes));
        }
        body.resize(document_bytes + PADDING_BYTES, 0);
        self.decode_padded(body, document_bytes, now, settings)
    }

    /// Decodes the report in the first `document_bytes` of `text`; at least [`PADDING_BYTES`]
    /// must follow them. What follows is as it was afterwards, so a body of several documents
    /// is decoded in place, one after the other.
    ///
    /// # Errors
    /// As [`ReportDecoder::decode`].
    ///
    /// # Panics
    /// When less than the padding follows the document.
    pub fn decode_padded<'a>(
        &'a mut self,
        text: &'a mut [u8],
        document_bytes: usize,
        now: Timestamp,
        settings: &DecodeSettings,
    ) -> Result<DecodedReport<'a>, ReportError> {
        assert!(text.len() >= document_bytes + PADDING_BYTES, "the document is padded");
        if document_bytes > DOCUMENT_BYTES_MAX {
            return Err(ReportError::TooLong(document_bytes));
        }
        self.document_bytes_max = self.document_bytes_max.max(document_bytes);
        self.batch.clear();
        // Raw control characters are no JSON, so U+0000 can only come from an escape.
        let nul_possible = text[..document_bytes].contains(&b'\\');
        let Self { parser, label_room, batch, .. } = self;
        let component = parser.parse(text, document_bytes, |document| {
            let envelope = Envelope::read(document)?;
            let component = envelope.component()?;
            let metrics = envelope.metrics()?;
            let moments =
                MomentReader::new(&settings.time_zone, now, settings.limits.future_us_max);
            let bounds = Bounds::new(&settings.limits, nul_possible);
            let reader = MetricReader { bounds, moments, label_room, batch: &mut *batch };
            read_metrics(metrics, reader);
            Ok(component)
        })?;
        Ok(DecodedReport { component, batch })
    }

    /// Gives back the memory that an unusually long report took; a pool calls this when a
    /// decoder returns to it.
    pub fn trim(&mut self) {
        if self.document_bytes_max > TRIMMED_DOCUMENT_BYTES {
            *self = Self::default();
        }
    }
}

impl fmt::Debug for ReportDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportDecoder")
            .field("document_bytes_max", &self.document_bytes_max)
            .finish_non_exhaustive()
    }
}

/// simd-json's buffers and the tape's memory.
struct Parser {
    buffers: Buffers,
    /// Empty between two documents.
    tape: Tape<'static>,
}

impl Default for Parser {
    fn default() -> Self {
        Self { buffers: Buffers::with_max_depth(0, JSON_DEPTH_MAX), tape: Tape(Vec::new()) }
    }
}

impl Parser {
    /// Parses a document, hands it to `read` and takes the tape's memory back.
    fn parse<'a, T>(
        &mut self,
        text: &'a mut [u8],
        document_bytes: usize,
        read: impl FnOnce(Json<'_, 'a>) -> Result<T, ReportError>,
    ) -> Result<T, ReportError> {
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed =
            simd_json::fill_tape_padded(text, document_bytes, &mut self.buffers, &mut tape);
        let result = match (parsed, Json::document(&tape)) {
            (Ok(()), Some(document)) => read(document),
            (Ok(()), None) => Err(ReportError::NotAnObject("empty")),
            (Err(error), _) => Err(ReportError::from_parser(&error)),
        };
        self.tape = tape.reset();
        result
    }
}

fn read_metrics<'a>(metrics: Values<'_, 'a>, mut reader: MetricReader<'_, 'a>) {
    // `METRICS_MAX` fits 32 bits.
    for (index, metric) in (0_u32..).zip(metrics) {
        if let Err(fault) = reader.take(index, metric) {
            let rejects = &mut reader.batch.rejects;
            let kept = rejects.len() < REJECT_TEXTS_MAX;
            let reason = if kept { fault.to_string() } else { String::new() };
            rejects.push(Reject { index, kind: fault.kind(), reason });
        }
    }
}

#[cfg(test)]
mod tests;
