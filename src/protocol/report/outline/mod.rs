//! The outline of a report: all of its bytes but the values and the timestamps.
//!
//! A worker sends the same document again and again, and only its numbers change. An [`Outline`]
//! is learned from a document that was decoded in full. A later document whose bytes outside of
//! values and timestamps are the very same has the same structure, names, labels and texts, so
//! it needs no parser: its numbers are read off their places.
//!
//! Most of an outline is the [`Form`] that it shares with the outlines of other workers; what is left
//! are the few texts that are a worker's own, as its name.
//!
//! Guarantees that a document which is read this way says exactly what the decoder would have
//! said. Equal bytes decide, and a value or timestamp takes the place of another one only where
//! it is a plain token of the same kind (a JSON number, or a string without escapes). Whatever is
//! not plain or not equal is left to the decoder, errors included. Refuses to know whose outline
//! it is.

mod form;
mod number;
mod scan;

use std::sync::Arc;

use super::DecodeSettings;
use super::moment::MomentReader;
use crate::model::{Sample, Timestamp};
use form::BlankKind;
pub use form::Form;

/// A document longer than this has no outline: it is decoded once in a while, and remembering it
/// would cost the memory of many small ones.
pub const OUTLINE_DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// The longest text of a timestamp that is looked at.
const TIMESTAMP_TEXT_BYTES_MAX: usize = 64;

/// The bytes of a document between its values and timestamps, and where those stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    form: Arc<Form>,
    /// The texts for the form's blanks.
    own: Box<[u8]>,
}

/// What changes from one report to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The value, finite.
    pub value: f64,
    /// When the value was taken.
    pub timestamp: Timestamp,
}

impl Outline {
    /// The outline of `document`, which the decoder made `samples` of, all of its metrics.
    ///
    /// `None` when it has none: it is too long, a value is no number, a key is written with an
    /// escape, or whatever else makes the reading differ from the decoder's.
    pub fn learn(
        document: &[u8],
        samples: &[Sample],
        now: Timestamp,
        settings: &DecodeSettings,
    ) -> Option<Self> {
        if document.len() > OUTLINE_DOCUMENT_BYTES_MAX {
            return None;
        }
        let (form, own) = Form::around(document, &scan::spans(document)?);
        let outline = Self { form: Arc::new(form), own };
        let mut readings = Vec::with_capacity(samples.len());
        let reads = outline.read(document, now, settings, &mut readings);
        let same = |(reading, sample): (&Reading, &Sample)| {
            reading.value.to_bits() == sample.value.to_bits()
                && reading.timestamp == sample.timestamp
        };
        let all = readings.len() == samples.len() && readings.iter().zip(samples).all(same);
        (reads && all).then_some(outline)
    }

    /// What the outline shares with others, or could.
    pub fn form(&self) -> &Arc<Form> {
        &self.form
    }

    /// Has the outline share `form`, which must be equal to its own.
    pub fn share(&mut self, form: &Arc<Form>) {
        debug_assert_eq!(self.form, *form);
        self.form = Arc::clone(form);
    }

    /// Reads the values and timestamps of `document` in the order of its metrics, and says
    /// whether it could; otherwise the document is the decoder's, and `readings` means nothing.
    ///
    /// `now` stands in for a missing timestamp and is what the future is measured from.
    pub fn read(
        &self,
        document: &[u8],
        now: Timestamp,
        settings: &DecodeSettings,
        readings: &mut Vec<Reading>,
    ) -> bool {
        readings.clear();
        self.read_all(document, now, settings, readings).is_some()
    }

    fn read_all(
        &self,
        document: &[u8],
        now: Timestamp,
        settings: &DecodeSettings,
        readings: &mut Vec<Reading>,
    ) -> Option<()> {
        let mut moments =
            MomentReader::new(&settings.time_zone, now, settings.limits.future_us_max);
        let (mut fixed, mut rest) = (&*self.form.fixed, document);
        let mut reading = Reading { value: 0.0, timestamp: now };
        for blank in &self.form.blanks {
            let before;
            (before, fixed) = fixed.split_at(blank.fixed_bytes as usize);
            rest = rest.strip_prefix(before)?;
            let bytes = match blank.kind {
                BlankKind::Own { start, bytes } => {
                    let (start, bytes) = (start as usize, bytes as usize);
                    // What follows is the closing quote, so that an equal beginning is all of it.
                    rest = rest.strip_prefix(self.own.get(start..start + bytes)?)?;
                    0
                }
                BlankKind::Value => {
                    let (value, bytes) = number::float(rest)?;
                    reading.value = value;
                    bytes
                }
                BlankKind::TimestampText => {
                    let text = plain_text(rest)?;
                    reading.timestamp = moments.text(text).ok()?;
                    text.len()
                }
                BlankKind::TimestampInteger => {
                    let (integer, bytes) = number::natural(rest)?;
                    reading.timestamp = moments.integer(integer.into()).ok()?;
                    bytes
                }
            };
            rest = &rest[bytes..];
            if blank.ends_metric {
                readings.push(reading);
                reading.timestamp = now;
            }
        }
        (rest == fixed).then_some(())
    }

    /// The memory that the outline takes beside its form, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.own.len()
    }
}

/// What stands before the closing quote, if it is short ASCII without escapes.
fn plain_text(rest: &[u8]) -> Option<&str> {
    let end = rest.iter().take(TIMESTAMP_TEXT_BYTES_MAX).position(|byte| *byte == b'"')?;
    let text = str::from_utf8(&rest[..end]).ok()?;
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\');
    plain.then_some(text)
}
