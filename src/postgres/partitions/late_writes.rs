//! Which spans of time were written to after they were over: `noetl.late_write`.
//!
//! Noted in the transaction that writes the rows, so whoever has seen that transaction end knows
//! of its writes. The time is PostgreSQL's own, one clock for all servers.

use sqlx::PgConnection;

use crate::model::Timestamp;
use crate::postgres::timestamptz::Timestamptz;
use crate::postgres::{Doing, StatementError};

/// Notes those of the spans, in the order of time, that are over. Again only after an hour, so
/// that a backfill by two servers has neither wait for the other.
pub async fn note(
    conn: &mut PgConnection,
    spans: &[(Timestamp, Timestamp)],
) -> Result<(), StatementError> {
    let (starts, ends): (Vec<_>, Vec<_>) =
        spans.iter().map(|(from, to)| (Timestamptz(*from), Timestamptz(*to))).unzip();
    sqlx::query(
        "INSERT INTO noetl.late_write AS known (starts_at, ends_at, written_at)
         SELECT starts_at, ends_at, now()
           FROM unnest($1::timestamptz[], $2::timestamptz[]) AS span (starts_at, ends_at)
          WHERE ends_at <= now()
            AND NOT EXISTS (SELECT FROM noetl.late_write fresh
                             WHERE fresh.starts_at = span.starts_at
                               AND fresh.ends_at = span.ends_at
                               AND fresh.written_at > now() - interval '1 hour')
          ORDER BY starts_at, ends_at
             ON CONFLICT (starts_at, ends_at) DO UPDATE
            SET written_at = greatest(known.written_at, excluded.written_at)",
    )
    .bind(starts)
    .bind(ends)
    .execute(conn)
    .await
    .doing("note late writes")?;
    Ok(())
}

/// Whether something was written within a day for a time between `from` and `to`. What is noted
/// may be an hour older than the last write.
pub(super) async fn within_a_day(
    conn: &mut PgConnection,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool, StatementError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM noetl.late_write
                         WHERE starts_at < $2 AND ends_at > $1
                           AND written_at > now() - interval '25 hours')",
    )
    .bind(Timestamptz(from))
    .bind(Timestamptz(to))
    .fetch_one(conn)
    .await
    .doing("look for late writes")
}

/// Forgets what no longer keeps a partition.
pub(super) async fn prune(conn: &mut PgConnection) -> Result<(), StatementError> {
    sqlx::query("DELETE FROM noetl.late_write WHERE written_at < now() - interval '2 days'")
        .execute(conn)
        .await
        .doing("forget old late writes")?;
    Ok(())
}
