//! Runs a query: walks through time from where the answer begins until the page is full.
//!
//! Nothing has the samples of all series in the order of time, and a partition may hold
//! hundreds of millions. So a page is read in *windows* of time, each by one statement that
//! looks up the rows of every group asked for:
//!
//! 1. Find the nearest row, first within a day, then within four times as much again and
//!    again: gaps of months are passed over so. Also count from there on to a row up to which
//!    there are enough for the page.
//! 2. Of few groups all rows were counted, and one window up to there is the page. Of many, some
//!    may have had more rows than were counted: read windows from the nearest row on, ten seconds
//!    first, then as wide as the samples found so far let expect, and none beyond the row found.
//!
//! Windows do not overlap, and samples keep their place in the order, so what is written
//! meanwhile is met once or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::components::COMPONENTS_MAX;
use super::cursor::Cursor;
use super::error::QueryError;
use super::filter::Filter;
use super::page::{Layout, PAGE_BYTES_MAX, Page};
use super::range::TimeRange;
use super::render::Sample;
use super::statement;
use crate::model::{ListedComponent, ROW_SPAN_US, Timestamp};
use crate::postgres::partitions;
use crate::postgres::runtime;
use crate::postgres::timestamptz::Timestamptz;

/// The first stretch of time in which the nearest row is looked for: a day.
const REACH_US: i64 = 86_400_000_000;
/// The width of the first window: 10 s.
const WINDOW_US: i64 = 10_000_000;
/// How much wider than the last a stretch or window without a sample is.
const EMPTY_GROWTH: i64 = 4;
/// How much wider than the last a window may be at most.
const GROWTH_MAX: i64 = 16;

/// Answers queries over a pool of connections, as many at once as the pool has.
#[derive(Debug)]
pub struct Queries {
    pool: PgPool,
    connections: usize,
    permits: Semaphore,
    /// For streams, which go on for as long as their clients take.
    streams: Arc<Semaphore>,
    streams_max: usize,
    time_max: Duration,
}

/// What a page was asked for, and where the walk to the next one goes on.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) text: Vec<u8>,
    pub(super) count: usize,
    pub(super) next_cursor: Option<Cursor>,
    /// How wide the first window of the next page is best, where widths have to be guessed.
    pub(super) window_us: Option<i64>,
}

/// A page of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The body: JSON in UTF-8.
    pub json: Vec<u8>,
    /// Samples in it.
    pub count: usize,
    /// Where the next page begins; `None` on the last. The body has it as well.
    pub next_cursor: Option<Cursor>,
}

impl Queries {
    /// Over a pool from [`crate::postgres::connect::query_pool`]; a query goes on to its next
    /// statement for `time_max`, and the pool bounds the last one.
    pub fn new(pool: PgPool, time_max: Duration) -> Self {
        let connections = pool.options().get_max_connections() as usize;
        // Half of them, so that streams leave connections for others.
        let streams_max = connections.div_ceil(2);
        Self {
            pool,
            connections,
            permits: Semaphore::new(connections),
            streams: Arc::new(Semaphore::new(streams_max)),
            streams_max,
            time_max,
        }
    }

    /// One page of the samples that `filter` lets through.
    ///
    /// Sees what is flushed. Where [`Filter::consistency`] asks for more, wait before. May be
    /// dropped: PostgreSQL then ends the statement in its own time, and the connection goes
    /// back to the pool after that.
    ///
    /// # Errors
    /// [`QueryError::Busy`] at once when every connection is in use, [`QueryError::TimedOut`]
    /// after the time given to [`Queries::new`], and as the database fails.
    pub async fn query(&self, filter: &Filter) -> Result<QueryAnswer, QueryError> {
        let _permit = self.permit()?;
        let page = Page::new(Layout::Json, filter.limit(), PAGE_BYTES_MAX);
        let filled = self.fill(filter, page, None).await?;
        Ok(QueryAnswer { json: filled.text, count: filled.count, next_cursor: filled.next_cursor })
    }

    /// A page of a stream; the first window is as wide as `window_us` says. Waits for its turn,
    /// since streams are more than connections allow at once.
    pub(super) async fn fill_streamed(
        &self,
        filter: &Filter,
        page: Page,
        window_us: Option<i64>,
    ) -> Result<Filled, QueryError> {
        let turn = timeout(self.time_max, self.permits.acquire()).await;
        let _permit = turn.map_err(|_| QueryError::Busy { connections: self.connections })?;
        self.fill(filter, page, window_us).await
    }

    async fn fill(
        &self,
        filter: &Filter,
        page: Page,
        window_us: Option<i64>,
    ) -> Result<Filled, QueryError> {
        let mut conn = self.pool.acquire().await?;
        let all = filter.range().intersect(stored_range(&mut conn).await?);
        let deadline = Instant::now() + self.time_max;
        let mut walk = Walk { filter, rest: all, page, window_us, deadline };
        walk.fill_page(&mut conn).await?;
        let (count, mut window_us) = (walk.page.count(), walk.window_us);
        let (text, next_cursor) = walk.page.finish();
        if let Some((window_us, next)) = window_us.as_mut().zip(next_cursor) {
            // As wide as what this page took, and some more: the next takes about as much.
            let taken_us = all.width_to_row(filter.order, Some(next.timestamp), all);
            *window_us = (taken_us + taken_us / 8).min(*window_us * 2);
        }
        Ok(Filled { text, count, next_cursor, window_us })
    }

    /// The components that PostgreSQL has, of one type or all, in their order, and one more than
    /// a list shows if there are so many.
    ///
    /// # Errors
    /// As [`Queries::query`].
    pub async fn components(
        &self,
        component_type: Option<&str>,
    ) -> Result<Vec<ListedComponent>, QueryError> {
        let _permit = self.permit()?;
        let mut conn = self.pool.acquire().await?;
        Ok(runtime::list(&mut conn, component_type, COMPONENTS_MAX + 1).await?)
    }

