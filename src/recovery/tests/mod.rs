//! What comes back into memory, and from where.

mod loader;
mod replay;

use std::sync::Arc;

use crate::log::entry::payload::{definition, key};
use crate::model::{
    GroupId, NodeNumber, Profile, RuntimeId, Slot, StoredComponent, StoredSeries, Timestamp,
};
use crate::registry::{Component, GroupIds, Interned, Registry, RegistrySettings};

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;

/// The counters of the groups that this run begins.
const FRESH_GROUPS: std::ops::Range<u64> = 1000..2000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOON).unwrap()
}

fn node() -> NodeNumber {
    NodeNumber::new(0).unwrap()
}

fn group(counter: u64) -> GroupId {
    GroupId::new(node(), counter)
}

fn registry() -> Arc<Registry> {
    let ids = GroupIds::new(node(), FRESH_GROUPS);
    Arc::new(Registry::new(RegistrySettings::new(1000, 1000), ids))
}

/// `worker_pool/w` as PostgreSQL has it, with series at slots of groups.
fn stored(series: &[(u64, u8, &str)]) -> StoredComponent {
    let key = key("w");
    StoredComponent {
        runtime_id: RuntimeId::derive(&key),
        key,
        profile: Profile::seen(Timestamp::MIN),
        last_heartbeat: now(),
        series: series
            .iter()
            .map(|(counter, slot, name)| StoredSeries {
                group: group(*counter),
                slot: Slot::new(*slot).unwrap(),
                definition: definition(name).into(),
            })
            .collect(),
    }
}

/// Where a series that nobody has seen is placed, as (group counter, slot).
fn place_of_new(registry: &Registry, component: &Component) -> (u64, u8) {
    let bytes = definition("never seen");
    let identity = crate::model::SeriesDefinition::parse(&bytes).unwrap().identity_bytes();
    let mut state = component.lock();
    match registry.intern(&mut state, 0, &bytes, identity, now().seconds()) {
        Interned::New(_, place) => (place.group.counter(), place.slot.get()),
        other => panic!("{other:?}"),
    }
}
