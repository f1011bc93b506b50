//! Series and their slots, from canonical bytes to rows.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::{CHUNK_ROWS, DefinitionError, SeriesSlotDefinition, runtime_ids};
use crate::model::{ComponentKey, GroupId, RuntimeId, SeriesDefinition, Slot};
use crate::postgres::{Doing, StatementError};

/// Adds the series and slots that are missing, and brings type, help text and unit of the
/// series up to date; where one is defined several times, the last definition wins.
///
/// A series is found by its fingerprint and then compared in full. A slot never changes its
/// series. Each component must be in `noetl.runtime`.
pub async fn upsert_series(
    conn: &mut PgConnection,
    definitions: &[SeriesSlotDefinition],
) -> Result<(), DefinitionError> {
    let components = component_ids(conn, definitions).await?;
    let mut series = Vec::with_capacity(definitions.len());
    for definition in definitions {
        series.push(SeriesRow::new(definition, &components)?);
    }
    // Stable, so that of one fingerprint the last definition comes last.
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by_key(|&at| series[at].fingerprint);
    let distinct: Vec<&SeriesRow<'_>> = order
        .chunk_by(|&a, &b| series[a].fingerprint == series[b].fingerprint)
        .filter_map(|same| same.last().map(|&at| &series[at]))
        .collect();
    // Most are new. All that are, are inserted before any other is touched: both rounds go by
    // fingerprint, and so nobody waits for a row of the first round while holding one of the second.
    let mut ids = HashMap::with_capacity(distinct.len());
    for chunk in distinct.chunks(CHUNK_ROWS) {
        insert_series_rows(conn, chunk, &mut ids).await?;
    }
    let mut known = distinct;
    known.retain(|row| !ids.contains_key(&row.fingerprint));
    for chunk in known.chunks(CHUNK_ROWS) {
        update_series_rows(conn, chunk, &mut ids).await?;
    }
    let mut slots: Vec<SlotRow> = definitions
        .iter()
        .zip(&series)
        .filter_map(|(definition, row)| {
            let series_id = *ids.get(&row.fingerprint)?;
            Some(SlotRow { group: definition.group, slot: definition.slot, series_id })
        })
        .collect();
    slots.sort_unstable();
    slots.dedup();
    if let Some(pair) = slots.windows(2).find(|pair| pair[0].place() == pair[1].place()) {
        return Err(pair[0].taken());
    }
    for chunk in slots.chunks(CHUNK_ROWS) {
        insert_slot_rows(conn, chunk).await?;
    }
    Ok(())
}

async fn component_ids(
    conn: &mut PgConnection,
    definitions: &[SeriesSlotDefinition],
) -> Result<HashMap<ComponentKey, RuntimeId>, StatementError> {
    let mut keys: Vec<&ComponentKey> = definitions.iter().map(|d| &d.component).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(runtime_ids(conn, &keys).await?.into_iter().collect())
}

/// One row of `noetl.series`.
struct SeriesRow<'a> {
    fingerprint: Uuid,
    runtime_id: RuntimeId,
    series: SeriesDefinition<'a>,
    labels: String,
}

impl<'a> SeriesRow<'a> {
    fn new(
        definition: &'a SeriesSlotDefinition,
        components: &HashMap<ComponentKey, RuntimeId>,
    ) -> Result<Self, DefinitionError> {
        let unstorable = |reason| DefinitionError::Unstorable {
            group: definition.group,
            slot: definition.slot,
            reason,
        };
        let bytes = &definition.definition;
        let series = SeriesDefinition::parse(bytes)
            .ok_or_else(|| unstorable("its bytes are not the canonical form of a series"))?;
        if holds_nul(&series) {
            return Err(unstorable("PostgreSQL's text cannot hold the character U+0000"));
        }
        let component = &definition.component;
        let runtime_id = *components
            .get(component)
            .ok_or_else(|| DefinitionError::UnknownComponent { component: component.clone() })?;
        Ok(Self {
            fingerprint: fingerprint(component, &bytes[..series.identity_bytes()]),
            runtime_id,
            series,
            labels: labels_json(&series),
        })
    }
}

fn holds_nul(series: &SeriesDefinition<'_>) -> bool {
    let texts = [series.name(), series.help().unwrap_or(""), series.unit().unwrap_or("")];
    let labels = series.labels().flat_map(|(key, value)| [key, value]);
    texts.into_iter().chain(labels).any(|text| text.contains('\0'))
}

/// The first 16 bytes of SHA-256 over the component's type and name, each with its length
/// before it (u64, little-endian), and the series' canonical identity.
fn fingerprint(component: &ComponentKey, identity: &[u8]) -> Uuid {
    let mut hasher = Sha256::new();
    for part in [component.component_type(), component.name()] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(identity);
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize()[..16]);
    Uuid::from_bytes(first)
}

