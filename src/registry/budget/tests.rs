use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::series::gauge;
use crate::model::{
    ComponentKey, GroupId, LogPosition, NodeNumber, Profile, Slot, StoredComponent, StoredSeries,
    Timestamp,
};
use crate::registry::{Component, GroupIds, Interned, LastValue, Registry};

/// No time of the tests is earlier.
const START_S: u32 = 1_700_000_000;

fn node() -> NodeNumber {
    NodeNumber::new(1).unwrap()
}

fn registry(settings: RegistrySettings) -> Registry {
    Registry::new(settings, GroupIds::new(node(), 0..1_000_000))
}

fn settings(component: usize, all: usize) -> RegistrySettings {
    RegistrySettings { component_series_max: component, ..RegistrySettings::new(all, 1000) }
}

fn component(registry: &Registry, name: &str) -> Arc<Component> {
    registry.find_or_insert(ComponentKey::new("worker_pool", name).unwrap())
}

/// Reports a sample of the series; whether it was known, or which budget was in its way.
fn report(
    registry: &Registry,
    component: &Arc<Component>,
    metric: &str,
    labels: &[(&str, &str)],
    now_s: u32,
) -> Result<bool, Budget> {
    let (bytes, identity) = gauge(metric, labels, "", "");
    let mut state = component.lock();
    match registry.intern(&mut state, 0, &bytes, identity, now_s) {
        found @ (Interned::Known(at, _) | Interned::New(at, _)) => {
            state.accept(at, LastValue { timestamp: Timestamp::MIN, value: 1.0 }, now_s);
            component.touch(now_s);
            Ok(matches!(found, Interned::Known(..)))
        }
        Interned::NoRoom(budget) => Err(budget),
        other => panic!("{other:?}"),
    }
}

fn nth(
    registry: &Registry,
    component: &Arc<Component>,
    n: usize,
    now_s: u32,
) -> Result<bool, Budget> {
    report(registry, component, &format!("m{n}"), &[], now_s)
}

#[test]
fn a_component_has_its_share_and_known_series_go_on() {
    let registry = registry(settings(3, 5));
    let (one, other) = (component(&registry, "one"), component(&registry, "other"));
    for n in 0..3 {
        assert_eq!(nth(&registry, &one, n, START_S), Ok(false));
    }
    assert_eq!(nth(&registry, &one, 3, START_S), Err(Budget::Component));
    assert_eq!(nth(&registry, &one, 2, START_S), Ok(true));
    assert_eq!(nth(&registry, &other, 0, START_S), Ok(false));
    assert_eq!(nth(&registry, &other, 1, START_S), Ok(false));
    assert_eq!(nth(&registry, &other, 2, START_S), Err(Budget::All));
    assert_eq!((registry.series_count(), one.lock().active_count()), (5, 3));
}

#[test]
fn a_budget_is_filled_at_once_and_what_goes_on_to_change_is_slowed_down() {
    let paced = RegistrySettings {
        component_new_series_per_minute_max: Some(6),
        new_series_per_minute_max: Some(12),
        ..settings(50, 60)
    };
    let registry = registry(paced);
    let one = component(&registry, "one");
    (0..50).for_each(|n| assert_eq!(nth(&registry, &one, n, START_S), Ok(false)));
    assert_eq!(nth(&registry, &one, 50, START_S), Err(Budget::Component));
    // The idle ones leave, and there is room, but no pace for more than some a minute.
    one.lock().assume_complete();
    let later = START_S + 60;
    registry.evict_idle(later, LogPosition::ZERO);
    let one = component(&registry, "one");
    assert_eq!(registry.series_count(), 0);
    (0..22).for_each(|n| assert_eq!(nth(&registry, &one, n, later), Ok(false), "{n}"));
    assert_eq!(nth(&registry, &one, 22, later), Err(Budget::AllPace), "60 in all, 12 a minute");
    let other = component(&registry, "other");
    assert_eq!(nth(&registry, &other, 0, later), Err(Budget::AllPace));
    assert!(registry.is_overrun(later) && !registry.is_overrun(later + 5));
    assert_eq!(nth(&registry, &one, 21, later), Ok(true));
}

