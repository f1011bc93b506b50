//! Connections: where the database is, what a session is set to, and how both are shown.
//!
//! The driver (sqlx 0.9.0) opens TCP sockets without `TCP_NODELAY` and has no way to set it from
//! outside, so over TCP the last piece of a COPY may wait up to 40 ms for a delayed
//! acknowledgement, once per batch. A Unix socket has no such wait: prefer one where the
//! database is on the same machine.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};

/// How long opening a connection may take, authentication included.
const CONNECT_SECONDS_MAX: u64 = 10;
/// How long a request waits for a connection of the pool before it fails.
const ACQUIRE_SECONDS_MAX: u64 = 5;
/// How long an unused connection of the pool is kept.
const IDLE_SECONDS_MAX: u64 = 300;

/// Compiling a statement takes longer than any of this crate's runs: 300 ms were seen for one of
/// 60 ms, on tables whose size PostgreSQL had not learnt yet.
const JIT: &str = "off";

/// Why a text is not the URL of a database. The text itself is never shown: it may hold a
/// password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Another scheme, or none.
    #[error(
        "DATABASE_URL does not begin with postgres:// or postgresql://; write it as \
         postgres://user:password@host:5432/database"
    )]
    Scheme,
    /// A part that cannot be read.
    #[error(
        "DATABASE_URL cannot be read ({reason}); write it as \
         postgres://user:password@host:5432/database and percent-encode special characters of \
         the password"
    )]
    Malformed {
        /// What the parser stumbled over.
        reason: String,
    },
    /// Everything else has a default; the database's name must be said.
    #[error("DATABASE_URL names no database; add it at the end, as in postgres://host/metrics")]
    NoDatabase,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Refused, unreachable or not authenticated.
    #[error("connect to {database}: {cause}")]
    Refused {
        /// Where to, without the password.
        database: String,
        /// The driver's error.
        cause: sqlx::Error,
    },
    /// No answer.
    #[error(
        "connect to {database}: no answer within {CONNECT_SECONDS_MAX} s; check host, port and firewall"
    )]
    NoAnswer {
        /// Where to, without the password.
        database: String,
    },
}

/// Reads `DATABASE_URL`. What it leaves out is taken from `PGHOST`, `PGUSER` and so on, and a
/// missing password from `.pgpass`.
pub fn parse(url: &str) -> Result<PgConnectOptions, InvalidDatabaseUrl> {
    let url = url.trim();
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(InvalidDatabaseUrl::Scheme);
    }
    let options: PgConnectOptions =
        url.parse().map_err(|error| InvalidDatabaseUrl::Malformed { reason: innermost(&error) })?;
    if options.get_database().is_none_or(str::is_empty) {
        return Err(InvalidDatabaseUrl::NoDatabase);
    }
    Ok(options)
}

/// The driver wraps the parser's words in its own, up to twice.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// The database as a URL without password and options, for logs and messages.
pub fn describe(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or_default();
    let user = options.get_username();
    let port = options.get_port();
    match options.get_socket() {
        Some(directory) => {
            format!("postgres:///{database}?host={}&port={port}&user={user}", directory.display())
        }
        None => format!("postgres://{user}@{}:{port}/{database}", options.get_host()),
    }
}

/// Opens the connection of a background task: the flush, or a maintenance job.
///
/// A commit on it waits for PostgreSQL's own log, whatever the database's default, for the
/// write-ahead log is truncated on its word. A transaction that its task has left open is ended
/// by PostgreSQL after a minute, so that a server which vanished holds no lock for ever; nor
/// does a task wait longer than that for the lock of another, it tries again instead.
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, ConnectError> {
    open(&with_session(
        options,
        &[
            ("synchronous_commit", "on"),
            ("default_transaction_isolation", "read committed"),
            ("idle_in_transaction_session_timeout", "60s"),
            ("statement_timeout", "0"),
            ("lock_timeout", "60s"),
            ("client_min_messages", "warning"),
            ("jit", JIT),
        ],
    ))
    .await
}