fn labels_json(series: &SeriesDefinition<'_>) -> String {
    let mut json = Vec::with_capacity(64);
    let mut serializer = serde_json::Serializer::new(&mut json);
    serde::Serializer::collect_map(&mut serializer, series.labels())
        .expect("strings are written to memory without error");
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Inserts the rows that are missing, in ascending order of their fingerprints, and adds their ids
/// to `ids`.
async fn insert_series_rows(
    conn: &mut PgConnection,
    rows: &[&SeriesRow<'_>],
    ids: &mut HashMap<Uuid, i64>,
) -> Result<(), DefinitionError> {
    let inserted: Vec<(Uuid, i64)> = bind_rows(
        sqlx::query_as(
            "INSERT INTO noetl.series
                    (fingerprint, runtime_id, metric_name, metric_type, labels, help_text, unit)
             SELECT fingerprint, runtime_id, name, type, labels::jsonb, help, unit
               FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::text[],
                           $7::text[])
                    AS new (fingerprint, runtime_id, name, type, labels, help, unit)
              ORDER BY fingerprint
             ON CONFLICT (fingerprint) DO NOTHING
             RETURNING fingerprint, series_id",
        ),
        rows,
    )
    .fetch_all(conn)
    .await
    .doing("insert series")?;
    ids.extend(inserted);
    Ok(())
}

/// Brings type, help text and unit of rows that are there up to date, in ascending order of their
/// fingerprints, and adds their ids to `ids`.
///
/// An upsert, for one may have been deleted meanwhile. The update is unconditional: only then does
/// the statement answer with every row, and a repeated definition is rare.
async fn update_series_rows(
    conn: &mut PgConnection,
    rows: &[&SeriesRow<'_>],
    ids: &mut HashMap<Uuid, i64>,
) -> Result<(), DefinitionError> {
    let upserted: Vec<(Uuid, i64, bool)> = bind_rows(
        sqlx::query_as(
            "WITH new AS (
                SELECT fingerprint, runtime_id, name, type, labels::jsonb AS labels, help, unit
                  FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::text[],
                              $6::text[], $7::text[])
                       AS new (fingerprint, runtime_id, name, type, labels, help, unit)
             ), upserted AS (
                INSERT INTO noetl.series AS s
                       (fingerprint, runtime_id, metric_name, metric_type, labels, help_text, unit)
                SELECT * FROM new ORDER BY fingerprint
                ON CONFLICT (fingerprint) DO UPDATE
                   SET metric_type = excluded.metric_type,
                       help_text = excluded.help_text,
                       unit = excluded.unit
                RETURNING s.fingerprint, s.series_id, s.runtime_id, s.metric_name, s.labels
             )
             SELECT fingerprint, series_id,
                    (upserted.runtime_id, metric_name, upserted.labels)
                        = (new.runtime_id, new.name, new.labels)
               FROM upserted JOIN new USING (fingerprint)",
        ),
        rows,
    )
    .fetch_all(conn)
    .await
    .doing("update series")?;
    for (fingerprint, series_id, same) in upserted {
        if !same {
            return Err(DefinitionError::SeriesAltered { series_id });
        }
        ids.insert(fingerprint, series_id);
    }
    Ok(())
}

/// Binds one array per column.
fn bind_rows<'q, O>(
    query: QueryAs<'q, Postgres, O, PgArguments>,
    rows: &[&'q SeriesRow<'_>],
) -> QueryAs<'q, Postgres, O, PgArguments> {
    let each = || rows.iter();
    query
        .bind(each().map(|row| row.fingerprint).collect::<Vec<_>>())
        .bind(each().map(|row| row.runtime_id.get()).collect::<Vec<_>>())
        .bind(each().map(|row| row.series.name()).collect::<Vec<_>>())
        .bind(each().map(|row| row.series.metric_type().as_str()).collect::<Vec<_>>())
        .bind(each().map(|row| row.labels.as_str()).collect::<Vec<_>>())
        .bind(each().map(|row| row.series.help()).collect::<Vec<_>>())
        .bind(each().map(|row| row.series.unit()).collect::<Vec<_>>())
}

/// One row of `noetl.series_slot`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SlotRow {
    group: GroupId,
    slot: Slot,
    series_id: i64,
}

impl SlotRow {
    fn place(&self) -> (GroupId, Slot) {
        (self.group, self.slot)
    }

    fn taken(&self) -> DefinitionError {
        DefinitionError::SlotTaken { group: self.group, slot: self.slot }
    }
}

/// Inserts the slots that are missing; those that are there must hold the same series.
async fn insert_slot_rows(
    conn: &mut PgConnection,
    rows: &[SlotRow],
) -> Result<(), DefinitionError> {
    let groups: Vec<i64> = rows.iter().map(|row| row.group.get()).collect();
    let slots: Vec<i16> = rows.iter().map(|row| i16::from(row.slot.get())).collect();
    let series: Vec<i64> = rows.iter().map(|row| row.series_id).collect();
    let inserted = sqlx::query(
        "INSERT INTO noetl.series_slot (group_id, slot, series_id)
         SELECT group_id, slot, series_id
           FROM unnest($1::int8[], $2::int2[], $3::int8[]) AS new (group_id, slot, series_id)
          ORDER BY group_id, slot
         ON CONFLICT (group_id, slot) DO NOTHING",
    )
    .bind(&groups)
    .bind(&slots)
    .bind(&series)
    .execute(&mut *conn)
    .await
    .doing("insert the slots of series")?
    .rows_affected();
    if inserted == rows.len() as u64 {
        return Ok(());
    }
    let differing: Option<i64> = sqlx::query_scalar(
        "SELECT ordinal
           FROM unnest($1::int8[], $2::int2[], $3::int8[]) WITH ORDINALITY
                AS new (group_id, slot, series_id, ordinal)
           LEFT JOIN noetl.series_slot AS old USING (group_id, slot)
          WHERE old.series_id IS DISTINCT FROM new.series_id
          ORDER BY ordinal
          LIMIT 1",
    )
    .bind(&groups)
    .bind(&slots)
    .bind(&series)
    .fetch_optional(conn)
    .await
    .doing("compare the slots of series")?;
    match differing.and_then(|ordinal| rows.get(usize::try_from(ordinal - 1).ok()?)) {
        Some(row) => Err(row.taken()),
        None => Ok(()),
    }
}
