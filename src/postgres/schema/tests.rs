use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType};

use super::*;
use crate::postgres::test_cluster::{self, TestDatabase};

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
    assert_eq!(first, [(1, true), (2, true), (3, true), (5, true), (6, true), (8, true)]);
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

/// What a release later than this one knows: the migrations of this one, and those given.
fn later(more: &[(i64, &'static str)]) -> Migrator {
    let more = more.iter().map(|(version, text)| {
        let text = text.into_sql_str();
        Migration::new(*version, "of a later release".into(), MigrationType::Simple, text, false)
    });
    let known = known();
    let mut later = Migrator::with_migrations(known.iter().cloned().chain(more).collect());
    later.dangerous_set_table_name(MIGRATION_TABLE);
    later
}

async fn migrate_later(
    database: &TestDatabase,
    more: &[(i64, &'static str)],
) -> Result<(), SchemaError> {
    migrate_on(&mut database.connect().await, "the database", later(more)).await
}

const ADDS: (i64, &str) = (9001, "ALTER TABLE noetl.report ADD COLUMN later integer");
const TAKES: (i64, &str) = (
    9002,
    "ALTER TABLE noetl.report DROP COLUMN offsets_us CASCADE;
     UPDATE noetl.schema_floor SET oldest = 9001",
);

#[tokio::test]
async fn a_newer_schema_is_used_until_it_takes_away_what_this_server_needs() {
    let database = test_cluster::database().await;
    migrate_later(&database, &[ADDS]).await.unwrap();
    migrate(&database.options).await.unwrap();
    migrate_later(&database, &[ADDS, TAKES]).await.unwrap();
    let error = migrate(&database.options).await.unwrap_err();
    assert!(matches!(error, SchemaError::Newer { version: 9002, known: 8, .. }), "{error}");
    assert!(!error.is_temporary());
    // The release in between knows what the schema asks for.
    migrate_later(&database, &[ADDS]).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_that_does_not_say_who_may_use_it_is_refused() {
    let database = test_cluster::database().await;
    migrate_later(&database, &[ADDS]).await.unwrap();
    let mut conn = database.connect().await;
    for forget in ["DELETE FROM noetl.schema_floor", "DROP TABLE noetl.schema_floor"] {
        sqlx::query(forget).execute(&mut conn).await.unwrap();
        let error = migrate(&database.options).await.unwrap_err();
        assert!(matches!(error, SchemaError::Newer { version: 9001, .. }), "{error}");
    }
}

#[tokio::test]
async fn what_a_server_lacks_is_added_also_beneath_a_newer_schema() {
    let database = test_cluster::database().await;
    migrate_later(&database, &[(9003, "CREATE TABLE noetl.of_two ()")]).await.unwrap();
    migrate_later(&database, &[ADDS]).await.unwrap();
    let mut conn = database.connect().await;
    let versions: Vec<i64> = sqlx::query_scalar(
        "SELECT version FROM noetl.schema_migration WHERE version > 9000 ORDER BY version",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(versions, [9001, 9003]);
}

#[tokio::test]
async fn a_migration_gives_way_to_who_uses_the_table_and_is_tried_again() {
    let database = test_cluster::database().await;
    let mut reading = database.connect().await;
    let mut transaction = reading.begin().await.unwrap();
    sqlx::query("SELECT FROM noetl.report").execute(&mut *transaction).await.unwrap();
    let error = migrate_later(&database, &[ADDS]).await.unwrap_err();
    assert!(matches!(error, SchemaError::InTheWay { version: 9001, .. }), "{error}");
    assert!(error.is_temporary());
    // Nobody waits behind it any more.
    let mut writing = database.connect().await;
    let mut write = writing.begin().await.unwrap();
    sqlx::query("LOCK TABLE noetl.report IN ROW EXCLUSIVE MODE NOWAIT")
        .execute(&mut *write)
        .await
        .unwrap();
    write.rollback().await.unwrap();
    transaction.rollback().await.unwrap();
    migrate_later(&database, &[ADDS]).await.unwrap();
}

/// What is done here cannot be seen from the text alone, but what takes something away is written
/// with one of these words; the first migrations had no servers before them.
#[test]
fn a_migration_that_takes_away_says_which_servers_can_go_on() {
    let takes_away = |text: &str| {
        let words = ["DROP ", "RENAME ", "SET NOT NULL", " TYPE ", "ADD CONSTRAINT", "REVOKE "];
        let text = text.to_uppercase();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        words.iter().any(|word| code.clone().any(|line| line.contains(word)))
    };
    assert!(takes_away(TAKES.1) && !takes_away(ADDS.1));
    for one in known().iter().filter(|one| one.version > 8) {
        let text = one.sql.as_str();
        let says = text.contains("noetl.schema_floor");
        assert!(says || !takes_away(text), "migration {} says nothing", one.version);
    }
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
