use std::time::Instant;

use super::*;
use crate::model::NodeNumber;
use crate::model::series::gauge;
use crate::registry::{GroupIds, Interned, RegistrySettings};

fn registry(component_series_max: usize) -> Registry {
    let settings =
        RegistrySettings { component_series_max, ..RegistrySettings::new(10_000_000, 1_000_000) };
    Registry::new(settings, GroupIds::new(NodeNumber::new(1).unwrap(), 0..1 << 40))
}

/// Has a component report new series: metric and labels of each.
fn report<'a>(
    registry: &Registry,
    component: &str,
    help: &str,
    series: impl Iterator<Item = (&'a str, Vec<(&'a str, String)>)>,
    now_s: u32,
) {
    let component = registry.find_or_insert(ComponentKey::new("t", component).unwrap());
    let mut state = component.lock();
    for (nth, (metric, labels)) in series.enumerate() {
        let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (bytes, identity) = gauge(metric, &labels, help, "");
        let found = registry.intern(&mut state, nth, &bytes, identity, now_s);
        assert!(matches!(found, Interned::New(..)), "{found:?}");
    }
    state.fit();
}

fn metric(metric: &str, series: u64) -> CrowdedMetric {
    CrowdedMetric { metric: metric.into(), series }
}

fn label(metric: &str, label: &str, values: u64) -> CrowdedLabel {
    CrowdedLabel { metric: metric.into(), label: label.into(), values }
}

#[test]
fn a_known_fleet_is_counted_exactly() {
    let registry = registry(1000);
    for worker in 0..3 {
        // The same metric under other help texts and label sets is one.
        let help = format!("help of {worker}");
        let requests = (0..200).map(|n| {
            let labels = vec![("request", format!("{worker}-{n}")), ("zone", format!("{}", n % 4))];
            ("requests", if worker == 2 { labels } else { labels[..1].to_vec() })
        });
        report(&registry, &format!("w-{worker}"), &help, requests.take(80 * (worker + 1)), 600);
    }
    report(
        &registry,
        "many",
        "",
        (0..1000).map(|n| ("depth", vec![("queue", format!("{n}"))])),
        60,
    );
    registry.find_or_insert(ComponentKey::new("t", "silent").unwrap());
    let census = registry.census(3, 600);
    assert_eq!((census.series, census.components), (80 + 160 + 200 + 1000, 5));
    assert_eq!((census.components_at_limit, census.new_series, census.forgot), (1, 440, false));
    let components: Vec<_> = census
        .largest_components
        .iter()
        .map(|one| (one.key.name(), one.series, one.active_series, one.new_series))
        .collect();
    assert_eq!(
        components,
        [("many", 1000, 1000, 0), ("w-2", 200, 200, 200), ("w-1", 160, 160, 160)]
    );
    assert_eq!(census.largest_metrics, [metric("depth", 1000), metric("requests", 440)]);
    let [queue, request, zone] = &census.largest_labels[..] else { panic!("{census:?}") };
    assert_eq!((&*queue.label, &*request.label), ("queue", "request"));
    assert!(queue.values.abs_diff(1000) < 50 && request.values.abs_diff(440) < 22, "{census:?}");
    assert_eq!(*zone, label("requests", "zone", 4));
    let one = registry.census(1, 600);
    assert_eq!((one.largest_components.len(), one.largest_metrics.len()), (1, 1));
}

#[test]
fn names_without_end_are_forgotten_and_what_has_many_is_told() {
    let registry = registry(1_000_000);
    // A label of each metric is more than are counted at a time.
    let names: Vec<_> = (0..150_000).map(|n| format!("m{n}")).collect();
    for (nth, names) in names.chunks(50_000).enumerate() {
        let one = names.iter().map(|name| (name.as_str(), vec![("id", String::new())]));
        report(&registry, &format!("names-{nth}"), "", one, 0);
        let big = (0..30_000).map(|n| ("big", vec![("of", format!("{nth}-{n}"))]));
        report(&registry, &format!("big-{nth}"), "", big, 0);
    }
    let census = registry.census(1, 0);
    assert!(census.forgot);
    assert_eq!((census.series, &*census.largest_metrics[0].metric), (240_000, "big"));
    let most = &census.largest_labels[0];
    assert_eq!((&*most.metric, &*most.label), ("big", "of"));
    assert!(census.largest_metrics[0].series <= 90_000);
}

/// `cargo test --release --lib census -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn a_million_series_are_counted_in_a_fraction_of_a_second() {
    let registry = registry(1000);
    let names: Vec<_> = (0..10).map(|n| format!("noetl_worker_metric_{n}")).collect();
    for worker in 0..100_000 {
        let series = names.iter().map(|name| {
            let labels = vec![
                ("component", format!("worker-{worker:06}")),
                ("hostname", format!("node-{}", worker / 10)),
                ("zone", format!("z{}", worker % 3)),
            ];
            (name.as_str(), labels)
        });
        report(&registry, &format!("worker-{worker:06}"), "help", series, 0);
    }
    let component = registry.find_or_insert(ComponentKey::new("t", "worker-000000").unwrap());
    for _ in 0..5 {
        let began = Instant::now();
        let census = std::thread::scope(|scope| {
            let census = scope.spawn(|| registry.census(100, 0));
            let mut longest = std::time::Duration::ZERO;
            while !census.is_finished() {
                let began = Instant::now();
                drop(component.lock());
                longest = longest.max(began.elapsed());
            }
            println!("longest wait for a component: {longest:?}");
            census.join().unwrap()
        });
        println!("{} series in {:?}", census.series, began.elapsed());
        assert_eq!(census.series, 1_000_000);
    }
}
