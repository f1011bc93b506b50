//! One page of the answer, written as its samples come in.

use super::cursor::Cursor;
use super::render::{Sample, write_integer};

/// Bytes after which a page ends, whatever its limit: labels may be large.
pub(super) const PAGE_BYTES_MAX: usize = 32 << 20;

/// Bytes that a usual sample takes, for the first allocation.
const SAMPLE_BYTES: usize = 384;

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON object, with the cursor of the next page.
    Json,
    /// A JSON object a line.
    Ndjson,
    /// A row each, as RFC 4180 has it.
    Csv,
}

/// A page, growing. Holds at most its bound of bytes and one sample more.
#[derive(Debug)]
pub(super) struct Page {
    text: Vec<u8>,
    layout: Layout,
    limit: usize,
    bytes_max: usize,
    count: usize,
    last: Option<Cursor>,
    /// Whether a sample came that found no room.
    overflowed: bool,
}

impl Page {
    /// An empty page for `limit` samples.
    pub(super) fn new(layout: Layout, limit: usize, bytes_max: usize) -> Self {
        let mut text = Vec::with_capacity(64 + limit.min(1_000) * SAMPLE_BYTES);
        if layout == Layout::Json {
            text.extend_from_slice(b"{\"metrics\":[");
        }
        Self { text, layout, limit, bytes_max, count: 0, last: None, overflowed: false }
    }

    /// Samples written.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many samples are still to be asked for: one more than there is room for, which
    /// tells whether there is a next page; 0 when that is known.
    pub(super) fn wanted(&self) -> usize {
        if self.overflowed { 0 } else { self.limit - self.count + 1 }
    }

    /// Appends the next sample in order, unless the page is full.
    pub(super) fn push(&mut self, sample: &Sample<'_>) {
        if self.overflowed || self.count == self.limit || self.text.len() >= self.bytes_max {
            self.overflowed = true;
            return;
        }
        match self.layout {
            Layout::Json => {
                if self.count > 0 {
                    self.text.push(b',');
                }
                sample.write(&mut self.text);
            }
            Layout::Ndjson => {
                sample.write(&mut self.text);
                self.text.push(b'\n');
            }
            Layout::Csv => sample.write_csv(&mut self.text),
        }
        self.count += 1;
        self.last = Some(sample.cursor());
    }

    /// The text, and where the next page begins if there is one.
    pub(super) fn finish(mut self) -> (Vec<u8>, Option<Cursor>) {
        let next = self.last.filter(|_| self.overflowed);
        if self.layout == Layout::Json {
            self.text.extend_from_slice(b"],\"count\":");
            write_integer(&mut self.text, self.count);
            self.text.extend_from_slice(b",\"limit\":");
            write_integer(&mut self.text, self.limit);
            let cursor = next.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
            self.text.extend_from_slice(format!(",\"next_cursor\":{cursor}}}").as_bytes());
        }
        (self.text, next)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::query::render::tests::SAMPLE;

    fn page(limit: usize) -> Page {
        Page::new(Layout::Json, limit, PAGE_BYTES_MAX)
    }

    fn finished(page: Page) -> Value {
        serde_json::from_slice(&page.finish().0).unwrap()
    }

    #[test]
    fn an_empty_page_is_whole() {
        assert_eq!(
            finished(page(1_000)),
            json!({"metrics": [], "count": 0, "limit": 1_000, "next_cursor": null})
        );
    }

    #[test]
    fn the_sample_beyond_the_limit_is_only_a_sign_of_the_next_page() {
        let check = |pushed: i64, count: usize, wanted: usize, next: Value| {
            let mut page = page(2);
            (0..pushed).for_each(|metric_id| page.push(&Sample { metric_id, ..SAMPLE }));
            assert_eq!((page.count(), page.wanted()), (count, wanted), "{pushed} pushed");
            let page = finished(page);
            assert_eq!(page["metrics"].as_array().unwrap().len(), count);
            assert_eq!((&page["count"], &page["next_cursor"]), (&json!(count), &next));
        };
        check(0, 0, 3, Value::Null);
        check(1, 1, 2, Value::Null);
        check(2, 2, 1, Value::Null);
        check(3, 2, 0, json!("0-1"));
        check(4, 2, 0, json!("0-1"));
    }

    #[test]
    fn a_page_of_many_bytes_ends_early() {
        let mut page = Page::new(Layout::Json, 1_000, 500);
        (0..5).for_each(|metric_id| page.push(&Sample { metric_id, ..SAMPLE }));
        assert_eq!((page.count(), page.wanted()), (2, 0));
        assert_eq!(finished(page)["next_cursor"], "0-1");
    }

    #[test]
    fn a_streamed_page_has_samples_only() {
        let written = |layout| {
            let mut page = Page::new(layout, 2, PAGE_BYTES_MAX);
            (0..3).for_each(|metric_id| page.push(&Sample { metric_id, ..SAMPLE }));
            let (text, next) = page.finish();
            assert!(next.is_some());
            String::from_utf8(text).unwrap()
        };
        let lines = written(Layout::Ndjson);
        assert_eq!(lines.lines().count(), 2);
        for line in lines.lines() {
            assert!(serde_json::from_str::<Value>(line).unwrap()["metric_id"].is_string());
        }
        assert_eq!(written(Layout::Csv).matches("\r\n").count(), 2);
    }
}