#[test]
fn a_component_that_goes_on_to_change_does_not_hold_up_others() {
    let paced =
        RegistrySettings { component_new_series_per_minute_max: Some(6), ..settings(10, 1000) };
    let registry = registry(paced);
    let one = component(&registry, "one");
    (0..10).for_each(|n| assert_eq!(nth(&registry, &one, n, START_S), Ok(false)));
    assert_eq!(nth(&registry, &one, 0, START_S + 30), Ok(true));
    assert_eq!(registry.evict_idle(START_S + 1, LogPosition::ZERO), 9);
    one.lock().assume_complete();
    for n in 10..13 {
        assert_eq!(nth(&registry, &one, n, START_S + 30), Ok(false), "three in half a minute");
    }
    assert_eq!(nth(&registry, &one, 13, START_S + 30), Err(Budget::ComponentPace));
    let other = component(&registry, "other");
    assert_eq!(nth(&registry, &other, 0, START_S + 30), Ok(false));
    assert_eq!(nth(&registry, &one, 13, START_S + 40), Ok(false));
}

#[test]
fn what_could_not_be_logged_is_given_back() {
    let paced = RegistrySettings {
        component_new_series_per_minute_max: Some(1),
        new_series_per_minute_max: Some(1),
        ..settings(3, 3)
    };
    let registry = registry(paced);
    let one = component(&registry, "one");
    for _ in 0..10 {
        let mark = one.lock().mark();
        (0..3).for_each(|n| assert_eq!(nth(&registry, &one, n, START_S), Ok(false)));
        registry.roll_back(&mut one.lock(), mark);
    }
    assert_eq!(registry.series_count(), 0);
    assert_eq!(registry.census(1, START_S).new_series, 0);
}

fn stored(component: &Component, series: usize) -> StoredComponent {
    let series = (0..series).map(|n| StoredSeries {
        group: GroupId::new(node(), n as u64 / 64),
        slot: Slot::new((n % 64) as u8).unwrap(),
        definition: gauge(&format!("m{n}"), &[], "", "").0.into(),
    });
    StoredComponent {
        key: component.key().clone(),
        runtime_id: component.runtime_id(),
        profile: Profile::seen(Timestamp::MIN),
        last_heartbeat: Timestamp::MIN,
        series: series.collect(),
    }
}

fn counts(component: &Component) -> (usize, usize) {
    let state = component.lock();
    (state.series_count(), state.active_count())
}

#[test]
fn stored_series_take_part_once_they_report() {
    let paced =
        RegistrySettings { component_new_series_per_minute_max: Some(1), ..settings(10, 1000) };
    let registry = registry(paced);
    let one = component(&registry, "one");
    registry.restore(&stored(&one, 100), START_S);
    assert_eq!(counts(&one), (100, 0));
    // Eight of those that are known, and two that are new.
    (0..8).for_each(|n| assert_eq!(nth(&registry, &one, n, START_S), Ok(true)));
    assert_eq!(nth(&registry, &one, 100, START_S), Ok(false));
    assert_eq!(nth(&registry, &one, 101, START_S), Ok(false));
    assert_eq!(nth(&registry, &one, 102, START_S), Err(Budget::Component));
    // Whatever is known goes on, also beyond the budget.
    (0..100).for_each(|n| assert_eq!(nth(&registry, &one, n, START_S), Ok(true)));
    assert_eq!(one.lock().active_count(), 102);
    // And what is idle makes room.
    let later = START_S + 3600;
    (0..9).for_each(|n| assert_eq!(nth(&registry, &one, n, later), Ok(true)));
    assert_eq!(registry.evict_idle(later, LogPosition::ZERO), 93);
    assert_eq!(one.lock().active_count(), 9);
    registry.restore(&stored(&one, 100), later);
    assert_eq!(counts(&one), (100, 9));
    assert_eq!(nth(&registry, &one, 103, later), Ok(false));
    assert_eq!(nth(&registry, &one, 104, later), Err(Budget::Component));
}

#[test]
fn the_metric_and_the_label_that_explode_are_named() {
    let registry = registry(settings(100, 1000));
    let one = component(&registry, "one");
    assert_eq!(one.lock().explosion("cpu", START_S), None, "it is full of nothing");
    for n in 0..90 {
        let (request, zone) = (format!("r{n}"), format!("z{}", n % 3));
        let labels = [("request", &*request), ("worker", "one"), ("zone", &*zone)];
        report(&registry, &one, "requests", &labels, START_S).unwrap();
    }
    for n in 0..10 {
        let queue = format!("q{n}");
        report(&registry, &one, "depth", &[("queue", &queue)], START_S).unwrap();
    }
    let told = |metric: &str, now_s| {
        let mut state = one.lock();
        let found = state.explosion(metric, now_s).unwrap();
        let label = found.label().map(|(label, values)| (label.to_owned(), values));
        (found.metric().to_owned(), found.series(), label)
    };
    let requests = ("requests".to_owned(), 90, Some(("request".to_owned(), 90)));
    let depth = ("depth".to_owned(), 10, Some(("queue".to_owned(), 10)));
    assert_eq!(one.lock().explosion("cpu", START_S + 9), None, "it was just looked at");
    assert_eq!(told("cpu", START_S + 10), requests, "another one is to blame");
    assert_eq!(told("requests", START_S + 10), requests);
    assert_eq!(told("depth", START_S + 10), depth, "it has a share of its own");
    one.lock().count_refused();
    assert_eq!(registry.census(10, START_S).largest_components[0].refused, 1);
}

