//! One page of the answer, written as its samples come in.

use super::cursor::Cursor;
use super::render::{Sample, write_integer};

/// Bytes after which a page ends, whatever its limit: labels may be large.
pub(super) const PAGE_BYTES_MAX: usize = 32 << 20;

/// Bytes that a usual sample takes, for the first allocation.
const SAMPLE_BYTES: usize = 384;

/// The JSON of a page, growing. Holds at most [`PAGE_BYTES_MAX`] and one sample more.
#[derive(Debug)]
pub(super) struct Page {
    json: Vec<u8>,
    limit: usize,
    bytes_max: usize,
    count: usize,
    last: Option<Cursor>,
    /// Whether a sample came that found no room.
    overflowed: bool,
}

impl Page {
    /// An empty page for `limit` samples.
    pub(super) fn new(limit: usize) -> Self {
        Self::with_bytes_max(limit, PAGE_BYTES_MAX)
    }

    fn with_bytes_max(limit: usize, bytes_max: usize) -> Self {
        let mut json = Vec::with_capacity(64 + limit.min(1_000) * SAMPLE_BYTES);
        json.extend_from_slice(b"{\"metrics\":[");
        Self { json, limit, bytes_max, count: 0, last: None, overflowed: false }
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
        if self.overflowed || self.count == self.limit || self.json.len() >= self.bytes_max {
            self.overflowed = true;
            return;
        }
        if self.count > 0 {
            self.json.push(b',');
        }
        sample.write(&mut self.json);
        self.count += 1;
        self.last = Some(sample.cursor());
    }

    /// The whole JSON, and where the next page begins if there is one.
    pub(super) fn finish(mut self) -> (Vec<u8>, Option<Cursor>) {
        let next = self.last.filter(|_| self.overflowed);
        self.json.extend_from_slice(b"],\"count\":");
        write_integer(&mut self.json, self.count);
        self.json.extend_from_slice(b",\"limit\":");
        write_integer(&mut self.json, self.limit);
        let cursor = next.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        self.json.extend_from_slice(format!(",\"next_cursor\":{cursor}}}").as_bytes());
        (self.json, next)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::query::render::tests::SAMPLE;

    fn finished(page: Page) -> Value {
        serde_json::from_slice(&page.finish().0).unwrap()
    }

    #[test]
    fn an_empty_page_is_whole() {
        assert_eq!(
            finished(Page::new(1_000)),
            json!({"metrics": [], "count": 0, "limit": 1_000, "next_cursor": null})
        );
    }

    #[test]
    fn the_sample_beyond_the_limit_is_only_a_sign_of_the_next_page() {
        let check = |pushed: i64, count: usize, wanted: usize, next: Value| {
            let mut page = Page::new(2);
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
        let mut page = Page::with_bytes_max(1_000, 500);
        (0..5).for_each(|metric_id| page.push(&Sample { metric_id, ..SAMPLE }));
        assert_eq!((page.count(), page.wanted()), (2, 0));
        assert_eq!(finished(page)["next_cursor"], "0-1");
    }
}
