//! What the documents of many workers have in common.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::scan::{Span, SpanKind};

/// A document with blanks: for the values and timestamps, and for the texts that are a worker's
/// own.
///
/// Workers of one kind send the same document but for these, so that thousands of them share a form.
/// Where texts of one document are equal, their blanks are one and the same; forms differ where
/// such texts differ in length, so that a form knows where each of them stands.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// What does not change, without what does.
    pub(super) fixed: Box<[u8]>,
    pub(super) blanks: Box<[Blank]>,
}

/// A place at which something stands that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Blank {
    /// Bytes of [`Form::fixed`] before it, behind the blank before.
    pub(super) fixed_bytes: u32,
    pub(super) kind: BlankKind,
    /// Whether it is the last one of its metric.
    pub(super) ends_metric: bool,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BlankKind {
    /// A number: the metric's value.
    Value,
    /// What is between the quotes of the metric's timestamp.
    TimestampText,
    /// The metric's timestamp, as an integer.
    TimestampInteger,
    /// A text of the worker, and where it stands among all of those.
    Own { start: u32, bytes: u32 },
}

impl Form {
    /// The form of `document`, in which `spans` change, and the texts of its own: each once, one
    /// behind the other.
    pub(super) fn around(document: &[u8], spans: &[Span]) -> (Self, Box<[u8]>) {
        let mut fixed = Vec::with_capacity(document.len());
        let mut blanks = Vec::with_capacity(spans.len());
        let mut own = Own::default();
        let mut at = 0;
        for span in spans {
            let before = &document[at..span.bytes.start];
            fixed.extend_from_slice(before);
            let kind = match span.kind {
                SpanKind::Value => BlankKind::Value,
                SpanKind::TimestampText => BlankKind::TimestampText,
                SpanKind::TimestampInteger => BlankKind::TimestampInteger,
                SpanKind::Own => own.place(&document[span.bytes.clone()]),
            };
            // `OUTLINE_DOCUMENT_BYTES_MAX` is far below 4 GiB.
            let fixed_bytes = before.len() as u32;
            blanks.push(Blank { fixed_bytes, kind, ends_metric: span.ends_metric });
            at = span.bytes.end;
        }
        fixed.extend_from_slice(&document[at..]);
        (Self { fixed: fixed.into(), blanks: blanks.into() }, own.texts.into())
    }

    /// The memory that the form takes, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.fixed.len() + size_of_val(&*self.blanks)
    }
}

/// The texts of a document's own, gathered.
#[derive(Default)]
struct Own<'d> {
    texts: Vec<u8>,
    starts: HashMap<&'d [u8], u32, RandomState>,
}

impl<'d> Own<'d> {
    fn place(&mut self, text: &'d [u8]) -> BlankKind {
        let start = *self.starts.entry(text).or_insert_with(|| {
            let start = self.texts.len() as u32;
            self.texts.extend_from_slice(text);
            start
        });
        BlankKind::Own { start, bytes: text.len() as u32 }
    }
}
