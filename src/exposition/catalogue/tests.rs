use super::*;
use crate::model::series::{write_identity, write_metadata};
use crate::model::{ComponentKey, LogPosition, NodeNumber, Timestamp};
use crate::registry::{GroupIds, Interned, LastValue, Registry, RegistrySettings};

fn registry() -> Registry {
    let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1000);
    Registry::new(RegistrySettings { series_max: 1000, components_max: 1000 }, ids)
}

struct Pushed<'a> {
    component: &'a str,
    name: &'a str,
    metric_type: MetricType,
    value: f64,
    seen_s: u32,
}

const GAUGE: Pushed<'static> =
    Pushed { component: "c", name: "m", metric_type: MetricType::Gauge, value: 1.0, seen_s: 100 };

fn push(registry: &Registry, pushed: &Pushed<'_>) {
    let component = registry.find_or_insert(ComponentKey::new("t", pushed.component).unwrap());
    let mut definition = Vec::new();
    write_identity(&mut definition, pushed.name, &[]);
    let identity = definition.len();
    write_metadata(&mut definition, pushed.metric_type, "Some help", "");
    let mut state = component.lock();
    let (Interned::New(at, _) | Interned::Known(at, _)) =
        registry.intern(&mut state, 0, &definition, identity, pushed.seen_s)
    else {
        panic!("{} finds room", pushed.name)
    };
    state.accept(at, LastValue { timestamp: Timestamp::MIN, value: pushed.value }, pushed.seen_s);
    drop(state);
    component.touch(pushed.seen_s);
    registry.mark_changed(&component);
}

fn page(catalogue: &mut Catalogue, registry: &Registry, fresh_s: u32) -> String {
    catalogue.refresh(&registry.take_changed());
    String::from_utf8(catalogue.render(fresh_s)).unwrap()
}

#[test]
fn families_are_sorted_and_have_one_head_each() {
    let (registry, mut catalogue) = (registry(), Catalogue::default());
    push(&registry, &Pushed { name: "z", ..GAUGE });
    push(&registry, &Pushed { name: "a", metric_type: MetricType::Counter, ..GAUGE });
    push(
        &registry,
        &Pushed {
            name: "z",
            component: "d",
            metric_type: MetricType::Counter,
            value: 2.5,
            ..GAUGE
        },
    );
    let expected = "# HELP a Some help\n# TYPE a counter\na{component=\"c\",component_type=\"t\"} 1.0\n\
         # HELP z Some help\n# TYPE z counter\nz{component=\"c\",component_type=\"t\"} 1.0\n\
         z{component=\"d\",component_type=\"t\"} 2.5\n";
    assert_eq!(page(&mut catalogue, &registry, 0), expected);
    assert_eq!(page(&mut catalogue, &registry, 0), expected, "nothing changed");
}

#[test]
fn the_last_value_shows_and_a_stale_series_does_not() {
    let (registry, mut catalogue) = (registry(), Catalogue::default());
    push(&registry, &GAUGE);
    push(&registry, &Pushed { value: 7.0, seen_s: 150, ..GAUGE });
    assert!(page(&mut catalogue, &registry, 150).ends_with("} 7.0\n"));
    assert_eq!(page(&mut catalogue, &registry, 151), "", "no head without a sample");
}

#[test]
fn a_bare_histogram_is_untyped() {
    let (registry, mut catalogue) = (registry(), Catalogue::default());
    push(&registry, &Pushed { metric_type: MetricType::Histogram, ..GAUGE });
    assert!(page(&mut catalogue, &registry, 0).contains("# TYPE m untyped\n"));
}

#[test]
fn series_that_sanitising_makes_equal_stand_once() {
    let (registry, mut catalogue) = (registry(), Catalogue::default());
    push(&registry, &Pushed { name: "a.b", value: 1.0, ..GAUGE });
    push(&registry, &Pushed { name: "a-b", value: 2.0, seen_s: 101, ..GAUGE });
    let page = page(&mut catalogue, &registry, 0);
    assert_eq!(page.matches("a_b{").count(), 1, "{page}");
    assert!(page.ends_with("} 2.0\n"), "the one seen last shows: {page}");
}

#[test]
fn evicted_series_leave_and_what_returns_shows_again() {
    let (registry, mut catalogue) = (registry(), Catalogue::default());
    for component in 0..10 {
        push(&registry, &Pushed { component: &format!("old-{component}"), ..GAUGE });
    }
    push(&registry, &Pushed { component: "live", seen_s: 500, ..GAUGE });
    assert_eq!(page(&mut catalogue, &registry, 0).matches("m{").count(), 11);
    registry.evict_idle(400, LogPosition::ZERO);
    assert_eq!(page(&mut catalogue, &registry, 0).matches("m{").count(), 1);
    assert!(catalogue.members.len() < 4, "the catalogue is rebuilt without the dead");
    push(&registry, &Pushed { component: "old-3", seen_s: 600, ..GAUGE });
    assert_eq!(page(&mut catalogue, &registry, 0).matches("m{").count(), 2);
}
