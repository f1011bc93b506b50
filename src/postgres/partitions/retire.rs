//! Dropping a partition without holding up those who read and write.
//!
//! Detaching is what may hold up others, so it is done by `DETACH … CONCURRENTLY`, which waits for
//! the transactions of the moment without holding a lock on `noetl.report`. While it waits, the
//! partition can be neither written to nor made anew; so it only begins once it need not wait long.
//! The table that is left is dropped, unless something was written to it at the last moment: then
//! it is attached again.
//!
//! The table bears a mark from just before it is detached. A run that dies in between is completed
//! by the next one, and a table without the mark is never touched: it is somebody's.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::overdue::{Leaving, Stage};
use super::{Partition, bound, late_writes};
use crate::postgres::{AdvisoryLock, Doing, StatementError, quote_identifier};

/// Begins the comment on a table that is being dropped. The bounds follow.
pub(super) const MARK: &str = "noetl-metrics is dropping this partition, whose retention is over:";

/// How long the lock on a table is waited for that nobody should be using.
const TABLE_LOCK_WAIT: &str = "2s";
/// How long `DETACH … CONCURRENTLY` waits for each transaction that uses `noetl.report`. It holds
/// no lock on it meanwhile.
const DETACH_WAIT: &str = "10s";
/// How long a detach waits that has to lock `noetl.report` against everybody (PostgreSQL 13):
/// others queue behind it.
const EXCLUSIVE_WAIT: &str = "200ms";
/// How long transactions that use `noetl.report` are waited for before anything is begun.
const READERS_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked whether they have ended.
const READERS_LOOK: Duration = Duration::from_millis(50);
/// The first version with `DETACH … CONCURRENTLY`, as `server_version_num` counts.
const CONCURRENTLY_SINCE: i32 = 140_000;

/// What became of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// It is gone.
    Dropped,
    /// It was written to at the last moment, and stays for another day.
    Kept,
}

/// Why a partition is still there.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// Somebody uses the tables; it can be tried again.
    #[error("noetl.{name} is not dropped yet: a transaction that uses noetl.report is still open")]
    InUse {
        /// The partition.
        name: String,
    },
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// Drops partitions over one connection that holds the maintenance lock and is in no transaction.
pub struct Retirement<'c> {
    conn: &'c mut PgConnection,
    concurrently: bool,
}

impl<'c> Retirement<'c> {
    /// Drops in the way that PostgreSQL's version allows.
    pub async fn new(conn: &'c mut PgConnection) -> Result<Self, StatementError> {
        let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int4")
            .fetch_one(&mut *conn)
            .await
            .doing("read PostgreSQL's version")?;
        Ok(Self { conn, concurrently: version >= CONCURRENTLY_SINCE })
    }

    /// Drops one partition, from whatever stage it is at. `wait` is how long the completion of
    /// a detach that was cut short waits for each older transaction; meanwhile no partition can
    /// be made.
    pub async fn retire(
        &mut self,
        leaving: &Leaving,
        wait: Duration,
    ) -> Result<Retired, RetireError> {
        let name = &leaving.partition.name;
        let done = self.retire_from(leaving, wait).await;
        self.set_lock_wait(None).await?;
        done.map_err(|error| match error {
            RetireError::Statement(error) if error.is_contention() => {
                RetireError::InUse { name: name.clone() }
            }
            error => error,
        })
    }

    async fn retire_from(
        &mut self,
        leaving: &Leaving,
        wait: Duration,
    ) -> Result<Retired, RetireError> {
        let partition = &leaving.partition;
        match leaving.stage {
            Stage::Attached => {
                self.wait_for_readers(&partition.name).await?;
                self.set_lock_wait(Some(TABLE_LOCK_WAIT)).await?;
                self.mark(partition).await?;
                self.detach(partition).await?;
            }
            Stage::Detaching => {
                self.set_lock_wait(Some(&format!("{}ms", wait.as_millis()))).await?;
                self.alter_report(&partition.name, "FINALIZE").await?;
            }
            Stage::Detached => {}
        }
        self.set_lock_wait(Some(TABLE_LOCK_WAIT)).await?;
        Ok(self.drop_detached(partition).await?)
    }

    /// Waits until the transactions that use `noetl.report` now have ended.
    async fn wait_for_readers(&mut self, name: &str) -> Result<(), RetireError> {
        let deadline = Instant::now() + READERS_WAIT;
        let mut open = self.readers().await?;
        while !open.is_empty() {
            if Instant::now() >= deadline {
                return Err(RetireError::InUse { name: name.to_owned() });
            }
            tokio::time::sleep(READERS_LOOK).await;
            let still = self.readers().await?;
            open.retain(|transaction| still.contains(transaction));
        }
        Ok(())
    }

