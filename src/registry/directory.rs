//! The components by name and by id.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};

use super::budget::Budgets;
use super::component::{Component, ComponentState, Interned, Mark, Placement, Supply};
use super::descriptor::Descriptors;
use super::groups::GroupIds;
use super::registration::Unwritten;
use crate::model::component::DEFAULT_COMPONENT_TYPE;
use crate::model::{
    ComponentKey, GroupId, LogPosition, RuntimeId, Slot, StoredComponent, StoredSeries,
};

/// Power of two; so many that two connections seldom meet on one lock.
const SHARDS: usize = 64;

/// Bounds of the registry.
#[derive(Clone, Copy, Debug)]
pub struct RegistrySettings {
    /// Series in memory; a further one is rejected.
    pub series_max: usize,
    /// Components in memory; a further one is refused.
    pub components_max: usize,
    /// Active series of one component; a further one is rejected.
    pub component_series_max: usize,
    /// New series of all components in a minute, once `series_max` came at once; any number where
    /// there is none.
    pub new_series_per_minute_max: Option<u32>,
    /// New series of one component in a minute, once `component_series_max` came at once.
    pub component_new_series_per_minute_max: Option<u32>,
}

impl RegistrySettings {
    /// Bounds on what is in memory, and none on a single component or on how fast series come.
    pub const fn new(series_max: usize, components_max: usize) -> Self {
        Self {
            series_max,
            components_max,
            component_series_max: usize::MAX,
            new_series_per_minute_max: None,
            component_new_series_per_minute_max: None,
        }
    }
}

/// A place of a series that goes on in another one: rows of the log may still be of this one.
#[derive(Clone, Debug)]
pub struct FurtherPlace {
    /// The component of the series.
    pub component: Arc<Component>,
    /// The group.
    pub group: GroupId,
    /// The slot in it.
    pub slot: Slot,
    /// The entry of the series.
    pub entry: usize,
}

/// All components in memory.
#[derive(Debug)]
pub struct Registry {
    /// Components by the hash of their name alone, so that one look finds a name of any type.
    by_name: Vec<RwLock<HashTable<Arc<Component>>>>,
    by_id: RwLock<HashMap<RuntimeId, Arc<Component>>>,
    /// Components whose series changed since [`Registry::take_changed`].
    changed: Mutex<Vec<Arc<Component>>>,
    hasher: RandomState,
    supply: Supply,
    components: AtomicUsize,
    /// Until the log is replayed.
    further_places: Mutex<Option<Vec<FurtherPlace>>>,
    pub(super) unwritten: Unwritten,
}

impl Registry {
    /// An empty registry that places new series into groups with `group_ids`.
    pub fn new(settings: RegistrySettings, group_ids: GroupIds) -> Self {
        Self {
            by_name: (0..SHARDS).map(|_| RwLock::new(HashTable::new())).collect(),
            by_id: RwLock::new(HashMap::new()),
            changed: Mutex::new(Vec::new()),
            hasher: RandomState::default(),
            supply: Supply {
                group_ids,
                budgets: Budgets::new(settings),
                descriptors: Descriptors::default(),
            },
            components: AtomicUsize::new(0),
            further_places: Mutex::new(Some(Vec::new())),
            unwritten: Unwritten::default(),
        }
    }

    /// The ids for new groups.
    pub fn group_ids(&self) -> &GroupIds {
        &self.supply.group_ids
    }

    /// How many components are in memory.
    pub fn component_count(&self) -> usize {
        self.components.load(Ordering::Relaxed)
    }

    /// How many series are in memory.
    pub fn series_count(&self) -> usize {
        self.supply.budgets.used()
    }

    /// Whether no further component finds room, or none of its series would.
    pub fn is_full(&self) -> bool {
        self.component_count() >= self.settings().components_max
            || self.series_count() >= self.settings().series_max
    }

    /// Whether so many new series came lately that one of any component would be refused now.
    pub fn is_overrun(&self, now_s: u32) -> bool {
        self.supply.budgets.is_overrun(now_s)
    }

