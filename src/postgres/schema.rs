//! Brings the database to the schema that this binary knows, or says why not.
//!
//! The migrations stand in `migrations/` and are part of the binary. Which of them a database
//! has is kept in `noetl.schema_migration`. Servers that start together take turns by an
//! advisory lock; each migration commits with its entry or not at all.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::connect::{self, ConnectError};
use super::{Doing, LOCK_NOT_AVAILABLE, StatementError};

/// The oldest PostgreSQL that is tested, as `server_version_num` counts.
const SERVER_VERSION_MIN: i32 = 130_000;
/// How long another server's migration is waited for.
const MIGRATION_WAIT: &str = "5min";
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
    /// A newer binary has migrated the database.
    #[error(
        "the schema of {database} is at version {version}, which this binary does not know; \
         start a noetl-metrics at least as new as the one that migrated it"
    )]
    Newer {
        /// Which database.
        database: String,
        /// The version that is unknown.
        version: i64,
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
        "another server has been migrating {database} for {MIGRATION_WAIT}; wait for it or end \
         it (see pg_stat_activity)"
    )]
    Busy {
        /// Which database.
        database: String,
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
            Self::Connect(_) | Self::Busy { .. } | Self::Statement(_) => true,
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
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_none_or(|code| PASSING_CLASSES.iter().any(|class| code.starts_with(class)))
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
    let outcome = migrate_on(&mut conn, database).await;
    // The lock lives as long as the session, and sqlx keeps it when a migration fails.
    conn.close().await.doing("close the migration's connection")?;
    outcome
}

async fn migrate_on(conn: &mut PgConnection, database: String) -> Result<(), SchemaError> {
    refuse_old_server(conn, &database).await?;
    refuse_foreign_tables(conn, &database).await?;
    let migrator = migrator(!schema_exists(conn).await?);
    if is_current(conn, &migrator).await? {
        return Ok(());
    }
    // Not `run`: its `Acquire` bound keeps the future of a caller from being `Send`.
    match migrator.run_direct(None, &mut *conn, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(SchemaError::Newer { database, version }),
        Err(MigrateError::VersionMismatch(version)) => {
            Err(SchemaError::Altered { database, version })
        }
        Err(MigrateError::Execute(error)) if is_lock_timeout(&error) => {
            Err(SchemaError::Busy { database })
        }
        Err(cause) => Err(SchemaError::Failed { database, cause }),
    }
}

/// `create_schema` only when it is missing: to create it, even `IF NOT EXISTS`, takes a
/// privilege that the owner of an existing schema need not have.
fn migrator(create_schema: bool) -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    if create_schema {
        migrator.create_schema("noetl");
    }
    migrator
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

async fn schema_exists(conn: &mut PgConnection) -> Result<bool, StatementError> {
    sqlx::query_scalar("SELECT to_regnamespace('noetl') IS NOT NULL")
        .fetch_one(conn)
        .await
        .doing("look for the schema noetl")
}

/// Whether exactly the migrations of this binary have run. To find that out takes no writing,
/// which a database may not allow at the moment and most starts do not need.
async fn is_current(conn: &mut PgConnection, migrator: &Migrator) -> Result<bool, StatementError> {
    let kept: bool = sqlx::query_scalar("SELECT to_regclass('noetl.schema_migration') IS NOT NULL")
        .fetch_one(&mut *conn)
        .await
        .doing("look for the table of migrations")?;
    if !kept {
        return Ok(false);
    }
    let applied: Vec<(i64, bool, Vec<u8>)> = sqlx::query_as(
        "SELECT version, success, checksum FROM noetl.schema_migration ORDER BY version",
    )
    .fetch_all(conn)
    .await
    .doing("read which migrations have run")?;
    let known = migrator.iter().map(|one| (one.version, true, one.checksum.to_vec()));
    Ok(applied.into_iter().eq(known))
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
mod tests {
    use super::*;
    use crate::postgres::test_cluster;

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let database = test_cluster::empty_database().await;
        migrate(&database.options).await.unwrap();
        let mut conn = database.connect().await;
        let first: Vec<(i64, bool)> =
            sqlx::query_as("SELECT version, success FROM noetl.schema_migration ORDER BY version")
                .fetch_all(&mut conn)
                .await
                .unwrap();
        migrate(&database.options).await.unwrap();
        let second: Vec<(i64, bool)> =
            sqlx::query_as("SELECT version, success FROM noetl.schema_migration ORDER BY version")
                .fetch_all(&mut conn)
                .await
                .unwrap();
        assert_eq!(first, [(1, true), (2, true), (3, true), (5, true), (6, true)]);
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn a_current_schema_needs_no_writing_and_another_waits_for_it() {
        let database = test_cluster::database().await;
        let read_only = database.options.clone().options([("default_transaction_read_only", "on")]);
        migrate(&read_only).await.unwrap();
        let empty = test_cluster::empty_database().await;
        let read_only = empty.options.clone().options([("default_transaction_read_only", "on")]);
        let error = migrate(&read_only).await.unwrap_err();
        assert!(matches!(error, SchemaError::Failed { .. }) && error.is_temporary(), "{error}");
    }

    #[tokio::test]
    async fn servers_that_start_together_take_turns() {
        let database = test_cluster::empty_database().await;
        let (one, two, three) = tokio::join!(
            migrate(&database.options),
            migrate(&database.options),
            migrate(&database.options)
        );
        one.and(two).and(three).unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let database = test_cluster::database().await;
        let mut conn = database.connect().await;
        sqlx::query(
            "INSERT INTO noetl.schema_migration (version, description, success, checksum, \
             execution_time) VALUES (9001, 'from the future', true, '', 0)",
        )
        .execute(&mut conn)
        .await
        .unwrap();
        let error = migrate(&database.options).await.unwrap_err();
        assert!(matches!(error, SchemaError::Newer { version: 9001, .. }), "{error}");
    }

    #[tokio::test]
    async fn an_altered_migration_is_refused() {
        let database = test_cluster::database().await;
        let mut conn = database.connect().await;
        sqlx::query("UPDATE noetl.schema_migration SET checksum = ''")
            .execute(&mut conn)
            .await
            .unwrap();
        let error = migrate(&database.options).await.unwrap_err();
        assert!(matches!(error, SchemaError::Altered { version: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn an_older_servers_tables_are_left_alone() {
        let database = test_cluster::empty_database().await;
        let mut conn = database.connect().await;
        sqlx::raw_sql("CREATE SCHEMA noetl; CREATE TABLE noetl.runtime (runtime_id int)")
            .execute(&mut conn)
            .await
            .unwrap();
        let error = migrate(&database.options).await.unwrap_err();
        assert!(
            matches!(&error, SchemaError::Occupied { tables, .. } if tables == "runtime"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn every_column_of_the_views_is_explained() {
        let mut conn = test_cluster::database().await.connect().await;
        let bare: Vec<String> = sqlx::query_scalar(
            "SELECT attrelid::regclass || '.' || attname FROM pg_attribute
              WHERE attrelid IN ('noetl.metric'::regclass, 'noetl.metrics'::regclass)
                AND attnum > 0 AND col_description(attrelid, attnum) IS NULL",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        assert_eq!(bare, [""; 0]);
    }

    #[tokio::test]
    async fn every_table_and_view_is_explained() {
        let mut conn = test_cluster::database().await.connect().await;
        let bare: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
              WHERE relnamespace = 'noetl'::regnamespace AND relkind IN ('r', 'p', 'v')
                AND relname <> 'schema_migration' AND obj_description(oid, 'pg_class') IS NULL",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        assert_eq!(bare, [""; 0]);
    }
}
