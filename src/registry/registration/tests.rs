use super::*;
use crate::model::{GroupId, LogPosition, NodeNumber, Slot, StoredComponent, StoredSeries, series};
use crate::registry::{GroupIds, Interned, RegistrySettings};

fn registry(components_max: usize) -> Registry {
    let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1000);
    Registry::new(RegistrySettings::new(100, components_max), ids)
}

fn key(name: &str) -> ComponentKey {
    ComponentKey::new("worker_pool", name).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}

fn details(hostname: &str) -> Details {
    Details { hostname: Some(hostname.into()), ..Details::default() }
}

fn outcome(mut written: oneshot::Receiver<Written>) -> Option<Written> {
    written.try_recv().ok()
}

#[test]
fn a_registration_waits_until_it_is_stored() {
    let registry = registry(10);
    let (component, written) = registry.register(&key("w"), "ready", details("a"), at(5)).unwrap();
    assert_eq!((component.last_report_s(), registry.unwritten_count()), (5, 1));
    let changes = registry.take_changes(10);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].profile.details, details("a"));
    assert!(registry.take_changes(10).is_empty(), "each is handed out once");
    registry.settle(&changes[0], &Written::Away);
    assert_eq!(outcome(written), Some(Written::Away), "its client is not kept waiting");
    let again = registry.take_changes(10);
    assert_eq!(again.len(), 1, "and it is tried again");
    registry.settle(&again[0], &Written::Stored);
    assert!(registry.take_changes(10).is_empty());
}

#[test]
fn a_change_that_comes_while_one_is_written_is_written_next() {
    let registry = registry(10);
    let register = |host, second| registry.register(&key("w"), "ready", details(host), at(second));
    let (_, first) = register("a", 5).unwrap();
    let writing = registry.take_changes(10);
    let (component, second) = register("b", 6).unwrap();
    registry.settle(&writing[0], &Written::Stored);
    drop(first);
    let next = registry.take_changes(10);
    assert_eq!((next.len(), &next[0].profile.details), (1, &details("b")));
    assert_eq!(next[0].profile.created_at, at(5), "the row is the same");
    registry.settle(&next[0], &Written::Refused("no".into()));
    assert_eq!(outcome(second), Some(Written::Refused("no".into())));
    assert!(registry.take_changes(10).is_empty(), "what is refused is not tried again");
    assert_eq!(registry.component_count(), 1);
    assert_eq!(component.listed().updated_at, at(6));
}

#[test]
fn many_registrations_of_one_component_wait_as_one() {
    let registry = registry(10);
    for second in 0..100 {
        registry.register(&key("w"), "ready", details("a"), at(second)).unwrap();
    }
    let component = registry.find(Some("worker_pool"), "w").unwrap();
    assert_eq!(registry.unwritten_count(), 1);
    assert_eq!(component.standing.lock().waiters.len(), 1, "clients that left are forgotten");
}

#[test]
fn who_deregisters_is_offline_until_heard_again() {
    let registry = registry(10);
    let (component, _) = registry.register(&key("w"), "busy", details("a"), at(5)).unwrap();
    assert_eq!(&*component.listed().status, "busy");
    registry.deregister(&component, at(7)).unwrap();
    let change = registry.take_changes(1).remove(0);
    assert_eq!(change.kind, ChangeKind::Registered, "its details were not stored yet");
    assert_eq!(&*change.profile.status, "offline");
    assert_eq!(change.profile.details, details("a"));
    registry.settle(&change, &Written::Stored);
    assert!(registry.beats().is_empty(), "leaving is no sign of life");
    assert!(!component.is_active(8, 60));
    registry.deregister(&component, at(8)).unwrap();
    assert_eq!(registry.take_changes(1)[0].kind, ChangeKind::Deregistered);
    component.touch(9);
    assert_eq!(&*component.listed().status, "ready");
    assert_eq!(registry.beats().len(), 1);
}

#[test]
fn a_heartbeat_is_written_once_and_a_clock_set_back_is_believed() {
    let registry = registry(10);
    let component = registry.find_or_insert(key("w"));
    assert!(registry.beats().is_empty());
    for second in [1000, 1015, 400, 415] {
        component.touch(second);
        let beats = registry.beats();
        assert_eq!(beats.iter().map(|beat| beat.seen_s).collect::<Vec<_>>(), [second]);
        registry.beats_written(&beats);
        assert!(registry.beats().is_empty());
    }
}

fn stored(name: &str, second: i64) -> StoredComponent {
    StoredComponent {
        key: key(name),
        runtime_id: RuntimeId::derive(&key(name)),
        profile: Profile { details: details("stored"), ..Profile::seen(at(1)) },
        last_heartbeat: at(second),
        series: Vec::new(),
    }
}

