//! The registry's rows as registrations, heartbeats and the sweeper change them: `noetl.runtime`.
//!
//! How long ago something happened is told, not when, and PostgreSQL counts back from its own
//! now: so all heartbeats are told by one clock, whatever the clocks of the servers say, and
//! silence is measured by the clock that noted the last sign of life.

use sqlx::{Connection, PgConnection};

use super::definitions::{self, ComponentDefinition, DefinitionError};
use super::timestamptz::Timestamptz;
use super::{Doing, StatementError};
use crate::model::{
    ComponentKey, Details, ListedComponent, RuntimeId, STATUS_OFFLINE, STATUS_READY, Timestamp,
};

/// Rows of one statement. A statement holds the locks of its rows until its transaction ends, so
/// that with fewer nobody waits long.
const CHUNK_ROWS: usize = 10_000;

/// By how much a change may have come before the one that is in its way, in seconds, and win all
/// the same. Those of one server are written in their order, some sooner than others.
const LATE_S: f64 = 5.0;

/// How far in the future a heartbeat may lie before it is taken for one of a clock that was set
/// back, in seconds.
const FUTURE_S: f64 = 60.0;

/// A component as it has registered.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Its key.
    pub key: &'a ComponentKey,
    /// The id it gets unless it has one, see [`RuntimeId::derive`].
    pub runtime_id: RuntimeId,
    /// When it was first seen, by this server's clock.
    pub first_seen: Timestamp,
    /// What its status is to be.
    pub status: &'a str,
    /// What it said of itself.
    pub details: &'a Details,
    /// How long ago it registered, in microseconds.
    pub age_us: i64,
}

/// What PostgreSQL's clock says.
pub async fn now(conn: &mut PgConnection) -> Result<Timestamp, StatementError> {
    let now: Timestamptz = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(conn)
        .await
        .doing("ask PostgreSQL for the time")?;
    Ok(now.0)
}

/// Adds the components that are missing and updates the others, unless they have changed since;
/// answers with the id of each, in ascending order of their keys.
///
/// Commits on its own, so `conn` must not be in a transaction. Each key may stand once.
pub async fn register(
    conn: &mut PgConnection,
    registrations: &[Registration<'_>],
) -> Result<Vec<(ComponentKey, RuntimeId)>, DefinitionError> {
    let definition = |one: &Registration<'_>| ComponentDefinition {
        key: one.key.clone(),
        runtime_id: one.runtime_id,
        first_seen: one.first_seen,
    };
    let definitions: Vec<_> = registrations.iter().map(definition).collect();
    let mut tx = conn.begin().await.doing("begin a registration")?;
    let ids = definitions::upsert_components(&mut tx, &definitions).await?;
    let mut sorted: Vec<&Registration<'_>> = registrations.iter().collect();
    sorted.sort_by_key(|one| one.key);
    let rows: Vec<_> =
        ids.iter().zip(&sorted).map(|((_, id), registration)| (*id, *registration)).collect();
    for chunk in rows.chunks(CHUNK_ROWS) {
        update(&mut tx, chunk).await?;
    }
    tx.commit().await.doing("commit a registration")?;
    Ok(ids)
}

async fn update(
    conn: &mut PgConnection,
    rows: &[(RuntimeId, &Registration<'_>)],
) -> Result<(), StatementError> {
    let details = || rows.iter().map(|(_, one)| one.details);
    sqlx::query(
        "WITH new AS (
            SELECT *, now() - age_us * interval '1 microsecond' AS at
              FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::int4[],
                          $7::text[], $8::int4[], $9::text[], $10::text[])
                   AS new (runtime_id, age_us, status, base_url, runtime, capacity,
                           labels, pid, hostname, meta)
         ), locked AS (
            SELECT new.*
              FROM noetl.runtime old JOIN new USING (runtime_id)
             ORDER BY runtime_id
               FOR NO KEY UPDATE OF old
         )
         UPDATE noetl.runtime old
            SET status = new.status, base_url = new.base_url, runtime = new.runtime,
                capacity = new.capacity, labels = new.labels::jsonb, pid = new.pid,
                hostname = new.hostname, meta = new.meta::jsonb, updated_at = new.at,
                last_heartbeat = greatest(old.last_heartbeat, new.at)
           FROM locked new
          WHERE old.runtime_id = new.runtime_id
            AND (old.updated_at <= new.at + $12 * interval '1 second'
                 OR old.updated_at > now() + $11 * interval '1 second')",
    )
    .bind(rows.iter().map(|(id, _)| id.get()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, one)| one.age_us).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, one)| one.status).collect::<Vec<_>>())
    .bind(details().map(|of| of.base_url.as_deref()).collect::<Vec<_>>())
    .bind(details().map(|of| of.runtime.as_deref()).collect::<Vec<_>>())
    .bind(details().map(|of| of.capacity).collect::<Vec<_>>())
    .bind(details().map(|of| of.labels.as_deref()).collect::<Vec<_>>())
    .bind(details().map(|of| of.pid).collect::<Vec<_>>())
    .bind(details().map(|of| of.hostname.as_deref()).collect::<Vec<_>>())
    .bind(details().map(|of| of.meta.as_deref()).collect::<Vec<_>>())
    .bind(FUTURE_S)
    .bind(LATE_S)
    .execute(conn)
    .await
    .doing("update registered components")?;
    Ok(())
}

