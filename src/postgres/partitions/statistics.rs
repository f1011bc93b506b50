//! The planner's statistics of `noetl.report` as a whole.
//!
//! Autovacuum keeps those of each partition and never those of the parent, from which joins are
//! estimated. Names and values are never looked up by, so only the columns that are get read.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::postgres::{Doing, StatementError};

/// How long the locks are waited for. Taking the sample holds up the creation of a partition and
/// nothing else, and so does waiting for it.
const LOCK_WAIT: &str = "1s";

/// Whether the statistics are missing, a day old, or of a fifth more or less rows than there are.
pub async fn are_stale(conn: &mut PgConnection) -> Result<bool, StatementError> {
    sqlx::query_scalar(catalogue!(
        "SELECT coalesce(rows >= 1000 AND (analyzed IS NULL
                                           OR analyzed < now() - interval '1 day'
                                           OR abs(rows - known) > known / 5), false)
           FROM (SELECT sum(CASE WHEN reltuples > 0 THEN reltuples
                                 ELSE pg_stat_get_live_tuples(oid) END) AS rows
                   FROM ranged) there,
                (SELECT reltuples::float8 AS known, pg_stat_get_last_analyze_time(oid) AS analyzed
                   FROM pg_class WHERE oid = 'noetl.report'::regclass) parent"
    ))
    .fetch_one(conn)
    .await
    .doing("look how old the statistics of noetl.report are")
}

/// Makes them anew, from a sample.
pub async fn analyze(conn: &mut PgConnection) -> Result<(), StatementError> {
    let statements = [
        format!("SET lock_timeout = '{LOCK_WAIT}'"),
        "ANALYZE noetl.report (group_id, ts)".to_owned(),
        "RESET lock_timeout".to_owned(),
    ];
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *conn)
            .await
            .doing("analyze noetl.report")?;
    }
    Ok(())
}