    fn permit(&self) -> Result<tokio::sync::SemaphorePermit<'_>, QueryError> {
        let busy = |_| QueryError::Busy { connections: self.connections };
        self.permits.try_acquire().map_err(busy)
    }

    /// Held for as long as a stream lasts.
    pub(super) fn stream_permit(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let busy = |_| QueryError::StreamsBusy { streams: self.streams_max };
        Arc::clone(&self.streams).try_acquire_owned().map_err(busy)
    }
}

/// The timestamps that the samples of all rows can have.
async fn stored_range(conn: &mut PgConnection) -> Result<TimeRange, QueryError> {
    let (from, to) = partitions::span(conn).await?.unwrap_or((Timestamp::MAX, Timestamp::MIN));
    Ok(TimeRange { from, to: to.offset_by(ROW_SPAN_US) })
}

/// Where the next samples are.
enum Approach {
    /// Not within reach.
    Nothing,
    /// Within so many microseconds there are as many as are wanted, or all within reach.
    Window(i64),
    /// The same, and there may be many more.
    Windows(i64),
}

/// A page being filled.
struct Walk<'a> {
    filter: &'a Filter,
    /// The timestamps that were not looked at yet.
    rest: TimeRange,
    page: Page,
    /// The width of the next window, once widths have to be guessed.
    window_us: Option<i64>,
    deadline: Instant,
}

impl Walk<'_> {
    async fn fill_page(&mut self, conn: &mut PgConnection) -> Result<(), QueryError> {
        let mut reach_us = REACH_US;
        // What is gone on with lies as dense as what came before it.
        if let Some(width_us) = self.window_us {
            self.read_window(conn, width_us).await?;
        }
        while !self.is_done() {
            match self.approach(conn, reach_us).await? {
                Approach::Nothing => {}
                Approach::Window(width_us) => {
                    self.read_window(conn, width_us).await?;
                }
                Approach::Windows(within_us) => self.read_windows(conn, within_us).await?,
            }
            reach_us = reach_us.saturating_mul(EMPTY_GROWTH);
        }
        Ok(())
    }

    /// Reads the next `within_us` microseconds, in windows that become as wide as is needed.
    async fn read_windows(
        &mut self,
        conn: &mut PgConnection,
        mut within_us: i64,
    ) -> Result<(), QueryError> {
        // What follows a gap need not lie as thin as what came before it.
        let mut width_us = self.window_us.map_or(WINDOW_US, |us| (us / GROWTH_MAX).max(WINDOW_US));
        while within_us > 0 && !self.is_done() {
            let found = self.read_window(conn, width_us.min(within_us)).await?;
            self.window_us = Some(width_us);
            within_us -= width_us;
            width_us = next_width(width_us, found, self.page.wanted());
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.page.wanted() == 0 || self.rest.is_empty()
    }

    /// Passes over what holds no row, and looks for how far the next samples reach, both within
    /// `reach_us`.
    async fn approach(
        &mut self,
        conn: &mut PgConnection,
        reach_us: i64,
    ) -> Result<Approach, QueryError> {
        self.check_deadline()?;
        let order = self.filter.order;
        let mut beyond = self.rest;
        let reach = beyond.take(order, reach_us);
        let (nearest, enough, is_exact): (Option<Timestamptz>, Option<Timestamptz>, bool) =
            statement::nearest_rows(self.filter, reach, self.page.wanted())
                .build_query_as()
                .persistent(false)
                .fetch_one(conn)
                .await?;
        let Some(Timestamptz(nearest)) = nearest else {
            self.rest = beyond;
            return Ok(Approach::Nothing);
        };
        self.rest.skip_to_row(order, nearest);
        let enough = enough.map(|Timestamptz(ts)| ts);
        let width_us = self.rest.width_to_row(order, enough, reach);
        Ok(if is_exact { Approach::Window(width_us) } else { Approach::Windows(width_us) })
    }

    /// Reads the next window into the page; how many samples were found.
    ///
    /// The statement is not kept prepared: its text depends on the filter, and planned with its
    /// parameters it leaves out partitions beforehand.
    async fn read_window(
        &mut self,
        conn: &mut PgConnection,
        window_us: i64,
    ) -> Result<usize, QueryError> {
        self.check_deadline()?;
        let window = self.rest.take(self.filter.order, window_us);
        let mut statement = statement::samples(self.filter, window, self.page.wanted());
        let mut rows = statement.build().persistent(false).fetch(conn);
        let mut found = 0;
        while let Some(row) = rows.try_next().await? {
            self.page.push(&Sample::read(&row)?);
            found += 1;
        }
        Ok(found)
    }

    fn check_deadline(&self) -> Result<(), QueryError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(QueryError::TimedOut) }
    }
}

/// Twice what would hold the samples `wanted`, if they lie as dense as those `found`.
fn next_width(width_us: i64, found: usize, wanted: usize) -> i64 {
    let expected = (2 * wanted).checked_div(found);
    let growth = expected.map_or(EMPTY_GROWTH, |times| {
        i64::try_from(times).unwrap_or(GROWTH_MAX).clamp(1, GROWTH_MAX)
    });
    width_us.saturating_mul(growth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_with_what_is_wanted_still() {
        let check = |found, wanted, expected| assert_eq!(next_width(10, found, wanted), expected);
        check(0, 1_001, 40);
        check(1, 1_000, 160);
        check(250, 751, 60);
        check(900, 101, 10);
        assert_eq!(next_width(i64::MAX, 0, 1), i64::MAX);
    }
}
