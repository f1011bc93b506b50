//! Everything on PostgreSQL's side: the schema, and the statements that write and read it.
//!
//! Owns the schema `noetl` (`docs/format/schema.md`), its partitions, and the binary form of a
//! row. Guarantees that two servers on one database neither deadlock nor lose each other's
//! writes: whatever locks several rows locks them in one order, and a log's position only moves
//! from the value its owner knows. Refuses to know the log's records and the registry in
//! memory: it is handed canonical bytes, keys and positions, and hands the same back.
//!
//! Functions take a connection and join the transaction it is in, unless they say otherwise.
//! None is safe to cancel half-way: a connection whose future was dropped is to be closed.

pub mod connect;
pub mod copy;
pub mod definitions;
pub mod embedded;
pub mod node;
pub mod partitions;
pub mod quarantine;
pub mod report;
pub mod runtime;
pub mod schema;
pub mod stored;
#[cfg(test)]
pub(crate) mod test_cluster;
pub(crate) mod timestamptz;

use std::borrow::Cow;
use std::fmt;

/// A statement that failed, with the phrase that says what it was for.
#[derive(Debug)]
pub struct StatementError {
    doing: &'static str,
    cause: sqlx::Error,
}

impl StatementError {
    /// Whether PostgreSQL refused the *content* of what was sent (SQLSTATE classes 22, data
    /// exception, and 23, integrity violation), so that the same bytes would be refused again.
    /// Any other cause is one that passes.
    pub fn refuses_content(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    /// The driver's error.
    pub fn cause(&self) -> &sqlx::Error {
        &self.cause
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        sqlstate(&self.cause)
    }

    /// Whether somebody else held the lock for too long: trying again is all there is to do.
    fn is_contention(&self) -> bool {
        is_contention(&self.cause)
    }
}

/// PostgreSQL's code of an error; none where the error is not PostgreSQL's.
fn sqlstate(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// See [`StatementError::is_contention`].
fn is_contention(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some(LOCK_NOT_AVAILABLE | DEADLOCK_DETECTED))
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

impl std::error::Error for StatementError {}

/// SQLSTATE of a lock that was not granted within `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// SQLSTATE of the transaction chosen to end a deadlock.
const DEADLOCK_DETECTED: &str = "40P01";

/// Names the purpose of a statement that failed.
trait Doing<T> {
    /// `phrase` begins with a verb: "upsert series".
    fn doing(self, phrase: &'static str) -> Result<T, StatementError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, phrase: &'static str) -> Result<T, StatementError> {
        self.map_err(|cause| StatementError { doing: phrase, cause })
    }
}

/// The advisory locks of this schema: one class, "noet" in ASCII, and one number each.
#[derive(Clone, Copy)]
enum AdvisoryLock {
    NodeNumbers = 1,
    Partitions = 2,
    Maintenance = 3,
    Migration = 4,
}

impl AdvisoryLock {
    const CLASS: i32 = 0x6e6f_6574;

    /// Takes the lock until the end of the transaction, waiting as long as `lock_timeout` lets.
    async fn take(self, conn: &mut sqlx::PgConnection) -> Result<(), StatementError> {
        self.wait_by("SELECT pg_advisory_xact_lock($1, $2)", conn).await
    }

    /// Takes the lock until the end of the session, waiting as long as `lock_timeout` lets.
    async fn hold(self, conn: &mut sqlx::PgConnection) -> Result<(), StatementError> {
        self.wait_by("SELECT pg_advisory_lock($1, $2)", conn).await
    }

    async fn wait_by(
        self,
        statement: &'static str,
        conn: &mut sqlx::PgConnection,
    ) -> Result<(), StatementError> {
        sqlx::query(statement)
            .bind(Self::CLASS)
            .bind(self as i32)
            .execute(conn)
            .await
            .doing("wait for another server's lock")?;
        Ok(())
    }

    /// Takes the lock until the end of the session, unless another session has it.
    async fn try_hold(self, conn: &mut sqlx::PgConnection) -> Result<bool, StatementError> {
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
            .bind(Self::CLASS)
            .bind(self as i32)
            .fetch_one(conn)
            .await
            .doing("try to take a lock")
    }
}

/// An identifier in quotes, for the statements that cannot take it as a parameter.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
