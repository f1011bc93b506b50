//! The two statements behind a page, as one text with parameters each.
//!
//! Both begin with the *candidates*: the groups that hold series asked for, with the slots of
//! these series. The rows of each group are then looked up through the index (group_id, ts),
//! never by reading a partition from end to end; the fence `OFFSET 0` keeps PostgreSQL from
//! choosing otherwise for a partition that it has no statistics of yet. Names and labels are
//! joined last, for the samples of the page alone.

use sqlx::{Postgres, QueryBuilder};

use super::filter::{Filter, Order, Pattern};
use super::range::TimeRange;
use crate::postgres::timestamptz::Timestamptz;

/// The `ts` of the row nearest to where the answer begins that may hold a sample in `range`:
/// the latest or the earliest, or NULL. Its samples may be absent, never others nearer.
pub(super) fn nearest_row(filter: &Filter, range: TimeRange) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("WITH ");
    push_candidates(&mut sql, filter);
    let (nearest, direction) = match filter.order {
        Order::NewestFirst => ("max", "DESC"),
        Order::OldestFirst => ("min", "ASC"),
    };
    sql.push(format_args!(
        " SELECT {nearest}(r.ts)
            FROM candidate
           CROSS JOIN LATERAL (
                 SELECT ts FROM noetl.report WHERE group_id = candidate.group_id"
    ));
    push_rows(&mut sql, range);
    sql.push(format_args!(" ORDER BY ts {direction} LIMIT 1) r"));
    sql
}

/// Up to `limit` samples in `range` and behind the cursor, in order. The columns are those
/// that [`super::render::Sample::read`] takes.
pub(super) fn samples(filter: &Filter, range: TimeRange, limit: usize) -> QueryBuilder<Postgres> {
    let direction = match filter.order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "ASC",
    };
    let mut sql = QueryBuilder::new("WITH ");
    push_candidates(&mut sql, filter);
    sql.push(
        ", page AS (
         SELECT r.group_id, p.slot, m.metric_id, m.at, r.vals[p.slot + 1] AS value, r.received_at
           FROM candidate
          CROSS JOIN LATERAL (
                SELECT * FROM noetl.report WHERE group_id = candidate.group_id",
    );
    push_rows(&mut sql, range);
    sql.push(
        " OFFSET 0) r
          CROSS JOIN LATERAL unnest(candidate.slots) AS p (slot)
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
         SELECT page.metric_id, s.runtime_id, c.name, c.component_type, s.metric_name,
                s.metric_type, page.value, s.labels::text, s.help_text, s.unit, page.at,
                page.received_at
           FROM page
           JOIN noetl.series_slot USING (group_id, slot)
           JOIN noetl.series s USING (series_id)
           JOIN noetl.runtime c USING (runtime_id)
          ORDER BY page.at {direction}, page.metric_id {direction}"
    ));
    sql
}

/// `candidate (group_id, slots)`. Names are only joined where something is asked of them.
fn push_candidates(sql: &mut QueryBuilder<Postgres>, filter: &Filter) {
    sql.push(
        "candidate AS MATERIALIZED (
         SELECT p.group_id, array_agg(p.slot) AS slots
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