#[test]
fn what_postgresql_says_is_no_heartbeat_and_does_not_undo_a_change() {
    let registry = registry(10);
    let component = registry.restore(&stored("w", 50), 60);
    assert!(registry.beats().is_empty());
    assert_eq!(component.listed().created_at, at(1));
    registry.register(&key("w"), "ready", details("new"), at(70)).unwrap();
    registry.restore(&stored("w", 50), 71);
    let change = registry.take_changes(1).remove(0);
    assert_eq!(change.profile.details, details("new"));
    assert_eq!(component.last_report_s(), 70);
}

#[test]
fn a_row_of_a_list_is_brought_up_to_date() {
    let registry = registry(10);
    let component = registry.restore(&stored("w", 50), 60);
    let mut row = component.listed();
    row.status = "offline".into();
    row.updated_at = at(55);
    let check = |status: &str, heartbeat: i64| {
        let mut row = row.clone();
        component.bring_up_to_date(&mut row);
        assert_eq!((&*row.status, row.last_heartbeat), (status, at(heartbeat)));
    };
    check("offline", 50);
    // Heard here, and marked offline by a server that does not know yet.
    component.touch(54);
    check("ready", 54);
    component.touch(56);
    check("ready", 56);
    registry.register(&key("w"), "draining", details("a"), at(57)).unwrap();
    check("draining", 57);
}

#[test]
fn a_component_that_postgresql_marked_offline_is_so_in_memory() {
    let registry = registry(10);
    let component = registry.restore(&stored("w", 50), 60);
    registry.mark_offline(component.runtime_id(), at(100));
    registry.mark_offline(RuntimeId::from_raw(1), at(100));
    assert_eq!(&*component.listed().status, "offline");
    let mut row = component.listed();
    component.touch(100);
    assert_eq!(&*component.listed().status, "offline", "a report may have come before");
    component.heartbeat(100);
    assert_eq!(&*component.listed().status, "ready", "a heartbeat came after");
    component.bring_up_to_date(&mut row);
    assert_eq!(&*row.status, "ready");
    registry.mark_offline(component.runtime_id(), at(100));
    component.touch(101);
    assert_eq!(&*component.listed().status, "ready");
}

#[test]
fn an_unwritten_component_stays_in_memory() {
    let registry = registry(10);
    let (component, _) = registry.register(&key("w"), "ready", details("abc"), at(5)).unwrap();
    registry.evict_idle(1000, LogPosition::ZERO);
    assert!(!component.lock().is_evicted());
    let change = registry.take_changes(1).remove(0);
    registry.settle(&change, &Written::Stored);
    registry.evict_idle(1000, LogPosition::ZERO);
    assert!(component.lock().is_evicted());
    assert!(registry.find_by_id(component.runtime_id()).is_none());
    assert_eq!(registry.unwritten.details_bytes.load(Ordering::Relaxed), 0);
    assert!(registry.deregister(&component, at(6)).is_none());
}

#[test]
fn components_and_what_they_say_are_bounded() {
    let registry = registry(2);
    let register = |name: &str, details| registry.register(&key(name), "ready", details, at(1));
    register("a", details("a")).unwrap();
    register("b", details("b")).unwrap();
    assert_eq!(register("c", details("c")).unwrap_err(), RegistryFull);
    register("a", details("again")).unwrap();
    let huge = Details { meta: Some("x".repeat(DETAILS_BYTES_MAX).into()), ..Details::default() };
    assert_eq!(register("a", huge).unwrap_err(), RegistryFull);
    assert_eq!(registry.unwritten.details_bytes.load(Ordering::Relaxed), "again".len() + 1);
}

#[test]
fn the_series_of_a_component_that_registered_first_are_looked_for_in_postgresql() {
    let registry = registry(10);
    let (component, _) = registry.register(&key("w"), "ready", details("a"), at(5)).unwrap();
    let (bytes, identity) = series::gauge("m", &[], "", "");
    let intern = || registry.intern(&mut component.lock(), 0, &bytes, identity, 6);
    assert_eq!(intern(), Interned::MaybeStored);
    let mut known = stored("w", 1);
    known.series.push(StoredSeries {
        group: GroupId::new(NodeNumber::new(1).unwrap(), 7),
        slot: Slot::new(0).unwrap(),
        definition: bytes.clone().into(),
    });
    registry.restore(&known, 6);
    assert!(matches!(intern(), Interned::Known(_, place) if place.group.counter() == 7));
}
