//! The partitions of `noetl.report`: which there are, and making one.
//!
//! Partitions never overlap and need not be of one length: after a change from days to hours,
//! or back, the existing ones stay, and a new one fills the gap that its timestamp lies in. So
//! the range of a partition is always asked of the catalogue, never computed.
//!
//! Dropping them is the maintenance job's business.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::timestamptz::Timestamptz;
use super::{AdvisoryLock, Doing, StatementError, quote_identifier};
use crate::model::{PartitionInterval, PartitionStart, Timestamp};

/// SQLSTATE of a table whose name is taken.
const DUPLICATE_TABLE: &str = "42P07";

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

/// What [`create`] found or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The partition was made.
    Created(Partition),
    /// A partition covers the timestamp already.
    Existed(Partition),
}

impl Creation {
    /// The partition that covers the timestamp, new or not.
    pub fn into_partition(self) -> Partition {
        match self {
            Self::Created(partition) | Self::Existed(partition) => partition,
        }
    }
}

/// Why there is no partition.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// Somebody holds a lock on `noetl.report`.
    #[error("the lock on noetl.report was not granted within {LOCK_WAIT}; try again")]
    Busy,
    /// The range is being given up.
    #[error("noetl.{name} covers that time and is being detached; try again when it is dropped")]
    Detaching {
        /// The partition on its way out.
        name: String,
    },
    /// A table of that name is there and is no partition.
    #[error("noetl.{name} exists and is no partition of noetl.report; drop it, or attach it again")]
    NameTaken {
        /// The table in the way.
        name: String,
    },
    /// A statement failed.
    #[error(transparent)]
    Statement(StatementError),
}

impl From<StatementError> for PartitionError {
    fn from(error: StatementError) -> Self {
        if error.is_contention() { Self::Busy } else { Self::Statement(error) }
    }
}

/// How long the creation of a partition waits for a lock. It holds up nobody meanwhile that
/// reads or writes, but retention and other servers' creations queue behind it.
const LOCK_WAIT: &str = "2s";

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

/// The partition that takes rows of that time, made when it is missing.
///
/// As [`create`], it commits on its own and may fail with [`PartitionError::Busy`].
pub async fn ensure(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Partition, PartitionError> {
    match partition_for(conn, timestamp).await? {
        Some(partition) => Ok(partition),
        None => Ok(create_at(conn, interval, timestamp).await?.into_partition()),
    }
}

/// Makes the partition of one interval that begins at `start`, unless one covers `start`.
///
/// Where others cover a part of the interval, it ends where the first of them begins. Commits
/// on its own, so `conn` must not be in a transaction. Safe on several servers at once. Never
/// stops reading or writing: attaching shares the lock that both take. Waits 2 s for its locks;
/// [`PartitionError::Busy`] means that the caller may try again.
pub async fn create(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    start: PartitionStart,
) -> Result<Creation, PartitionError> {
    create_at(conn, interval, start.timestamp()).await
}

async fn create_at(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Creation, PartitionError> {
    let mut tx = conn.begin().await.doing("begin the creation of a partition")?;
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL lock_timeout = '{LOCK_WAIT}'")))
        .execute(&mut *tx)
        .await
        .doing("bound the wait for locks")?;
    AdvisoryLock::Partitions.take(&mut tx).await?;
    if let Some(partition) = partition_for(&mut tx, timestamp).await? {
        tx.rollback().await.doing("end the creation of a partition")?;
        return Ok(Creation::Existed(partition));
    }
    let partition = gap_around(&mut tx, interval, timestamp).await?;
    attach_new(&mut tx, &partition).await?;
    tx.commit().await.doing("commit the creation of a partition")?;
    Ok(Creation::Created(partition))
}

/// The part of the timestamp's interval that no partition covers.
async fn gap_around(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Partition, PartitionError> {
    let start = interval.start_of(timestamp);
    let (before, after, detaching): (Option<Timestamptz>, Option<Timestamptz>, Option<String>) =
        sqlx::query_as(catalogue!(
            "SELECT max(upper) FILTER (WHERE upper <= $1),
                    min(lower) FILTER (WHERE lower > $1),
                    min(name) FILTER (WHERE lower <= $1 AND $1 < upper)
               FROM ranged"
        ))
        .bind(Timestamptz(timestamp))
        .fetch_one(conn)
        .await
        .doing("look for the partitions beside a new one")?;
    if let Some(name) = detaching {
        return Err(PartitionError::Detaching { name });
    }
    let from = before.map_or(start.timestamp(), |before| before.0.max(start.timestamp()));
    let to = after.map_or(interval.end_of(start), |after| after.0.min(interval.end_of(start)));
    Ok(Partition { name: name_of(interval, from), from, to })
}

/// `report_20240101` for the start of a day, `report_20240101_07` for that of an hour. Bounds
/// that this module did not make may lie elsewhere; they are told apart to the microsecond.
fn name_of(interval: PartitionInterval, from: Timestamp) -> String {
    let on_bound = |interval: PartitionInterval| interval.start_of(from).timestamp() == from;
    let format = match interval {
        PartitionInterval::Day if on_bound(PartitionInterval::Day) => "report_%Y%m%d",
        _ if on_bound(PartitionInterval::Hour) => "report_%Y%m%d_%H",
        _ => "report_%Y%m%d_%H%M%S_%6f",
    };
    utc(from).strftime(format).to_string()
}

/// The time in UTC. A civil time, for `jiff::Timestamp` ends a day before the year 9999 does.
fn utc(timestamp: Timestamp) -> DateTime {
    const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    EPOCH.saturating_add(SignedDuration::from_micros(timestamp.micros()))
}

/// `CREATE … PARTITION OF` would lock the parent against writers; a table of its own that is
/// attached does not.
async fn attach_new(conn: &mut PgConnection, partition: &Partition) -> Result<(), PartitionError> {
    let table = quote_identifier(&partition.name);
    let bound = |timestamp| utc(timestamp).strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string();
    let (from, to) = (bound(partition.from), bound(partition.to));
    let statements = format!(
        "CREATE TABLE noetl.{table} (LIKE noetl.report INCLUDING ALL EXCLUDING COMMENTS);
         ALTER TABLE noetl.report ATTACH PARTITION noetl.{table}
               FOR VALUES FROM ('{from}') TO ('{to}');"
    );
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(conn)
        .await
        .doing("create a partition")
        .map_err(|error| match error.code().as_deref() {
            Some(DUPLICATE_TABLE) => PartitionError::NameTaken { name: partition.name.clone() },
            _ => error.into(),
        })?;
    Ok(())
}

#[cfg(test)]
mod tests;
