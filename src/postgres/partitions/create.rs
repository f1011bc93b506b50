//! Making a partition.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{Partition, bound, late_writes, partition_for, utc};
use crate::model::{PartitionInterval, Timestamp};
use crate::postgres::timestamptz::Timestamptz;
use crate::postgres::{AdvisoryLock, Doing, StatementError, quote_identifier};

/// SQLSTATE of a table whose name is taken.
const DUPLICATE_TABLE: &str = "42P07";

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

/// The partition that takes rows of that time, made when it is missing.
///
/// As [`create`], it commits on its own and may fail with [`PartitionError::Busy`].
pub async fn ensure(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Partition, PartitionError> {
    Ok(create(conn, interval, timestamp).await?.into_partition())
}

/// Makes the partition of the interval that `timestamp` lies in, unless one covers it.
///
/// Where others cover a part of the interval, the new one fills the gap around `timestamp`.
/// Commits on its own, so `conn` must not be in a transaction. Safe on several servers at once.
/// Never stops reading or writing: attaching shares the lock that both take. Waits 2 s for its
/// locks; [`PartitionError::Busy`] means that the caller may try again.
pub async fn create(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Creation, PartitionError> {
    if let Some(partition) = partition_for(conn, timestamp).await? {
        return Ok(Creation::Existed(partition));
    }
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
    // Whoever has a partition of the past made is about to fill it.
    late_writes::note(&mut tx, &[(partition.from, partition.to)]).await?;
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

/// `CREATE … PARTITION OF` would lock the parent against writers; a table of its own that is
/// attached does not.
async fn attach_new(conn: &mut PgConnection, partition: &Partition) -> Result<(), PartitionError> {
    let table = quote_identifier(&partition.name);
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