/// A pool of at most `connections_max` for the statements behind HTTP requests, each of which
/// PostgreSQL ends after `statement_time_max`.
///
/// Opens nothing yet, so that a server can start while PostgreSQL is away. Must be called within
/// the runtime that will use it.
pub fn query_pool(
    options: &PgConnectOptions,
    connections_max: u32,
    statement_time_max: Duration,
) -> PgPool {
    let statement_timeout = format!("{}ms", statement_time_max.as_millis().max(1));
    let options = with_session(
        options,
        &[
            ("default_transaction_isolation", "read committed"),
            ("idle_in_transaction_session_timeout", &statement_timeout),
            ("statement_timeout", &statement_timeout),
            ("lock_timeout", "5s"),
            ("jit", JIT),
        ],
    );
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(Duration::from_secs(ACQUIRE_SECONDS_MAX))
        .idle_timeout(Duration::from_secs(IDLE_SECONDS_MAX))
        .connect_lazy_with(options)
}

/// Opens a connection with the session settings in `options`.
pub(super) async fn open(options: &PgConnectOptions) -> Result<PgConnection, ConnectError> {
    let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
    match tokio::time::timeout(limit, options.connect()).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(cause)) => Err(ConnectError::Refused { database: describe(options), cause }),
        Err(_) => Err(ConnectError::NoAnswer { database: describe(options) }),
    }
}

/// `options` with settings that hold from the session's first statement and win over those
/// that the URL may carry. Each statement of this crate is short text or prepared; logging them
/// one by one is left to PostgreSQL.
pub(super) fn with_session(
    options: &PgConnectOptions,
    settings: &[(&str, &str)],
) -> PgConnectOptions {
    options
        .clone()
        .application_name("noetl-metrics")
        .options(settings.iter().copied())
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::test_cluster;

    #[test]
    fn a_wrong_url_is_refused_without_showing_its_password() {
        let check = |url: &str, expected: &str| {
            let message = parse(url).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        };
        check("", "does not begin with postgres://");
        check("mysql://u:hunter2@host/db", "does not begin with postgres://");
        check("postgres://u:hunter2@host:port/db", "invalid port number");
        check("postgres://u:hunter2/x@host/db", "invalid port number");
        check(
            "postgres://u:hunter2@host/db?sslmode=maybe",
            "(unknown value \"maybe\" for `ssl_mode`)",
        );
        check("postgres://u:hunter2@host", "names no database");
    }

    #[test]
    fn a_description_holds_no_password() {
        let check = |url: &str, expected: &str| {
            assert_eq!(describe(&parse(url).unwrap()), expected);
        };
        check("postgres://u:hunter2@db.example/metrics", "postgres://u@db.example:5432/metrics");
        check(
            "postgresql:///metrics?host=/run/pg&port=5433&user=u&password=hunter2",
            "postgres:///metrics?host=/run/pg&port=5433&user=u",
        );
    }

    #[tokio::test]
    async fn a_background_connection_commits_synchronously_whatever_the_url_says() {
        let database = test_cluster::empty_database().await;
        let loose = database.options.clone().options([("synchronous_commit", "off")]);
        let mut conn = connect(&loose).await.unwrap();
        let settings: (String, String, String) = sqlx::query_as(
            "SELECT current_setting('synchronous_commit'),
                    current_setting('default_transaction_isolation'),
                    current_setting('application_name')",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        assert_eq!(settings, ("on".into(), "read committed".into(), "noetl-metrics".into()));
    }

    #[tokio::test]
    async fn a_pool_opens_nothing_until_it_is_used() {
        let database = test_cluster::empty_database().await;
        let pool = query_pool(&database.options, 2, Duration::from_secs(30));
        assert_eq!(pool.size(), 0);
        let timeout: String = sqlx::query_scalar("SELECT current_setting('statement_timeout')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(timeout, "30s");
    }

    #[tokio::test]
    async fn an_unreachable_database_is_named() {
        let options = parse("postgres://u:hunter2@127.0.0.1:1/metrics").unwrap();
        let message = connect(&options).await.unwrap_err().to_string();
        assert!(message.starts_with("connect to postgres://u@127.0.0.1:1/metrics: "), "{message}");
    }
}
