//! All samples that a filter lets through, piece by piece, however many there are.
//!
//! A piece is a page that begins where the one before ended. It is in memory as a whole, and no
//! statement is open while a client takes it: a slow client holds neither a connection nor locks
//! on partitions.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::error::QueryError;
use super::filter::Filter;
use super::page::{Layout, Page};
use super::render::CSV_HEADER;
use super::run::Queries;

/// Samples of one piece: so many that finding the series asked for, which each piece does anew, is
/// little beside them.
const PIECE_SAMPLES: usize = 50_000;
/// Bytes of one piece, and one sample more.
const PIECE_BYTES_MAX: usize = 16 << 20;

/// A stream of samples.
#[derive(Debug)]
pub struct SampleStream {
    queries: Arc<Queries>,
    filter: Filter,
    layout: Layout,
    window_us: Option<i64>,
    /// Samples that may still come.
    left: usize,
    begun: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl SampleStream {
    /// A stream of the samples of `filter`, as many as its limit says or else all.
    ///
    /// # Errors
    /// [`QueryError::StreamsBusy`] when as many as may are running.
    pub fn new(queries: &Arc<Queries>, filter: Filter, layout: Layout) -> Result<Self, QueryError> {
        Ok(Self {
            _permit: queries.stream_permit()?,
            queries: Arc::clone(queries),
            left: filter.limit.unwrap_or(usize::MAX),
            filter,
            layout,
            window_us: None,
            begun: false,
            ended: false,
        })
    }

    /// The next piece; `None` when all samples have come. The first is there also when there
    /// are none.
    ///
    /// # Errors
    /// As [`Queries::query`]; the time it gives to a query holds for each piece. What came before
    /// the error stands.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, QueryError> {
        if self.ended {
            return Ok(None);
        }
        let page = Page::new(self.layout, self.left.min(PIECE_SAMPLES), PIECE_BYTES_MAX);
        let filled = self.queries.fill_streamed(&self.filter, page, self.window_us).await?;
        self.window_us = filled.window_us;
        self.left -= filled.count;
        self.ended = filled.next_cursor.is_none() || self.left == 0;
        self.filter.cursor = filled.next_cursor;
        let mut text = filled.text;
        if !std::mem::replace(&mut self.begun, true) && self.layout == Layout::Csv {
            text.splice(..0, CSV_HEADER.bytes());
        }
        Ok(Some(text))
    }
}
