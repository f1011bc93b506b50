//! Reading definitions back, so that a server that starts can go on with the groups there are.
//!
//! Canonical bytes are not stored; they are built again from the columns, byte for byte as they
//! were (labels are put back in order, for jsonb keeps an order of its own).

use std::collections::{BTreeMap, HashMap, VecDeque};

use sqlx::PgConnection;

use super::timestamptz::Timestamptz;
use super::{Doing, StatementError};
use crate::model::limits::UNIT_BYTES_MAX;
use crate::model::{
    ComponentKey, Details, GroupId, MetricType, Profile, RuntimeId, SeriesDefinition, Slot,
    StoredComponent, StoredSeries, Timestamp, series,
};

/// Components whose series are read by one statement.
const PAGE_COMPONENTS: usize = 256;

/// How much [`components_since`] reads at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLimits {
    /// Components; those seen last come first.
    pub components_max: u32,
    /// Series: once as many were read, no further page is.
    pub series_max: usize,
    /// Places of series of one component: those of its newest groups.
    pub component_series_max: usize,
}

/// Why definitions cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// A row of the registry is not one that a server writes.
    #[error(
        "noetl.runtime row {runtime_id} cannot be read back: {reason}; correct it and try again"
    )]
    Component {
        /// The row.
        runtime_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A series is not one that a server writes.
    #[error("noetl.series row {series_id} cannot be read back: {reason}; correct it and try again")]
    Series {
        /// The row.
        series_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// A row of `noetl.runtime`.
#[derive(sqlx::FromRow)]
struct ComponentRow {
    runtime_id: i64,
    component_type: String,
    name: String,
    status: String,
    base_url: Option<String>,
    runtime: Option<String>,
    capacity: Option<i32>,
    labels: Option<String>,
    pid: Option<i32>,
    hostname: Option<String>,
    meta: Option<String>,
    last_heartbeat: Timestamptz,
    created_at: Timestamptz,
    updated_at: Timestamptz,
}

type SeriesRow = (i64, i64, i16, i64, String, String, String, Option<String>, Option<String>);

/// Components without their series, waiting to be read page by page.
#[derive(Debug)]
pub struct ComponentPages {
    waiting: VecDeque<StoredComponent>,
    series_left: usize,
    component_series_max: usize,
}

/// The components that gave a sign of life at `since` or later, the latest first.
pub async fn components_since(
    conn: &mut PgConnection,
    since: Timestamp,
    limits: LoadLimits,
) -> Result<ComponentPages, StoredError> {
    let rows: Vec<ComponentRow> = sqlx::query_as(
        "SELECT runtime_id, component_type, name, status, base_url, runtime, capacity,
                labels::text, pid, hostname, meta::text, last_heartbeat, created_at, updated_at
           FROM noetl.runtime
          WHERE last_heartbeat >= $1
          ORDER BY last_heartbeat DESC, runtime_id
          LIMIT $2",
    )
    .bind(Timestamptz(since))
    .bind(i64::from(limits.components_max))
    .fetch_all(conn)
    .await
    .doing("read the components seen lately")?;
    let waiting = rows.into_iter().map(component).collect::<Result<_, _>>()?;
    let LoadLimits { series_max: series_left, component_series_max, .. } = limits;
    Ok(ComponentPages { waiting, series_left, component_series_max })
}

impl ComponentPages {
    /// The next components; `None` after the last, and once [`LoadLimits::series_max`]
    /// is reached. A page holds the series of up to 256 components.
    pub async fn next(
        &mut self,
        conn: &mut PgConnection,
    ) -> Result<Option<Vec<StoredComponent>>, StoredError> {
        if self.waiting.is_empty() || self.series_left == 0 {
            return Ok(None);
        }
        let count = self.waiting.len().min(PAGE_COMPONENTS);
        let mut page: Vec<_> = self.waiting.drain(..count).collect();
        fill_series(conn, &mut page, self.component_series_max).await?;
        let read = page.iter().map(|component| component.series.len()).sum();
        self.series_left = self.series_left.saturating_sub(read);
        Ok(Some(page))
    }
}

/// Those of the components that are in the registry, in no order, with up to `series_max` places of
/// each one's series.
pub async fn components_by_key(
    conn: &mut PgConnection,
    keys: &[ComponentKey],
    series_max: usize,
) -> Result<Vec<StoredComponent>, StoredError> {
    let mut components = Vec::with_capacity(keys.len());
    for keys in keys.chunks(PAGE_COMPONENTS) {
        let rows: Vec<ComponentRow> = sqlx::query_as(
            "SELECT DISTINCT runtime_id, component_type, name, status, base_url, runtime, capacity,
                    labels::text, pid, hostname, meta::text, last_heartbeat, created_at, updated_at
               FROM noetl.runtime
               JOIN unnest($1::text[], $2::text[]) AS wanted (component_type, name)
                    USING (component_type, name)",
        )
        .bind(keys.iter().map(ComponentKey::component_type).collect::<Vec<_>>())
        .bind(keys.iter().map(ComponentKey::name).collect::<Vec<_>>())
        .fetch_all(&mut *conn)
        .await
        .doing("read components by key")?;
        let mut page = rows.into_iter().map(component).collect::<Result<Vec<_>, _>>()?;
        fill_series(conn, &mut page, series_max).await?;
        components.append(&mut page);
    }
    Ok(components)
}

/// The components of these names, of whatever type, read as [`components_by_key`] does.
pub async fn components_by_name(
    conn: &mut PgConnection,
    names: &[&str],
    series_max: usize,
) -> Result<Vec<StoredComponent>, StoredError> {
    let rows: Vec<ComponentRow> = sqlx::query_as(
        "SELECT runtime_id, component_type, name, status, base_url, runtime, capacity,
                labels::text, pid, hostname, meta::text, last_heartbeat, created_at, updated_at
           FROM noetl.runtime WHERE name = ANY ($1)",
    )
    .bind(names)
    .fetch_all(&mut *conn)
    .await
    .doing("read components by name")?;
    let mut components = rows.into_iter().map(component).collect::<Result<Vec<_>, _>>()?;
    for page in components.chunks_mut(PAGE_COMPONENTS) {
        fill_series(conn, page, series_max).await?;
    }
    Ok(components)
}

/// The component with that id, if there is one, read as [`components_by_key`] does.
pub async fn component_by_id(
    conn: &mut PgConnection,
    runtime_id: RuntimeId,
    series_max: usize,
) -> Result<Option<StoredComponent>, StoredError> {
    let row: Option<ComponentRow> = sqlx::query_as(
        "SELECT runtime_id, component_type, name, status, base_url, runtime, capacity,
                labels::text, pid, hostname, meta::text, last_heartbeat, created_at, updated_at
           FROM noetl.runtime WHERE runtime_id = $1",
    )
    .bind(runtime_id.get())
    .fetch_optional(&mut *conn)
    .await
    .doing("read a component by id")?;
    let Some(row) = row else { return Ok(None) };
    let mut page = vec![component(row)?];
    fill_series(conn, &mut page, series_max).await?;
    Ok(page.pop())
}

fn component(row: ComponentRow) -> Result<StoredComponent, StoredError> {
    let runtime_id = row.runtime_id;
    let key = ComponentKey::new(&row.component_type, &row.name)
        .map_err(|error| StoredError::Component { runtime_id, reason: error.to_string() })?;
    let details = Details {
        base_url: row.base_url.map(Into::into),
        runtime: row.runtime.map(Into::into),
        capacity: row.capacity,
        labels: row.labels.map(Into::into),
        pid: row.pid,
        hostname: row.hostname.map(Into::into),
        meta: row.meta.map(Into::into),
    };
    let profile = Profile {
        status: row.status.into(),
        details,
        created_at: row.created_at.0,
        updated_at: row.updated_at.0,
    };
    Ok(StoredComponent {
        key,
        runtime_id: RuntimeId::from_raw(runtime_id),
        profile,
        last_heartbeat: row.last_heartbeat.0,
        series: Vec::new(),
    })
}

/// Reads where the series of the components stand, up to `series_max` places of each: those in its
/// newest groups, of which the oldest may be read in part, from some slot on.
async fn fill_series(
    conn: &mut PgConnection,
    components: &mut [StoredComponent],
    series_max: usize,
) -> Result<(), StoredError> {
    let ids: Vec<i64> = components.iter().map(|component| component.runtime_id.get()).collect();
    // The fence (`OFFSET 0`) has slots looked up by index, one series at a time: without it, and
    // without statistics yet, PostgreSQL reads the whole of series_slot for every page.
    let rows: Vec<SeriesRow> = sqlx::query_as(
        "SELECT found.runtime_id, found.group_id, found.slot, found.series_id, found.metric_name,
                found.metric_type, found.labels::text, found.help_text, found.unit
           FROM unnest($1::bigint[]) AS wanted (runtime_id)
          CROSS JOIN LATERAL (
                SELECT s.*, p.group_id, p.slot
                  FROM noetl.series s
                 CROSS JOIN LATERAL (SELECT group_id, slot FROM noetl.series_slot
                                      WHERE series_id = s.series_id OFFSET 0) p
                 WHERE s.runtime_id = wanted.runtime_id
                 ORDER BY p.group_id DESC, p.slot DESC
                 LIMIT $2) found
          ORDER BY found.group_id, found.slot",
    )
    .bind(&ids)
    .bind(i64::try_from(series_max).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await
    .doing("read the series of components")?;
    let places: HashMap<i64, usize> = ids.into_iter().zip(0..).collect();
    for row in rows {
        if let Some(&place) = places.get(&row.0) {
            components[place].series.push(stored_series(&row)?);
        }
    }
    Ok(())
}

fn stored_series(row: &SeriesRow) -> Result<StoredSeries, StoredError> {
    let (_, group, slot, series_id, name, metric_type, labels, help, unit) = row;
    let damaged = |reason: String| StoredError::Series { series_id: *series_id, reason };
    let (Some(group), Some(slot)) =
        (GroupId::from_raw(*group), u8::try_from(*slot).ok().and_then(Slot::new))
    else {
        return Err(damaged(format!("slot {slot} of group {group} is out of range")));
    };
    let metric_type = MetricType::parse(metric_type)
        .ok_or_else(|| damaged(format!("{metric_type} is no metric type")))?;
    let labels: BTreeMap<String, String> = serde_json::from_str(labels)
        .map_err(|error| damaged(format!("its labels are no object of strings ({error})")))?;
    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let parts = labels.iter().flat_map(|(key, value)| [*key, *value]).chain([name.as_str()]);
    if labels.len() > usize::from(u8::MAX) || parts.map(str::len).max() > Some(u16::MAX.into()) {
        return Err(damaged("its name or labels are too long".to_owned()));
    }
    let unit = unit.as_deref().unwrap_or("");
    if unit.len() > UNIT_BYTES_MAX {
        return Err(damaged("its unit is too long".to_owned()));
    }
    let mut definition = Vec::with_capacity(256);
    series::write_identity(&mut definition, name, &labels);
    series::write_metadata(&mut definition, metric_type, help.as_deref().unwrap_or(""), unit);
    debug_assert!(SeriesDefinition::parse(&definition).is_some());
    Ok(StoredSeries { group, slot, definition: definition.into() })
}

#[cfg(test)]
mod tests;
