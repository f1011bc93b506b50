//! The lists of the registry: what PostgreSQL has, brought up to date from memory; where it does
//! not answer, what the memory knows.

use std::sync::Arc;

use super::render::{write_integer, write_optional, write_timestamp};
use crate::model::ListedComponent;
use crate::protocol::answer::write_string;
use crate::registry::{Component, Registry};

/// Components of one answer.
pub const COMPONENTS_MAX: usize = 100_000;

/// Components in the order of type and name, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentList {
    /// At most [`COMPONENTS_MAX`].
    pub components: Vec<ListedComponent>,
    /// Whether there are more.
    pub truncated: bool,
}

/// Which worker pools a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFilter {
    /// Those of this runtime.
    pub runtime: Option<String>,
    /// Those of this status.
    pub status: Option<String>,
}

impl ComponentList {
    /// Those of one type, or all: `stored`, as PostgreSQL has them in their order, and what
    /// `registry` knows besides. `None` where PostgreSQL does not answer.
    ///
    /// Takes a while when there are many.
    pub fn merge(
        stored: Option<Vec<ListedComponent>>,
        registry: &Registry,
        component_type: Option<&str>,
    ) -> Self {
        let mut known: Vec<Arc<Component>> = registry.all();
        known
            .retain(|one| component_type.is_none_or(|wanted| one.key().component_type() == wanted));
        known.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        let mut known = known.into_iter().peekable();
        let mut components = Vec::with_capacity(stored.as_ref().map_or(known.len(), Vec::len));
        for mut row in stored.unwrap_or_default() {
            while let Some(one) = known.next_if(|one| *one.key() < row.key) {
                components.push(one.listed());
            }
            if let Some(one) = known.next_if(|one| *one.key() == row.key) {
                one.bring_up_to_date(&mut row);
            }
            components.push(row);
        }
        components.extend(known.map(|one| one.listed()));
        let truncated = components.len() > COMPONENTS_MAX;
        components.truncate(COMPONENTS_MAX);
        Self { components, truncated }
    }

    /// The answer of `GET /api/metrics/components`. `truncated` is only named when it is true.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"components\":[".to_vec();
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_component(&mut out, component);
        }
        out.push(b']');
        write_truncated(&mut out, self.truncated);
        out
    }

    /// The answer of `GET /api/worker/pools`: those that `filter` lets through.
    pub fn to_pools_json(&self, filter: &PoolFilter) -> Vec<u8> {
        let mut out = b"{\"items\":[".to_vec();
        let mut count = 0;
        for pool in self.components.iter().filter(|pool| filter.lets_through(pool)) {
            if count > 0 {
                out.push(b',');
            }
            write_pool(&mut out, pool);
            count += 1;
        }
        out.extend_from_slice(b"],\"runtime\":");
        write_optional(&mut out, filter.runtime.as_deref());
        out.extend_from_slice(b",\"status\":");
        write_optional(&mut out, filter.status.as_deref());
        out.extend_from_slice(b",\"count\":");
        write_integer(&mut out, count);
        write_truncated(&mut out, self.truncated);
        out
    }
}

impl PoolFilter {
    fn lets_through(&self, pool: &ListedComponent) -> bool {
        let fits = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        fits(&self.runtime, pool.runtime.as_deref()) && fits(&self.status, Some(&pool.status))
    }
}

fn write_component(out: &mut Vec<u8>, component: &ListedComponent) {
    out.extend_from_slice(b"{\"runtime_id\":");
    write_integer(out, component.runtime_id.get());
    out.extend_from_slice(b",\"name\":");
    write_string(out, component.key.name());
    out.extend_from_slice(b",\"component_type\":");
    write_string(out, component.key.component_type());
    out.extend_from_slice(b",\"status\":");
    write_string(out, &component.status);
    out.extend_from_slice(b",\"last_heartbeat\":");
    write_timestamp(out, component.last_heartbeat);
    out.push(b'}');
}

fn write_pool(out: &mut Vec<u8>, pool: &ListedComponent) {
    out.extend_from_slice(b"{\"name\":");
    write_string(out, pool.key.name());
    out.extend_from_slice(b",\"runtime\":");
    write_optional(out, pool.runtime.as_deref());
    out.extend_from_slice(b",\"status\":");
    write_string(out, &pool.status);
    out.extend_from_slice(b",\"capacity\":");
    match pool.capacity {
        Some(capacity) => write_integer(out, capacity),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"labels\":");
    // JSON already: it was parsed when it came, and PostgreSQL keeps it as jsonb.
    out.extend_from_slice(pool.labels.as_deref().unwrap_or("null").as_bytes());
    for (name, timestamp) in [
        ("last_heartbeat", pool.last_heartbeat),
        ("created_at", pool.created_at),
        ("updated_at", pool.updated_at),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_timestamp(out, timestamp);
    }
    out.push(b'}');
}

fn write_truncated(out: &mut Vec<u8>, truncated: bool) {
    out.extend_from_slice(if truncated { b",\"truncated\":true}" } else { b"}" });
}