    /// The bounds that it was made with.
    pub fn settings(&self) -> &RegistrySettings {
        self.supply.budgets.settings()
    }

    /// The component of this name, and of this type if one is given. Without one, a component
    /// of the default type comes first, then any of the name.
    pub fn find(&self, component_type: Option<&str>, name: &str) -> Option<Arc<Component>> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard(hash).read();
        let wanted = component_type.unwrap_or(DEFAULT_COMPONENT_TYPE);
        let exact = shard
            .find(hash, |one| one.key().name() == name && one.key().component_type() == wanted);
        let any = || shard.find(hash, |one| component_type.is_none() && one.key().name() == name);
        exact.or_else(any).cloned()
    }

    /// All components of this name, whatever their types.
    pub fn find_all(&self, name: &str) -> Vec<Arc<Component>> {
        let hash = self.hasher.hash_one(name);
        let shard = self.shard(hash).read();
        shard.iter_hash(hash).filter(|one| one.key().name() == name).cloned().collect()
    }

    /// The component of this id.
    pub fn find_by_id(&self, id: RuntimeId) -> Option<Arc<Component>> {
        self.by_id.read().get(&id).cloned()
    }

    /// The component of this key, made now if it is not in memory.
    pub fn find_or_insert(&self, key: ComponentKey) -> Arc<Component> {
        self.insert(Component::new(RuntimeId::derive(&key), key))
    }

    /// The same for a component of which PostgreSQL may have series: they are to be read before
    /// an unknown one is taken for new.
    pub(super) fn insert_unread(&self, key: ComponentKey) -> Arc<Component> {
        let component = Component::new(RuntimeId::derive(&key), key);
        component.lock().partial = true;
        self.insert(component)
    }

    /// `component`, or the one there is of its key.
    fn insert(&self, component: Component) -> Arc<Component> {
        let hash = self.hasher.hash_one(component.key().name());
        let mut shard = self.shard(hash).write();
        if let Some(known) = shard.find(hash, |one| one.key() == component.key()) {
            return Arc::clone(known);
        }
        let runtime_id = component.runtime_id();
        let component = Arc::new(component);
        shard.insert_unique(hash, Arc::clone(&component), |one| {
            self.hasher.hash_one(one.key().name())
        });
        self.components.fetch_add(1, Ordering::Relaxed);
        self.by_id.write().insert(runtime_id, Arc::clone(&component));
        component
    }

    /// Finds or places the series of the `nth` sample of a report, see [`Interned`].
    #[inline]
    pub fn intern(
        &self,
        state: &mut ComponentState,
        nth: usize,
        definition: &[u8],
        identity_bytes: usize,
        now_s: u32,
    ) -> Interned {
        state.intern(nth, definition, identity_bytes, &self.supply, now_s)
    }

    /// Takes over the type, help text and unit of `definition` for an entry that has its identity.
    pub fn change_metadata(
        &self,
        state: &mut ComponentState,
        entry: usize,
        definition: &[u8],
        identity_bytes: usize,
        now_s: u32,
    ) {
        let descriptors = &self.supply.descriptors;
        state.change_metadata(entry, definition, identity_bytes, descriptors, now_s);
    }

    /// Takes back what was placed since `mark`, because it could not be logged.
    pub fn roll_back(&self, state: &mut ComponentState, mark: Mark) {
        state.roll_back(mark, &self.supply.budgets);
    }

    /// Lists the component for the next [`Registry::take_changed`].
    pub fn mark_changed(&self, component: &Arc<Component>) {
        if !component.listed.swap(true, Ordering::AcqRel) {
            self.changed.lock().push(Arc::clone(component));
        }
    }

    /// The components whose series were added, changed or let go since the last call.
    pub fn take_changed(&self) -> Vec<Arc<Component>> {
        let changed = std::mem::take(&mut *self.changed.lock());
        for component in &changed {
            component.listed.store(false, Ordering::Release);
        }
        changed
    }

    /// Fills in a component that PostgreSQL has, or adds to it. After this an unknown series
    /// of it is new.
    pub fn restore(&self, stored: &StoredComponent, now_s: u32) -> Arc<Component> {
        let component = self.insert(Component::new(stored.runtime_id, stored.key.clone()));
        self.set_runtime_id(&component, stored.runtime_id);
        component.touch_stored(stored.last_heartbeat.seconds());
        self.restore_profile(&component, &stored.profile);
        component.lock().begin_restore();
        for series in &stored.series {
            self.restore_series(&component, series, now_s);
        }
        component
    }

    /// Fills in one series that was logged or stored; returns its entry, `None` when its
    /// definition cannot be read. No budget holds for what is stored.
    pub fn restore_series(
        &self,
        component: &Arc<Component>,
        series: &StoredSeries,
        now_s: u32,
    ) -> Option<usize> {
        let (at, added, elsewhere) = {
            let mut state = component.lock();
            let (at, added) = state.restore(series, &self.supply, now_s)?;
            let stored = Placement { group: series.group, slot: series.slot };
            (at, added, state.placement(at) != stored)
        };
        if elsewhere && let Some(places) = &mut *self.further_places.lock() {
            places.push(FurtherPlace {
                component: Arc::clone(component),
                group: series.group,
                slot: series.slot,
                entry: at,
            });
        }
        if added {
            self.supply.budgets.add_stored(1);
            self.mark_changed(component);
        }
        Some(at)
    }

    /// The places of series that stand in a further one, of all that was restored until now. Called
    /// once, before the log is replayed: later ones are not remembered.
    pub fn take_further_places(&self) -> Vec<FurtherPlace> {
        self.further_places.lock().take().unwrap_or_default()
    }

    /// Takes over the id that PostgreSQL has for the component. The old one keeps leading to it.
    pub fn set_runtime_id(&self, component: &Arc<Component>, id: RuntimeId) {
        if component.runtime_id() != id {
            component.set_runtime_id(id);
            self.by_id.write().insert(id, Arc::clone(component));
        }
    }

    /// Lets go what was last seen before `before_s` (seconds since the Unix epoch): whole
    /// components, and idle series of live ones. What is not in PostgreSQL yet (at or after
    /// `flushed`) stays. Returns how many series went.
    pub fn evict_idle(&self, before_s: u32, flushed: LogPosition) -> usize {
        let mut gone = 0;
        let mut removed = HashSet::new();
        for component in self.all() {
            let mut state = component.lock();
            let let_go = state.let_go(before_s, flushed);
            if let_go > 0 {
                gone += let_go;
                self.supply.budgets.release(let_go);
                self.mark_changed(&component);
            }
            let idle = state.series_count() == 0 && component.last_report_s() < before_s;
            if idle && self.forget_profile(&component) {
                state.evicted = true;
                drop(state);
                self.remove(&component);
                removed.insert(Arc::as_ptr(&component));
            }
        }
        if !removed.is_empty() {
            // All at once, for an id is found by looking through all of them.
            self.by_id.write().retain(|_, one| !removed.contains(&Arc::as_ptr(one)));
        }
        self.supply.descriptors.forget_unused();
        gone
    }

    /// Every component in memory, in no order. A snapshot: later ones are not in it.
    pub fn all(&self) -> Vec<Arc<Component>> {
        let mut all = Vec::with_capacity(self.component_count());
        for shard in &self.by_name {
            all.extend(shard.read().iter().cloned());
        }
        all
    }

    fn remove(&self, component: &Arc<Component>) {
        let hash = self.hasher.hash_one(component.key().name());
        if let Ok(entry) =
            self.shard(hash).write().find_entry(hash, |one| Arc::ptr_eq(one, component))
        {
            entry.remove();
            self.components.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Arc<Component>>> {
        // From the middle: the table itself tells its entries apart by both ends of the hash.
        &self.by_name[(hash >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests;