/// Marks components offline that took their leave so many microseconds ago, unless they have
/// changed since. That they did is their last sign of life, so that one which was heard before and
/// is written later does not bring them back.
pub async fn deregister(
    conn: &mut PgConnection,
    leaving: &[(&ComponentKey, i64)],
) -> Result<(), StatementError> {
    for chunk in leaving.chunks(CHUNK_ROWS) {
        sqlx::query(
            "WITH leaving AS (
                SELECT component_type, name, now() - age_us * interval '1 microsecond' AS at
                  FROM unnest($1::text[], $2::text[], $3::int8[]) AS l (component_type, name, age_us)
             ), locked AS (
                SELECT runtime_id, at
                  FROM noetl.runtime JOIN leaving USING (component_type, name)
                 ORDER BY runtime_id
                   FOR NO KEY UPDATE OF runtime
             )
             UPDATE noetl.runtime old
                SET status = $4, updated_at = at, last_heartbeat = at
               FROM locked
              WHERE old.runtime_id = locked.runtime_id
                AND (old.updated_at <= at + $6 * interval '1 second'
                     OR old.updated_at > now() + $5 * interval '1 second')",
        )
        .bind(chunk.iter().map(|(key, _)| key.component_type()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|(key, _)| key.name()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|(_, age_us)| *age_us).collect::<Vec<_>>())
        .bind(STATUS_OFFLINE)
        .bind(FUTURE_S)
        .bind(LATE_S)
        .execute(&mut *conn)
        .await
        .doing("mark deregistered components")?;
    }
    Ok(())
}

/// Notes that the components were heard so many microseconds ago, and that those are back which
/// were offline. A heartbeat only moves forward, unless it lies in the future. Ids that are not in
/// the registry are passed over.
pub async fn beat(
    conn: &mut PgConnection,
    heard: &[(RuntimeId, i64)],
) -> Result<(), StatementError> {
    let mut latest = heard.to_vec();
    latest.sort_unstable();
    latest.dedup_by_key(|one| one.0);
    for chunk in latest.chunks(CHUNK_ROWS) {
        sqlx::query(
            "WITH heard AS (
                SELECT runtime_id, now() - age_us * interval '1 microsecond' AS at
                  FROM unnest($1::int8[], $2::int8[]) AS heard (runtime_id, age_us)
             ), locked AS (
                SELECT runtime_id, heard.at
                  FROM noetl.runtime old JOIN heard USING (runtime_id)
                 WHERE old.last_heartbeat < heard.at
                    OR old.last_heartbeat > now() + $3 * interval '1 second'
                 ORDER BY runtime_id
                   FOR NO KEY UPDATE OF old
             )
             UPDATE noetl.runtime old
                SET last_heartbeat = locked.at,
                    status = CASE status WHEN $4 THEN $5 ELSE status END,
                    updated_at = CASE status WHEN $4 THEN now() ELSE updated_at END
               FROM locked
              WHERE old.runtime_id = locked.runtime_id",
        )
        .bind(chunk.iter().map(|(id, _)| id.get()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|(_, age_us)| *age_us).collect::<Vec<_>>())
        .bind(FUTURE_S)
        .bind(STATUS_OFFLINE)
        .bind(STATUS_READY)
        .execute(&mut *conn)
        .await
        .doing("write heartbeats")?;
    }
    Ok(())
}

/// Marks those offline that were not heard for longer than `silence_us`; answers who they are.
///
/// Several servers may do so at once: what another one is about to change is left to it.
pub async fn sweep(
    conn: &mut PgConnection,
    silence_us: i64,
) -> Result<Vec<RuntimeId>, StatementError> {
    let swept: Vec<i64> = sqlx::query_scalar(
        "WITH silent AS (
            SELECT runtime_id
              FROM noetl.runtime
             WHERE status <> $2 AND last_heartbeat < now() - $1 * interval '1 microsecond'
             ORDER BY runtime_id
               FOR NO KEY UPDATE SKIP LOCKED
         )
         UPDATE noetl.runtime old SET status = $2, updated_at = now()
           FROM silent
          WHERE old.runtime_id = silent.runtime_id
         RETURNING old.runtime_id",
    )
    .bind(silence_us)
    .bind(STATUS_OFFLINE)
    .fetch_all(conn)
    .await
    .doing("mark silent components")?;
    Ok(swept.into_iter().map(RuntimeId::from_raw).collect())
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    runtime_id: i64,
    component_type: String,
    name: String,
    status: String,
    runtime: Option<String>,
    capacity: Option<i32>,
    labels: Option<String>,
    last_heartbeat: Timestamptz,
    created_at: Timestamptz,
    updated_at: Timestamptz,
}

/// Up to `max` components, of one type if one is given, in the order of type and name, byte by
/// byte. A row whose type or name no server would write is left out.
pub async fn list(
    conn: &mut PgConnection,
    component_type: Option<&str>,
    max: usize,
) -> Result<Vec<ListedComponent>, sqlx::Error> {
    let rows: Vec<ListedRow> = sqlx::query_as(
        "SELECT runtime_id, component_type, name, status, runtime, capacity, labels::text,
                last_heartbeat, created_at, updated_at
           FROM noetl.runtime
          WHERE $1::text IS NULL OR component_type = $1
          ORDER BY component_type COLLATE \"C\", name COLLATE \"C\"
          LIMIT $2",
    )
    .bind(component_type)
    .bind(i64::try_from(max).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    let listed = |row: ListedRow| {
        let key = ComponentKey::new(&row.component_type, &row.name).ok()?;
        Some(ListedComponent {
            key,
            runtime_id: RuntimeId::from_raw(row.runtime_id),
            status: row.status.into(),
            runtime: row.runtime.map(Into::into),
            capacity: row.capacity,
            labels: row.labels.map(Into::into),
            last_heartbeat: row.last_heartbeat.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        })
    };
    Ok(rows.into_iter().filter_map(listed).collect())
}

#[cfg(test)]
mod tests;
