//! Writing definitions: components, series, and the slots that series have in groups.
//!
//! Everything here is an upsert, so that a replayed definition changes nothing, and belongs in
//! the transaction that writes the first rows which need it. Within that transaction call
//! [`upsert_components`] once, then [`upsert_series`] once: each locks its rows in one order (by
//! key, by fingerprint), so that two servers with overlapping definitions wait for each other and
//! never in a circle.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::timestamptz::Timestamptz;
use super::{Doing, StatementError};
use crate::model::{ComponentKey, GroupId, RuntimeId, Slot, Timestamp};

mod series;

pub use series::upsert_series;

/// Rows of one statement: large enough that the round trip does not count, small enough that a
/// statement's parameters stay within a few megabytes.
const CHUNK_ROWS: usize = 10_000;

/// Other ids that are tried when a component's id is another one's already.
const ID_ATTEMPTS_MAX: i64 = 16;

/// A component as the log defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentDefinition {
    /// Its key.
    pub key: ComponentKey,
    /// The id it should get, see [`RuntimeId::derive`].
    pub runtime_id: RuntimeId,
    /// When the server first took something of it.
    pub first_seen: Timestamp,
}

/// A series at its place in a group, as the log defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSlotDefinition {
    /// The group.
    pub group: GroupId,
    /// The place in it.
    pub slot: Slot,
    /// The series' component, which must be in `noetl.runtime`.
    pub component: ComponentKey,
    /// The series' canonical bytes, see [`crate::model::series`].
    pub definition: Vec<u8>,
}

/// Why definitions could not be written. The transaction is to be rolled back.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The canonical bytes are none, or hold U+0000.
    #[error(
        "the definition of slot {} in group {} cannot be stored: {reason}; set it aside",
        slot.get(), group.get()
    )]
    Unstorable {
        /// The group.
        group: GroupId,
        /// The slot.
        slot: Slot,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The component was never upserted.
    #[error("noetl.runtime has no component {component}; upsert components before their series")]
    UnknownComponent {
        /// The component.
        component: ComponentKey,
    },
    /// Ids next to the component's own are taken as well.
    #[error(
        "component {component} finds no free runtime_id: its hash and the {ID_ATTEMPTS_MAX} ids \
         after it belong to other components; look at noetl.runtime"
    )]
    NoFreeId {
        /// The component.
        component: ComponentKey,
    },
    /// The row with the series' fingerprint holds something else.
    #[error(
        "noetl.series row {series_id} has the fingerprint of another series: it was changed by \
         hand; restore its runtime_id, metric_name and labels, or delete it"
    )]
    SeriesAltered {
        /// The row.
        series_id: i64,
    },
    /// The slot belongs to another series.
    #[error(
        "slot {} of group {} belongs to another series; the log does not fit this database",
        slot.get(), group.get()
    )]
    SlotTaken {
        /// The group.
        group: GroupId,
        /// The slot.
        slot: Slot,
    },
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// Adds the components that are missing, and answers with the id that each of `components` has,
/// in ascending order of their keys.
///
/// A row that is there keeps its id and everything else. A new one whose id belongs to another
/// component (a collision of 53-bit hashes) gets the next free one after it; so what counts is
/// the answer, never the id in the definition.
pub async fn upsert_components(
    conn: &mut PgConnection,
    components: &[ComponentDefinition],
) -> Result<Vec<(ComponentKey, RuntimeId)>, DefinitionError> {
    let mut sorted: Vec<&ComponentDefinition> = components.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.dedup_by(|a, b| a.key == b.key);
    let mut canonical = Vec::with_capacity(sorted.len());
    for chunk in sorted.chunks(CHUNK_ROWS) {
        let mut missing = chunk.to_vec();
        let mut found = HashMap::with_capacity(chunk.len());
        for attempt in 0..=ID_ATTEMPTS_MAX {
            insert_components(conn, &missing, attempt).await?;
            let keys: Vec<_> = missing.iter().map(|component| &component.key).collect();
            found.extend(runtime_ids(conn, &keys).await?);
            missing.retain(|component| !found.contains_key(&component.key));
            if missing.is_empty() {
                break;
            }
        }
        if let Some(component) = missing.first() {
            return Err(DefinitionError::NoFreeId { component: component.key.clone() });
        }
        canonical.extend(chunk.iter().filter_map(|component| found.remove_entry(&component.key)));
    }
    Ok(canonical)
}

/// A conflict of either kind, on the key or on the id, leaves the row out; reading back tells
/// which it was.
async fn insert_components(
    conn: &mut PgConnection,
    components: &[&ComponentDefinition],
    id_offset: i64,
) -> Result<(), StatementError> {
    let each = || components.iter();
    sqlx::query(
        "INSERT INTO noetl.runtime
                (runtime_id, component_type, name, last_heartbeat, created_at, updated_at)
         SELECT id, component_type, name, seen, seen, seen
           FROM unnest($1::int8[], $2::text[], $3::text[], $4::timestamptz[])
                AS new (id, component_type, name, seen)
          ORDER BY component_type COLLATE \"C\", name COLLATE \"C\"
         ON CONFLICT DO NOTHING",
    )
    .bind(each().map(|c| c.runtime_id.get().saturating_add(id_offset)).collect::<Vec<_>>())
    .bind(each().map(|c| c.key.component_type()).collect::<Vec<_>>())
    .bind(each().map(|c| c.key.name()).collect::<Vec<_>>())
    .bind(each().map(|c| Timestamptz(c.first_seen)).collect::<Vec<_>>())
    .execute(conn)
    .await
    .doing("insert components")?;
    Ok(())
}

/// The ids of those components that are in the registry.
pub async fn runtime_ids(
    conn: &mut PgConnection,
    components: &[&ComponentKey],
) -> Result<Vec<(ComponentKey, RuntimeId)>, StatementError> {
    let mut ids = Vec::with_capacity(components.len());
    for chunk in components.chunks(CHUNK_ROWS) {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT ordinal, runtime_id
               FROM unnest($1::text[], $2::text[]) WITH ORDINALITY
                    AS wanted (component_type, name, ordinal)
               JOIN noetl.runtime USING (component_type, name)
              ORDER BY ordinal",
        )
        .bind(chunk.iter().map(|key| key.component_type()).collect::<Vec<_>>())
        .bind(chunk.iter().map(|key| key.name()).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await
        .doing("look up the ids of components")?;
        let mut rows = rows.into_iter().peekable();
        ids.extend(chunk.iter().zip(1_i64..).filter_map(|(key, ordinal)| {
            let (_, runtime_id) = rows.next_if(|(found, _)| *found == ordinal)?;
            Some(((*key).clone(), RuntimeId::from_raw(runtime_id)))
        }));
    }
    Ok(ids)
}

#[cfg(test)]
pub(super) mod tests;
