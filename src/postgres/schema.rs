//! Brings the database to the schema that this binary knows, or says why not.
//!
//! The migrations stand in `migrations/` and are part of the binary. Which of them a database
//! has is kept in `noetl.schema_migration`. Servers that start together take turns by an
//! advisory lock; each migration commits with its entry or not at all, and gives way where others
//! would have to wait for it.
//!
//! A schema that is newer than this binary says in `noetl.schema_floor` whether it may be used, so
//! that the servers of a fleet can be upgraded one by one, and back.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::connect::{self, ConnectError};
use super::{AdvisoryLock, Doing, StatementError, is_contention, sqlstate};

/// The oldest PostgreSQL that is tested, as `server_version_num` counts.
const SERVER_VERSION_MIN: i32 = 130_000;
/// How long another server's migration is waited for.
const MIGRATION_WAIT: &str = "5min";
/// How long a migration waits for a table. Whatever else wants the table waits behind it, the other
/// servers' flushes and queries among them.
const TABLE_WAIT: &str = "4s";
/// Where sqlx keeps which migrations have run.
const MIGRATION_TABLE: &str = "noetl.schema_migration";

/// Why the schema is not ready.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// PostgreSQL is too old.
    #[error("{database} is PostgreSQL {version}; noetl-metrics needs version 13 or later")]
    ServerTooOld {
        /// Which database.
        database: String,
        /// The version it calls itself.
        version: String,
    },
    /// Tables of these names are there and are not ours.
    #[error(
        "the schema noetl of {database} holds {tables} of another application; give \
         noetl-metrics a database of its own"
    )]
    Occupied {
        /// Which database.
        database: String,
        /// The tables in the way.
        tables: String,
    },
    /// A newer binary has migrated the database to something that this one cannot use.
    #[error(
        "the schema of {database} is at version {version} and no longer fits this binary, which \
         knows it up to {known}; start a noetl-metrics at least as new as the one that migrated it"
    )]
    Newer {
        /// Which database.
        database: String,
        /// The newest version that is unknown.
        version: i64,
        /// The newest that is known.
        known: i64,
    },
    /// A migration is not the one that was applied.
    #[error(
        "migration {version} of {database} differs from the one in this binary; start the \
         release that migrated it, or restore migrations/ to what was released"
    )]
    Altered {
        /// Which database.
        database: String,
        /// The version whose text differs.
        version: i64,
    },
    /// Another server's migration takes too long.
    #[error(
        "another server is migrating {database}; wait for it, or end it where it hangs (see \
         pg_stat_activity)"
    )]
    Busy {
        /// Which database.
        database: String,
    },
    /// A migration would have had others wait.
    #[error(
        "migration {version} of {database} gave way after {TABLE_WAIT} to a transaction that uses \
         a table which it changes, and is tried again; end that transaction, such as a pg_dump, or \
         wait for it (see pg_stat_activity)"
    )]
    InTheWay {
        /// Which database.
        database: String,
        /// The migration.
        version: i64,
    },
    /// A migration failed and was rolled back.
    #[error(
        "migrate {database}: {cause}; the migration was rolled back, check the user's \
         privileges (CREATE on the database) and start again"
    )]
    Failed {
        /// Which database.
        database: String,
        /// sqlx's error.
        cause: MigrateError,
    },
    /// A question to the catalogue failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl SchemaError {
    /// Whether it goes away by itself or by what is done to PostgreSQL, and not to this server.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Busy { .. } | Self::InTheWay { .. } | Self::Statement(_) => {
                true
            }
            Self::Failed { cause, .. } => was_prevented(cause),
            Self::ServerTooOld { .. }
            | Self::Occupied { .. }
            | Self::Newer { .. }
            | Self::Altered { .. } => false,
        }
    }
}

/// Whether a migration was not refused for what it is, but cut off or kept from writing: by the
/// network, or by the state that PostgreSQL is in (read-only, stopping, out of space).
fn was_prevented(cause: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = cause else {
        return false;
    };
    sqlstate(error).is_none_or(|code| PASSING_CLASSES.iter().any(|class| code.starts_with(class)))
}

/// SQLSTATE classes: connection exception, invalid transaction state, insufficient resources,
/// operator intervention, system error.
const PASSING_CLASSES: [&str; 5] = ["08", "25", "53", "57", "58"];

/// Applies the migrations that the database lacks. Does nothing when it lacks none.
pub async fn migrate(options: &PgConnectOptions) -> Result<(), SchemaError> {
    let options = connect::with_session(
        options,
        &[
            ("lock_timeout", MIGRATION_WAIT),
            ("statement_timeout", "0"),
            // `CREATE TABLE IF NOT EXISTS` would say on every start that the table exists.
            ("client_min_messages", "warning"),
        ],
    );
    let database = connect::describe(&options);
    let mut conn = connect::open(&options).await?;
    let outcome = migrate_on(&mut conn, &database, known()).await;
    // The locks live as long as the session, and sqlx keeps its own when a migration fails.
    conn.close().await.doing("close the migration's connection")?;
    outcome
}