    /// The other transactions that hold a lock on `noetl.report`. Anybody may see those.
    async fn readers(&mut self) -> Result<HashSet<String>, StatementError> {
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT virtualtransaction FROM pg_locks
              WHERE locktype = 'relation' AND relation = 'noetl.report'::regclass
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND granted AND pid IS DISTINCT FROM pg_backend_pid()",
        )
        .fetch_all(&mut *self.conn)
        .await
        .doing("look who uses noetl.report")?;
        Ok(rows.into_iter().collect())
    }

    async fn mark(&mut self, partition: &Partition) -> Result<(), StatementError> {
        let table = quote_identifier(&partition.name);
        let (from, to) = (bound(partition.from), bound(partition.to));
        // The bounds stand in quotes within a quoted text.
        let mark = format!("{MARK} FROM (''{from}'') TO (''{to}'')");
        self.run(&format!("COMMENT ON TABLE noetl.{table} IS '{mark}'"), "mark a partition").await
    }

    async fn detach(&mut self, partition: &Partition) -> Result<(), StatementError> {
        let (how, wait) =
            if self.concurrently { ("CONCURRENTLY", DETACH_WAIT) } else { ("", EXCLUSIVE_WAIT) };
        self.set_lock_wait(Some(wait)).await?;
        let Err(error) = self.alter_report(&partition.name, how).await else { return Ok(()) };
        if !is_detaching(self.conn, &partition.name).await? {
            unmark(self.conn, &partition.name).await?;
        }
        Err(error)
    }

    async fn alter_report(&mut self, name: &str, how: &str) -> Result<(), StatementError> {
        let table = quote_identifier(name);
        let statement = format!("ALTER TABLE noetl.report DETACH PARTITION noetl.{table} {how}");
        self.run(&statement, "detach a partition").await
    }

    /// Drops the table, unless something was written to it until it was detached.
    async fn drop_detached(&mut self, partition: &Partition) -> Result<Retired, StatementError> {
        let Partition { name, from, to } = partition;
        let table = quote_identifier(name);
        let mut tx = self.conn.begin().await.doing("begin to drop a partition")?;
        let retired = if late_writes::within_a_day(&mut tx, *from, *to).await? {
            AdvisoryLock::Partitions.take(&mut tx).await?;
            let (from, to) = (bound(*from), bound(*to));
            let statements = format!(
                "ALTER TABLE noetl.report ATTACH PARTITION noetl.{table}
                       FOR VALUES FROM ('{from}') TO ('{to}');
                 COMMENT ON TABLE noetl.{table} IS NULL"
            );
            sqlx::raw_sql(AssertSqlSafe(statements))
                .execute(&mut *tx)
                .await
                .doing("attach a partition again that was written to")?;
            Retired::Kept
        } else {
            sqlx::raw_sql(AssertSqlSafe(format!("DROP TABLE noetl.{table}")))
                .execute(&mut *tx)
                .await
                .doing("drop a partition")?;
            Retired::Dropped
        };
        tx.commit().await.doing("commit the end of a partition")?;
        Ok(retired)
    }

    /// Sets how long this session waits for a lock; `None` is as it was opened.
    async fn set_lock_wait(&mut self, wait: Option<&str>) -> Result<(), StatementError> {
        let statement = match wait {
            Some(wait) => format!("SET lock_timeout = '{wait}'"),
            None => "RESET lock_timeout".to_owned(),
        };
        self.run(&statement, "bound the wait for locks").await
    }

    async fn run(&mut self, statement: &str, doing: &'static str) -> Result<(), StatementError> {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut *self.conn)
            .await
            .doing(doing)?;
        Ok(())
    }
}

/// Takes the mark from a partition that stays.
pub(super) async fn unmark(conn: &mut PgConnection, name: &str) -> Result<(), StatementError> {
    let statement = format!("COMMENT ON TABLE noetl.{} IS NULL", quote_identifier(name));
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(conn)
        .await
        .doing("take the mark from a partition")?;
    Ok(())
}

async fn is_detaching(conn: &mut PgConnection, name: &str) -> Result<bool, StatementError> {
    sqlx::query_scalar(catalogue!(
        "SELECT EXISTS (SELECT FROM ranged WHERE name = $1 AND detaching)"
    ))
    .bind(name)
    .fetch_one(conn)
    .await
    .doing("look how far a partition is detached")
}

#[cfg(test)]
mod tests;
