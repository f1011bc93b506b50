//! What retention has to drop: partitions whose time is over, and what an earlier run left.

use std::time::Duration;

use sqlx::PgConnection;

use super::retire::{self, MARK};
use super::{Partition, late_writes};
use crate::model::Timestamp;
use crate::postgres::timestamptz::Timestamptz;
use crate::postgres::{Doing, StatementError};

/// A partition on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Name and range.
    pub partition: Partition,
    /// How far it is.
    pub stage: Stage,
}

/// How far a partition on its way out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is read and written like any other.
    Attached,
    /// An earlier run began to detach it and was cut short.
    Detaching,
    /// An earlier run detached it and was cut short; it is a table of its own.
    Detached,
}

/// What is to go and what is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// What is to go, in the order of time, what was begun before all else.
    pub leaving: Vec<Leaving>,
    /// Those whose time is over and that were written to within a day.
    pub kept: Vec<String>,
    /// A partition that somebody else began to detach, which no other can be before it is done.
    pub foreign: Option<String>,
}

/// Looks for partitions that end at least `retention` before `now` by this server's clock and by
/// PostgreSQL's, so that a clock that runs wild drops nothing. Without a retention, only what was
/// begun is found.
///
/// Takes only those with a name that the server gives; any other is the user's. To be called by
/// the holder of the maintenance lock.
pub async fn overdue(
    conn: &mut PgConnection,
    now: Timestamp,
    retention: Option<Duration>,
) -> Result<Overdue, StatementError> {
    late_writes::prune(conn).await?;
    let mut overdue = Overdue::default();
    for (name, from, to) in detached(conn).await? {
        let partition = Partition { name, from: from.0, to: to.0 };
        overdue.leaving.push(Leaving { partition, stage: Stage::Detached });
    }
    let retention_us = retention.map(|long| i64::try_from(long.as_micros()).unwrap_or(i64::MAX));
    for row in attached(conn, now, retention_us).await? {
        let AttachedRow { name, from, to, detaching, marked, over, written } = row;
        let partition = Partition { name, from: from.0, to: to.0 };
        match (detaching, marked) {
            (true, true) => {
                overdue.leaving.insert(0, Leaving { partition, stage: Stage::Detaching });
            }
            (true, false) => overdue.foreign = Some(partition.name),
            (false, _) => {
                if marked {
                    // The run that meant to detach it died before. Its owner may decide otherwise.
                    retire::unmark(conn, &partition.name).await?;
                }
                if over && written {
                    overdue.kept.push(partition.name);
                } else if over {
                    overdue.leaving.push(Leaving { partition, stage: Stage::Attached });
                }
            }
        }
    }
    Ok(overdue)
}

#[derive(sqlx::FromRow)]
struct AttachedRow {
    name: String,
    #[sqlx(rename = "lower")]
    from: Timestamptz,
    #[sqlx(rename = "upper")]
    to: Timestamptz,
    detaching: bool,
    marked: bool,
    over: bool,
    written: bool,
}

/// The partitions of the server's making that are over, or marked, or being detached.
async fn attached(
    conn: &mut PgConnection,
    now: Timestamp,
    retention_us: Option<i64>,
) -> Result<Vec<AttachedRow>, StatementError> {
    sqlx::query_as(catalogue!(
        ", judged AS (
            SELECT name, lower, upper, detaching,
                   starts_with(coalesce(obj_description(oid, 'pg_class'), ''), $3) AS marked,
                   name ~ '^report_[0-9]{8}(_[0-9]{2}|_[0-9]{6}_[0-9]{6})?$' AND coalesce(
                       upper <= least(now(), $1) - $2 * interval '1 microsecond', false) AS over
              FROM ranged
         )
         SELECT name, lower, upper, detaching, marked, over,
                EXISTS (SELECT FROM noetl.late_write
                         WHERE starts_at < upper AND ends_at > lower
                           AND written_at > now() - interval '25 hours') AS written
           FROM judged WHERE over OR detaching OR marked
          ORDER BY lower"
    ))
    .bind(Timestamptz(now))
    .bind(retention_us)
    .bind(MARK)
    .fetch_all(conn)
    .await
    .doing("look for partitions whose time is over")
}

/// The tables that earlier runs detached and did not drop: those that bear the mark, which also
/// has their bounds.
async fn detached(
    conn: &mut PgConnection,
) -> Result<Vec<(String, Timestamptz, Timestamptz)>, StatementError> {
    sqlx::query_as(
        "SELECT name, lower::timestamptz, upper::timestamptz
           FROM (SELECT relname::text AS name,
                        obj_description(oid, 'pg_class') AS mark
                   FROM pg_class
                  WHERE relnamespace = 'noetl'::regnamespace
                    AND relkind = 'r' AND NOT relispartition) tables,
                LATERAL (SELECT (regexp_match(mark, 'FROM \\(''([^'']+)'''))[1] AS lower,
                                (regexp_match(mark, 'TO \\(''([^'']+)'''))[1] AS upper) bounds
          WHERE starts_with(mark, $1) AND lower IS NOT NULL AND upper IS NOT NULL
          ORDER BY 2, 1",
    )
    .bind(MARK)
    .fetch_all(conn)
    .await
    .doing("look for detached partitions")
}
