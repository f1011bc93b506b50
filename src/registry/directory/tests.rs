use super::*;
use crate::model::series::{MetricType, write_identity, write_metadata};
use crate::model::{GroupId, NodeNumber, Profile, Slot, StoredComponent, StoredSeries, Timestamp};
use crate::registry::{Budget, LastValue};

fn node() -> NodeNumber {
    NodeNumber::new(1).unwrap()
}

fn registry(series_max: usize) -> Registry {
    Registry::new(RegistrySettings::new(series_max, 1000), GroupIds::new(node(), 0..1000))
}

fn key(component_type: &str, name: &str) -> ComponentKey {
    ComponentKey::new(component_type, name).unwrap()
}

fn definition(name: &str, help: &str) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    write_identity(&mut bytes, name, &[]);
    let identity = bytes.len();
    write_metadata(&mut bytes, MetricType::Counter, help, "");
    (bytes, identity)
}

/// Interns `name` as the only sample of a report at second `now_s`.
fn intern(registry: &Registry, component: &Arc<Component>, name: &str, now_s: u32) -> Interned {
    let (bytes, identity) = definition(name, "");
    let mut state = component.lock();
    let interned = registry.intern(&mut state, 0, &bytes, identity, now_s);
    if let Interned::New(at, _) | Interned::Known(at, _) = interned {
        state.accept(at, LastValue { timestamp: Timestamp::MIN, value: 1.0 }, now_s);
    }
    component.touch(now_s);
    interned
}

#[test]
fn a_component_is_found_by_name_type_and_id() {
    let registry = registry(10);
    let pool = registry.find_or_insert(key("worker_pool", "w"));
    assert!(Arc::ptr_eq(&pool, &registry.find_or_insert(key("worker_pool", "w"))));
    assert!(Arc::ptr_eq(&pool, &registry.find(None, "w").unwrap()), "the only one of its name");
    assert!(registry.find(Some("external"), "w").is_none());
    let external = registry.find_or_insert(key("external", "w"));
    assert!(
        Arc::ptr_eq(&external, &registry.find(None, "w").unwrap()),
        "the default type comes first"
    );
    assert!(Arc::ptr_eq(&pool, &registry.find_by_id(pool.runtime_id()).unwrap()));
    registry.set_runtime_id(&pool, RuntimeId::from_raw(42));
    for id in [RuntimeId::from_raw(42), RuntimeId::derive(pool.key())] {
        assert!(Arc::ptr_eq(&pool, &registry.find_by_id(id).unwrap()), "both ids lead to it");
    }
    assert_eq!((registry.component_count(), pool.runtime_id().get()), (2, 42));
}

#[test]
fn the_limit_on_series_holds_and_known_series_go_on() {
    let registry = registry(2);
    let component = registry.find_or_insert(key("t", "c"));
    assert!(matches!(intern(&registry, &component, "a", 1), Interned::New(0, _)));
    assert!(matches!(intern(&registry, &component, "b", 1), Interned::New(1, _)));
    assert_eq!(intern(&registry, &component, "c", 1), Interned::NoRoom(Budget::All));
    assert!(matches!(intern(&registry, &component, "a", 1), Interned::Known(0, _)));
    assert_eq!(registry.series_count(), 2);
}

#[test]
fn rolling_back_gives_the_slots_back() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("t", "c"));
    intern(&registry, &component, "a", 1);
    let mark = component.lock().mark();
    let Interned::New(_, first) = intern(&registry, &component, "b", 1) else { panic!("b is new") };
    registry.roll_back(&mut component.lock(), mark);
    assert_eq!(registry.series_count(), 1);
    let Interned::New(_, again) = intern(&registry, &component, "c", 1) else { panic!("c is new") };
    assert_eq!(first, again, "the slot that b gave back goes to c");
}

#[test]
fn changed_metadata_is_reported_once_a_minute() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("t", "c"));
    intern(&registry, &component, "a", 100);
    let (bytes, identity) = definition("a", "help");
    let mut state = component.lock();
    assert!(matches!(
        registry.intern(&mut state, 0, &bytes, identity, 100),
        Interned::Redefined(0, _)
    ));
    registry.change_metadata(&mut state, 0, &bytes, identity, 100);
    assert!(matches!(registry.intern(&mut state, 0, &bytes, identity, 101), Interned::Known(0, _)));
    let (other, identity) = definition("a", "other help");
    assert!(
        matches!(registry.intern(&mut state, 0, &other, identity, 159), Interned::Known(0, _)),
        "too soon"
    );
    assert!(matches!(
        registry.intern(&mut state, 0, &other, identity, 160),
        Interned::Redefined(0, _)
    ));
}

#[test]
fn idle_series_go_once_their_definitions_are_flushed_and_come_back_by_reload() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("t", "c"));
    intern(&registry, &component, "old", 100);
    let Interned::New(_, place) = intern(&registry, &component, "live", 5000) else {
        panic!("live is new")
    };
    component.lock().definitions_logged(LogPosition::new(7));
    assert_eq!(
        registry.evict_idle(4000, LogPosition::new(6)),
        0,
        "its definition is not flushed yet"
    );
    assert_eq!(registry.evict_idle(4000, LogPosition::new(7)), 1);
    assert_eq!(registry.series_count(), 1);
    assert!(
        matches!(intern(&registry, &component, "live", 5001), Interned::Known(0, known) if known == place)
    );
    assert_eq!(intern(&registry, &component, "old", 5001), Interned::MaybeStored);
    let (bytes, _) = definition("old", "");
    let stored = StoredComponent {
        key: component.key().clone(),
        runtime_id: component.runtime_id(),
        profile: Profile::seen(Timestamp::MIN),
        last_heartbeat: Timestamp::MIN,
        series: vec![StoredSeries {
            group: GroupId::new(node(), 0),
            slot: Slot::new(0).unwrap(),
            definition: bytes.into(),
        }],
    };
    registry.restore(&stored, 5001);
    assert!(
        matches!(intern(&registry, &component, "old", 5002), Interned::Known(_, place) if place.slot.get() == 0)
    );
    assert!(
        matches!(intern(&registry, &component, "new", 5003), Interned::New(_, place) if place.slot.get() == 2)
    );
}

#[test]
fn an_idle_component_leaves_and_who_holds_it_can_see_that() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("t", "c"));
    intern(&registry, &component, "a", 100);
    registry.evict_idle(4000, LogPosition::ZERO);
    assert!(component.lock().is_evicted());
    assert!(
        registry.find(Some("t"), "c").is_none()
            && registry.find_by_id(component.runtime_id()).is_none()
    );
    assert_eq!((registry.component_count(), registry.series_count()), (0, 0));
}

#[test]
fn a_change_is_listed_once_until_it_is_taken() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("t", "c"));
    registry.mark_changed(&component);
    registry.mark_changed(&component);
    assert_eq!(registry.take_changed().len(), 1);
    assert!(registry.take_changed().is_empty());
    registry.mark_changed(&component);
    assert_eq!(registry.take_changed().len(), 1);
}
