//! The list of components.

use sqlx::PgConnection;

use super::render::{write_integer, write_timestamp};
use crate::model::{RuntimeId, Timestamp};
use crate::postgres::timestamptz::Timestamptz;
use crate::protocol::answer::write_string;

/// Components of one answer.
pub const COMPONENTS_MAX: usize = 100_000;

/// Components in the order of type and name, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentList {
    /// At most [`COMPONENTS_MAX`].
    pub components: Vec<ComponentStatus>,
    /// Whether there are more.
    pub truncated: bool,
}

/// One row of `noetl.runtime`, as far as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentStatus {
    /// Its id.
    pub runtime_id: RuntimeId,
    /// Such as `worker-cpu-01`.
    pub name: String,
    /// Such as `worker_pool`.
    pub component_type: String,
    /// `ready`, `offline`, or what it registered with.
    pub status: String,
    /// The last heartbeat or report that is flushed.
    pub last_heartbeat: Timestamp,
}

impl ComponentList {
    /// The answer's JSON. `truncated` is only named when it is true.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"components\":[".to_vec();
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            component.write(&mut out);
        }
        out.extend_from_slice(if self.truncated { b"],\"truncated\":true}" } else { b"]}" });
        out
    }
}

impl ComponentStatus {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"runtime_id\":");
        write_integer(out, self.runtime_id.get());
        out.extend_from_slice(b",\"name\":");
        write_string(out, &self.name);
        out.extend_from_slice(b",\"component_type\":");
        write_string(out, &self.component_type);
        out.extend_from_slice(b",\"status\":");
        write_string(out, &self.status);
        out.extend_from_slice(b",\"last_heartbeat\":");
        write_timestamp(out, self.last_heartbeat);
        out.push(b'}');
    }
}

/// Reads the registry.
pub(super) async fn list(conn: &mut PgConnection) -> Result<ComponentList, sqlx::Error> {
    let rows: Vec<(i64, String, String, String, Timestamptz)> = sqlx::query_as(
        "SELECT runtime_id, name, component_type, status, last_heartbeat
           FROM noetl.runtime
          ORDER BY component_type COLLATE \"C\", name COLLATE \"C\"
          LIMIT $1",
    )
    .bind(i64::try_from(COMPONENTS_MAX + 1).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await?;
    let truncated = rows.len() > COMPONENTS_MAX;
    let components = rows.into_iter().take(COMPONENTS_MAX).map(
        |(runtime_id, name, component_type, status, Timestamptz(last_heartbeat))| ComponentStatus {
            runtime_id: RuntimeId::from_raw(runtime_id),
            name,
            component_type,
            status,
            last_heartbeat,
        },
    );
    Ok(ComponentList { components: components.collect(), truncated })
}
