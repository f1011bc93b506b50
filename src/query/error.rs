//! Why a question got no answer.

use crate::postgres::StatementError;

/// SQLSTATE of a statement that ran into `statement_timeout`, or was ended by hand.
const QUERY_CANCELED: &str = "57014";
/// SQLSTATE of a lock that was not granted within `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// SQLSTATE classes that say the server cannot serve just now: connection exceptions,
/// insufficient resources, operator intervention (shutdown, start).
const UNAVAILABLE_CLASSES: [&str; 3] = ["08", "53", "57"];

/// An error of the driver, or of a statement of [`crate::postgres`].
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// As many questions as there are connections are being answered.
    #[error("all {connections} connections for queries are in use; try again in a moment")]
    Busy {
        /// How many there are.
        connections: usize,
    },
    /// As many streams as may run at once are running.
    #[error("{streams} streams are being sent, which is the limit; try again later")]
    StreamsBusy {
        /// How many may.
        streams: usize,
    },
    /// It took too long.
    #[error(
        "the query took longer than it may; name a component or metric, or narrow start_time \
         and end_time"
    )]
    TimedOut,
    /// PostgreSQL cannot be reached, or does not serve just now.
    #[error("PostgreSQL is not available ({0}); reports are still taken, try again later")]
    Unavailable(Cause),
    /// PostgreSQL refused the statement, or answered what it should not.
    #[error("the query failed ({0}); look at the server's log and at the schema noetl")]
    Failed(Cause),
}

impl QueryError {
    /// The stable code of the answer's field `error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } | Self::StreamsBusy { .. } => "queries_busy",
            Self::TimedOut => "query_timed_out",
            Self::Unavailable(_) => "database_unavailable",
            Self::Failed(_) => "query_failed",
        }
    }

    /// Whether the same question may be answered later (503), or not without repair (500).
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Kind::of(&error).with(error.into())
    }
}

impl From<StatementError> for QueryError {
    fn from(error: StatementError) -> Self {
        Kind::of(error.cause()).with(error.into())
    }
}

enum Kind {
    TimedOut,
    Unavailable,
    Failed,
}

impl Kind {
    fn of(error: &sqlx::Error) -> Self {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        let code = error.as_database_error().and_then(|error| error.code());
        match (error, code.as_deref()) {
            (_, Some(QUERY_CANCELED | LOCK_NOT_AVAILABLE)) => Self::TimedOut,
            (_, Some(code)) if UNAVAILABLE_CLASSES.iter().any(|class| code.starts_with(class)) => {
                Self::Unavailable
            }
            (Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed, _) => {
                Self::Unavailable
            }
            _ => Self::Failed,
        }
    }

    fn with(self, cause: Cause) -> QueryError {
        match self {
            Self::TimedOut => QueryError::TimedOut,
            Self::Unavailable => QueryError::Unavailable(cause),
            Self::Failed => QueryError::Failed(cause),
        }
    }
}
