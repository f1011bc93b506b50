//! The two statements behind a page, as one text with parameters each.
//!
//! Both begin with the *candidates*: the groups that hold series asked for, with the slots of
//! these series. The rows of each group are then looked up through the index (group_id, ts),
//! never by reading a partition from end to end; the fence `OFFSET 0` keeps PostgreSQL from
//! choosing otherwise for a partition that it has no statistics of yet. Names and labels come
//! last, for the samples of the page alone, and behind the same fence: a page's series are looked
//! up one by one, and not found by reading all that there are.

use sqlx::{Postgres, QueryBuilder};

use super::filter::{Filter, Order, Pattern};
use super::range::TimeRange;
use crate::postgres::timestamptz::Timestamptz;

/// Rows that are counted to learn how far a page reaches, if the groups are fewer: what the largest
/// page has of a series whose reports hold nothing else, twice.
const ROWS_COUNTED_MAX: i64 = 20_000;

/// Where the next samples are: two columns, of `ts` each, and one that says what the second is worth.
///
/// The first is the `ts` of the row nearest to where the answer begins that may hold a sample in
/// `range`: the latest or the earliest, or NULL. Its samples may be absent, never others nearer.
/// Up to the second there are rows for `wanted` samples; NULL where so many were not found in
/// `range`. Where the third is true there are no rows for more; else a group may have had more rows
/// than were counted of it.
pub(super) fn nearest_rows(
    filter: &Filter,
    range: TimeRange,
    wanted: usize,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("WITH ");
    push_candidates(&mut sql, filter);
    let (nearest, direction) = match filter.order {
        Order::NewestFirst => ("max", "DESC"),
        Order::OldestFirst => ("min", "ASC"),
    };
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
    sql.push(
        ", needed AS MATERIALIZED (
         SELECT group_id, cardinality(slots) AS samples, ",
    );
    sql.push_bind(wanted);
    sql.push(format_args!(
        " / cardinality(slots) + 1 AS rows, greatest(1, {ROWS_COUNTED_MAX} / count(*) OVER ()) AS rows_max
            FROM candidate)
         SELECT {nearest}(ts), {nearest}(ts) FILTER (WHERE reached >= "
    ));
    sql.push_bind(wanted);
    sql.push(format_args!(
        "), (SELECT coalesce(bool_and(rows <= rows_max), true) FROM needed)
           FROM (
           SELECT r.ts, sum(samples) OVER (ORDER BY r.ts {direction}) AS reached
             FROM needed
            CROSS JOIN LATERAL (
                  SELECT ts FROM noetl.report WHERE group_id = needed.group_id"
    ));
    push_rows(&mut sql, range);
    sql.push(format_args!(" ORDER BY ts {direction} LIMIT least(rows, rows_max)) r) counted"));
    sql
}

/// Up to `limit` samples in `range` and behind the cursor, in order. The columns are those
/// that [`super::render::Sample::read`] takes.
pub(super) fn samples(filter: &Filter, range: TimeRange, limit: usize) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("WITH ");
    let direction = match filter.order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    push_candidates(&mut sql, filter);
    sql.push(
        ", page AS (
         SELECT p.series_id, m.metric_id, m.at, r.vals[p.slot + 1] AS value, r.received_at
           FROM candidate
          CROSS JOIN LATERAL (
                SELECT * FROM noetl.report WHERE group_id = candidate.group_id",
    );
    push_rows(&mut sql, range);
    sql.push(
        " OFFSET 0) r
          CROSS JOIN LATERAL unnest(candidate.slots, candidate.series) AS p (slot, series_id)
          CROSS JOIN LATERAL (
                SELECT r.report_id * 64 + p.slot,
                       r.ts + coalesce(r.offsets_us[p.slot + 1], 0) * interval '1 microsecond'
                ) AS m (metric_id, at)
          WHERE r.vals[p.slot + 1] IS NOT NULL AND m.at >= ",
    );
    sql.push_bind(Timestamptz(range.from));
    sql.push(" AND m.at < ").push_bind(Timestamptz(range.to));
    if let Some(cursor) = filter.cursor {
        let behind = match filter.order {
            Order::NewestFirst => "<",
            Order::OldestFirst => ">",
        };
        sql.push(format_args!(" AND (m.at, m.metric_id) {behind} ("));
        sql.push_bind(Timestamptz(cursor.timestamp));
        sql.push(", ").push_bind(cursor.metric_id).push(")");
    }
    sql.push(format_args!(" ORDER BY m.at {direction}, m.metric_id {direction} LIMIT "));
    sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    sql.push(format_args!(
        ")
         SELECT page.metric_id, s.runtime_id, s.name, s.component_type, s.metric_name,
                s.metric_type, page.value, s.labels, s.help_text, s.unit, page.at,
                page.received_at
           FROM page
          CROSS JOIN LATERAL (
                SELECT runtime_id, c.name, c.component_type, d.metric_name, d.metric_type,
                       d.labels::text, d.help_text, d.unit
                  FROM noetl.series d JOIN noetl.runtime c USING (runtime_id)
                 WHERE d.series_id = page.series_id OFFSET 0) s
          ORDER BY page.at {direction}, page.metric_id {direction}"
    ));
    sql
}

/// `candidate (group_id, slots, series)`, the last two side by side. Names are only joined where
/// something is asked of them.
fn push_candidates(sql: &mut QueryBuilder<Postgres>, filter: &Filter) {
    sql.push(
        "candidate AS MATERIALIZED (
         SELECT p.group_id, array_agg(p.slot) AS slots, array_agg(p.series_id) AS series
           FROM noetl.series_slot p",
    );
    let asks_series = filter.runtime_id.is_some()
        || filter.metric_name.is_some()
        || filter.metric_type.is_some()
        || filter.labels.is_some();
    if asks_series || filter.component_name.is_some() {
        sql.push(" JOIN noetl.series s USING (series_id)");
    }
    if filter.component_name.is_some() {
        sql.push(" JOIN noetl.runtime c USING (runtime_id)");
    }
    sql.push(" WHERE true");
    if let Some(runtime_id) = filter.runtime_id {
        sql.push(" AND s.runtime_id = ").push_bind(runtime_id.get());
    }
    if let Some(name) = &filter.component_name {
        push_pattern(sql, "c.name", name);
    }
    if let Some(name) = &filter.metric_name {
        push_pattern(sql, "s.metric_name", name);
    }
    if let Some(metric_type) = filter.metric_type {
        sql.push(" AND s.metric_type = ").push_bind(metric_type.as_str());
    }
    if let Some(labels) = &filter.labels {
        sql.push(" AND s.labels @> ").push_bind(labels.clone()).push("::jsonb");
    }
    sql.push(" GROUP BY p.group_id)");
}

fn push_pattern(sql: &mut QueryBuilder<Postgres>, column: &str, pattern: &Pattern) {
    let (operator, text) = match pattern {
        Pattern::Exact(name) => ("=", name),
        Pattern::Like(like) => ("LIKE", like),
    };
    sql.push(format_args!(" AND {column} {operator} ")).push_bind(text.clone());
}

fn push_rows(sql: &mut QueryBuilder<Postgres>, range: TimeRange) {
    let rows = range.rows();
    sql.push(" AND ts >= ").push_bind(Timestamptz(rows.from));
    sql.push(" AND ts < ").push_bind(Timestamptz(rows.to));
}