async fn migrate_on(
    conn: &mut PgConnection,
    database: &str,
    mut known: Migrator,
) -> Result<(), SchemaError> {
    refuse_old_server(conn, database).await?;
    refuse_foreign_tables(conn, database).await?;
    if is_ready(conn, database, &known).await? {
        return Ok(());
    }
    match AdvisoryLock::Migration.hold(conn).await {
        Ok(()) => {}
        Err(error) if error.is_contention() => {
            return Err(SchemaError::Busy { database: database.to_owned() });
        }
        Err(error) => return Err(error.into()),
    }
    // Another server may have done it while this one waited, a newer one among them.
    if is_ready(conn, database, &known).await? {
        return Ok(());
    }
    set_table_wait(conn).await?;
    // To create a schema, even `IF NOT EXISTS`, takes a privilege that the owner of an existing one
    // need not have.
    if !schema_exists(conn).await? {
        known.create_schema("noetl");
    }
    // `is_ready` has judged those that are unknown.
    known.set_ignore_missing(true);
    // Not `run`: its `Acquire` bound keeps the future of a caller from being `Send`.
    known.run_direct(None, conn, false).await.map_err(|cause| failure(database.to_owned(), cause))
}

fn failure(database: String, cause: MigrateError) -> SchemaError {
    match cause {
        MigrateError::VersionMismatch(version) => SchemaError::Altered { database, version },
        MigrateError::ExecuteMigration(error, version) if is_contention(&error) => {
            SchemaError::InTheWay { database, version }
        }
        // It waits for sqlx's own lock, which only a server older than `AdvisoryLock::Migration` has.
        MigrateError::Execute(error) if is_contention(&error) => SchemaError::Busy { database },
        cause => SchemaError::Failed { database, cause },
    }
}

/// The migrations of this binary.
fn known() -> Migrator {
    let mut known = sqlx::migrate!("./migrations");
    known.dangerous_set_table_name(MIGRATION_TABLE);
    known
}

async fn set_table_wait(conn: &mut PgConnection) -> Result<(), StatementError> {
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(TABLE_WAIT)
        .execute(conn)
        .await
        .doing("bound the wait for a table")
        .map(drop)
}

async fn schema_exists(conn: &mut PgConnection) -> Result<bool, StatementError> {
    sqlx::query_scalar("SELECT to_regnamespace('noetl') IS NOT NULL")
        .fetch_one(conn)
        .await
        .doing("look for the schema noetl")
}

/// Whether the database has every migration of this binary, and has not gone on to a schema that
/// this binary cannot use. To find that out takes no writing, which a database may not allow at the
/// moment and most starts do not need.
async fn is_ready(
    conn: &mut PgConnection,
    database: &str,
    known: &Migrator,
) -> Result<bool, SchemaError> {
    if !table_exists(conn, MIGRATION_TABLE).await? {
        return Ok(false);
    }
    let applied: Vec<(i64, bool, Vec<u8>)> = sqlx::query_as(
        "SELECT version, success, checksum FROM noetl.schema_migration ORDER BY version",
    )
    .fetch_all(&mut *conn)
    .await
    .doing("read which migrations have run")?;
    let unknown = applied.iter().map(|(version, ..)| *version);
    if let Some(version) = unknown.filter(|version| !known.version_exists(*version)).max() {
        let newest = known.iter().map(|one| one.version).max().unwrap_or(0);
        if oldest_server(conn).await?.is_none_or(|oldest| newest < oldest) {
            let database = database.to_owned();
            return Err(SchemaError::Newer { database, version, known: newest });
        }
        tracing::info!(
            schema = version,
            known = newest,
            "the schema is newer than this server and lets it go on"
        );
    }
    let has = |one: &sqlx::migrate::Migration| {
        let same = |(version, success, checksum): &(i64, bool, Vec<u8>)| {
            *version == one.version && *success && **checksum == *one.checksum
        };
        applied.iter().any(same)
    };
    Ok(known.iter().all(has))
}

async fn table_exists(conn: &mut PgConnection, name: &str) -> Result<bool, StatementError> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(name)
        .fetch_one(conn)
        .await
        .doing("look for a table of the schema")
}

/// The version of the schema that a server has to know to use it; `None` where nothing says so.
async fn oldest_server(conn: &mut PgConnection) -> Result<Option<i64>, StatementError> {
    if !table_exists(conn, "noetl.schema_floor").await? {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(oldest) FROM noetl.schema_floor")
        .fetch_one(conn)
        .await
        .doing("read the oldest server that may use the schema")
}

async fn refuse_old_server(conn: &mut PgConnection, database: &str) -> Result<(), SchemaError> {
    let (number, version): (i32, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int4, current_setting('server_version')",
    )
    .fetch_one(conn)
    .await
    .doing("read PostgreSQL's version")?;
    if number < SERVER_VERSION_MIN {
        return Err(SchemaError::ServerTooOld { database: database.to_owned(), version });
    }
    Ok(())
}

/// An older server keeps tables of the same names and another shape in a schema of this name.
/// One statement reads both facts, so that a migration which runs meanwhile is not mistaken
/// for such a server: it makes its own table first.
async fn refuse_foreign_tables(conn: &mut PgConnection, database: &str) -> Result<(), SchemaError> {
    let tables: Option<String> = sqlx::query_scalar(
        "SELECT string_agg(relname, ', ' ORDER BY relname)
           FROM pg_class
          WHERE relnamespace = to_regnamespace('noetl')
            AND relname IN ('runtime', 'series', 'series_slot', 'report', 'ingest_node',
                            'quarantine', 'metric', 'metrics')
         HAVING NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('noetl')
                                                   AND relname = 'schema_migration')",
    )
    .fetch_optional(conn)
    .await
    .doing("look for tables of another application")?
    .flatten();
    match tables {
        Some(tables) => Err(SchemaError::Occupied { database: database.to_owned(), tables }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