#[test]
fn what_is_looked_at_is_bounded() {
    let registry = registry(settings(200_000, 200_000));
    let one = component(&registry, "one");
    for n in 0..120_000 {
        report(&registry, &one, "requests", &[("n", &n.to_string())], START_S).unwrap();
    }
    let mut state = one.lock();
    let found = state.explosion("requests", START_S).unwrap();
    assert_eq!(
        (found.series(), found.label(), found.is_cut()),
        (50_000, Some(("n", 50_000)), true)
    );
}

/// What the budgets are, without any thought of memory or time.
#[derive(Default)]
struct Model {
    /// Series of each component, and when they were seen.
    seen: BTreeMap<u8, BTreeMap<u8, u32>>,
    /// When each new series of a component came.
    came: BTreeMap<u8, Vec<u32>>,
}

impl Model {
    /// Whether one more came at a pace of `per_minute` with a burst of `burst`: the credit is counted
    /// through from the first one on, in sixtieths.
    fn in_pace(came: &[u32], burst: u64, per_minute: u64, now_s: u32) -> bool {
        let full = burst * 60;
        let (mut credit, mut last_s) = (full, START_S);
        for &at in came.iter().chain([&now_s]) {
            credit = (credit + u64::from(at - last_s) * per_minute).min(full);
            last_s = at;
            if credit < 60 {
                return false;
            }
            credit -= 60;
        }
        true
    }
}

proptest! {
    #[test]
    fn the_budgets_agree_with_a_model(
        component_max in 1_usize..8,
        per_minute in 1_u32..10,
        steps in prop::collection::vec((0_u8..4, 0_u8..12, 0_u32..40), 1..200),
    ) {
        const ALL: usize = 16;
        const ALL_PER_MINUTE: u32 = 12;
        let registry = registry(RegistrySettings {
            component_new_series_per_minute_max: Some(per_minute),
            new_series_per_minute_max: Some(ALL_PER_MINUTE),
            ..settings(component_max, ALL)
        });
        let mut model = Model::default();
        let mut now_s = START_S;
        for (name, series, passed) in steps {
            now_s += passed;
            if passed == 39 {
                // Those that were idle for a minute leave; components stay, with what they used.
                registry.evict_idle(now_s - 60, LogPosition::ZERO);
                model.seen.values_mut().for_each(|all| all.retain(|_, seen_s| *seen_s >= now_s - 60));
            }
            let one = component(&registry, &name.to_string());
            one.lock().assume_complete();
            // It is heard all the time.
            registry.all().iter().for_each(|one| one.touch(now_s));
            let got = report(&registry, &one, &series.to_string(), &[], now_s);
            let in_all: usize = model.seen.values().map(BTreeMap::len).sum();
            let own = model.seen.entry(name).or_default();
            let (burst, own_pace) = (component_max as u64, u64::from(per_minute));
            let mut all_came: Vec<u32> = model.came.values().flatten().copied().collect();
            all_came.sort_unstable();
            let want = if own.contains_key(&series) {
                Ok(true)
            } else if own.len() >= component_max {
                Err(Budget::Component)
            } else if !Model::in_pace(
                model.came.entry(name).or_default(), burst, own_pace, now_s,
            ) {
                Err(Budget::ComponentPace)
            } else if in_all >= ALL {
                Err(Budget::All)
            } else if !Model::in_pace(&all_came, ALL as u64, u64::from(ALL_PER_MINUTE), now_s) {
                Err(Budget::AllPace)
            } else {
                Ok(false)
            };
            prop_assert_eq!(got, want);
            if let Ok(known) = want {
                own.insert(series, now_s);
                if !known {
                    model.came.entry(name).or_default().push(now_s);
                }
            }
        }
    }
}
