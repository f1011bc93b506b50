//! The partitions of `noetl.report`: which there are, and making one.
//!
//! Partitions never overlap and need not be of one length: after a change from days to hours,
//! or back, the existing ones stay, and a new one fills the gap that its timestamp lies in. So
//! the range of a partition is always asked of the catalogue, never computed.
//!
//! When one is made or dropped is the maintenance job's business.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use sqlx::PgConnection;

use super::timestamptz::Timestamptz;
use super::{AdvisoryLock, Doing, StatementError};
use crate::model::Timestamp;

/// One partition that takes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The table's name in the schema `noetl`, such as `report_20240101`.
    pub name: String,
    /// The lower bound, inclusive.
    pub from: Timestamp,
    /// The upper bound, exclusive.
    pub to: Timestamp,
}

impl Partition {
    /// Whether a row of that time belongs here.
    pub fn covers(&self, timestamp: Timestamp) -> bool {
        self.from <= timestamp && timestamp < self.to
    }

    /// Both bounds as RFC 3339, in UTC.
    pub fn bounds(&self) -> (String, String) {
        let text = |timestamp| utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string();
        (text(self.from), text(self.to))
    }
}

/// What the catalogue says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Name and range.
    pub partition: Partition,
    /// Rows, as PostgreSQL estimates them.
    pub rows_estimated: u64,
    /// Bytes on disk with indexes.
    pub bytes: u64,
    /// Whether it takes rows.
    pub state: PartitionState,
}

/// Whether a partition takes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionState {
    /// Rows are written to it and read from it.
    Attached,
    /// `DETACH … CONCURRENTLY` has begun and was not finished: its rows are no longer seen.
    Detaching,
}

impl PartitionState {
    /// The state as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Detaching => "detaching",
        }
    }
}

/// Reads name, bounds and state of every range partition of `noetl.report`. Open bounds
/// (`MINVALUE`, `MAXVALUE`) read as infinite. `inhdetachpending` exists since version 14, hence
/// the way through JSON.
macro_rules! catalogue {
    ($tail:literal) => {
        concat!(
            "WITH part AS (
                SELECT c.oid, c.relname::text AS name, c.reltuples,
                       coalesce((to_jsonb(i) ->> 'inhdetachpending')::bool, false) AS detaching,
                       pg_get_expr(c.relpartbound, c.oid) AS bound
                  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'noetl.report'::regclass
                   AND c.relnamespace = 'noetl'::regnamespace
             ), ranged AS (
                SELECT oid, name, reltuples, detaching,
                       coalesce((regexp_match(bound, 'FROM \\(''([^'']+)'''))[1]::timestamptz,
                                '-infinity') AS lower,
                       coalesce((regexp_match(bound, 'TO \\(''([^'']+)'''))[1]::timestamptz,
                                'infinity') AS upper
                  FROM part WHERE bound LIKE 'FOR VALUES FROM %'
             ) ",
            $tail
        )
    };
}

mod create;
pub mod late_writes;
mod overdue;
mod retire;
pub mod statistics;

pub use create::{Creation, PartitionError, create, ensure};
pub use overdue::{Leaving, Overdue, Stage, overdue};
pub use retire::{RetireError, Retired, Retirement};

/// Takes the lock of whoever looks after the partitions, until the end of the session; `false`
/// when another session has it.
pub async fn try_hold_maintenance(conn: &mut PgConnection) -> Result<bool, StatementError> {
    AdvisoryLock::Maintenance.try_hold(conn).await
}

/// Every partition, in the order of time.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<PartitionInfo>, StatementError> {
    let rows: Vec<(String, Timestamptz, Timestamptz, bool, i64, i64)> = sqlx::query_as(catalogue!(
        "SELECT name, lower, upper, detaching,
                    greatest(reltuples::int8, pg_stat_get_live_tuples(oid), 0),
                    coalesce(pg_total_relation_size(oid), 0)
               FROM ranged ORDER BY lower, name"
    ))
    .fetch_all(conn)
    .await
    .doing("list the partitions of noetl.report")?;
    let info =
        |(name, from, to, detaching, rows, bytes): (_, Timestamptz, Timestamptz, _, i64, i64)| {
            PartitionInfo {
                partition: Partition { name, from: from.0, to: to.0 },
                rows_estimated: rows.unsigned_abs(),
                bytes: bytes.unsigned_abs(),
                state: if detaching { PartitionState::Detaching } else { PartitionState::Attached },
            }
        };
    Ok(rows.into_iter().map(info).collect())
}

/// Where the first partition that holds rows begins, and where the last one ends. Those made ahead
/// have no byte yet.
pub async fn span(
    conn: &mut PgConnection,
) -> Result<Option<(Timestamp, Timestamp)>, StatementError> {
    // The fences have the sizes asked from the ends on, and no further than the first with rows.
    let (from, to): (Option<Timestamptz>, Option<Timestamptz>) = sqlx::query_as(catalogue!(
        ", attached AS MATERIALIZED (SELECT oid, lower, upper FROM ranged WHERE NOT detaching)
         SELECT (SELECT lower FROM (SELECT * FROM attached ORDER BY lower OFFSET 0) a
                  WHERE pg_relation_size(oid) > 0 LIMIT 1),
                (SELECT upper FROM (SELECT * FROM attached ORDER BY upper DESC OFFSET 0) a
                  WHERE pg_relation_size(oid) > 0 LIMIT 1)"
    ))
    .fetch_one(conn)
    .await
    .doing("look how far the rows of noetl.report reach")?;
    Ok(from.zip(to).map(|(from, to)| (from.0, to.0)))
}

/// The partition that takes rows of that time.
pub async fn partition_for(
    conn: &mut PgConnection,
    timestamp: Timestamp,
) -> Result<Option<Partition>, StatementError> {
    let row: Option<(String, Timestamptz, Timestamptz)> = sqlx::query_as(catalogue!(
        "SELECT name, lower, upper FROM ranged WHERE lower <= $1 AND $1 < upper AND NOT detaching"
    ))
    .bind(Timestamptz(timestamp))
    .fetch_optional(conn)
    .await
    .doing("look for a partition of noetl.report")?;
    Ok(row.map(|(name, from, to)| Partition { name, from: from.0, to: to.0 }))
}

/// The first of these tables that is no partition of `noetl.report`, or is about to be none.
///
/// Asked after rows were written to them in the same transaction, whose locks keep them as they
/// are until its end: a table that was detached takes rows as before, and nobody finds them.
pub async fn first_detached(
    conn: &mut PgConnection,
    tables: &[&str],
) -> Result<Option<String>, StatementError> {
    sqlx::query_scalar(catalogue!(
        "SELECT given FROM unnest($1::text[]) AS given
          WHERE NOT EXISTS (SELECT FROM ranged WHERE name = given AND NOT detaching) LIMIT 1"
    ))
    .bind(tables)
    .fetch_optional(conn)
    .await
    .doing("look whether partitions are still attached")
}

/// The time in UTC. A civil time, for `jiff::Timestamp` ends a day before the year 9999 does.
fn utc(timestamp: Timestamp) -> DateTime {
    const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    EPOCH.saturating_add(SignedDuration::from_micros(timestamp.micros()))
}

/// The time as a bound of a partition is written.
fn bound(timestamp: Timestamp) -> String {
    utc(timestamp).strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string()
}

#[cfg(test)]
mod tests;
