//! Pages of what workers might push at their worst, read by the strictest parsers there are.

use std::sync::Arc;

use noetl_metrics::clock::{Clock, SystemClock};
use noetl_metrics::exposition::{Format, Page, PageSettings};
use noetl_metrics::model::series::{MetricType, write_identity, write_metadata};
use noetl_metrics::model::{ComponentKey, NodeNumber, Timestamp};
use noetl_metrics::registry::{GroupIds, Interned, LastValue, Registry, RegistrySettings};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::prometheus::{check_page, parse_open_metrics};

/// Pages that are read by the strict parser, and how many of them by promtool, which takes longer.
const PAGES: usize = 200;
const PROMTOOL_PAGES: usize = 20;

#[derive(Clone, Debug)]
struct Pushed {
    component: String,
    name: String,
    labels: Vec<(String, String)>,
    metric_type: MetricType,
    value: f64,
    help: String,
    unit: String,
}

/// Names that meet each other, and any others.
fn name() -> impl Strategy<Value = String> {
    let stem =
        prop::sample::select(vec!["a", "b", "a.b", "a_b", "a-b", "_", "1", "a_count", "a:b"]);
    let end = prop::sample::select(vec![
        "", "", "_bucket", "_sum", "_count", "_total", "_created", "_info", "-bucket", "_seconds",
    ]);
    let likely =
        (stem, end.clone(), end).prop_map(|(stem, end, last)| format!("{stem}{end}{last}"));
    prop_oneof![6 => likely, 1 => "\\PC{1,8}", 1 => "[^\\x00]{1,8}"]
}

fn label() -> impl Strategy<Value = (String, String)> {
    let known =
        |names: &[&'static str]| prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let bounds = known(&[
        "0.1", "1", "1.0", "1e0", "10", "+Inf", "Inf", "-1", "0", "NaN", "x", "1_0", "0x1p3",
        "1e6", "",
    ]);
    let bounded = (known(&["le", "quantile"]), bounds);
    let names = prop_oneof![
        known(&["x", "a.b", "a_b", "__name__", "component", "component_type", "__x", "l.e", "é"]),
        "\\PC{1,4}",
    ];
    let values = prop_oneof![
        known(&[
            "",
            "1",
            "a\\",
            "\"",
            "\n",
            "{x=\"1\"} 2",
            "# EOF",
            "\r\n",
            "\\n",
            "\u{2028}",
            "{count:1"
        ]),
        "[^\\x00]{0,6}",
    ];
    prop_oneof![3 => bounded, 2 => (names, values)]
}

fn pushed() -> impl Strategy<Value = Pushed> {
    let types = prop::sample::select(vec![
        MetricType::Gauge,
        MetricType::Counter,
        MetricType::Histogram,
        MetricType::Histogram,
        MetricType::Summary,
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            0.0,
            1.0,
            1.0,
            2.0,
            -0.0,
            -1.0,
            0.5,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            5e-324
        ]),
        any::<f64>(),
    ];
    let component = prop_oneof![4 => "[ab]", 1 => "[^\\x00]{1,5}"];
    let text = prop_oneof![2 => Just(String::new()), 1 => "[^\\x00]{0,9}", 1 => Just("\\n\\\"\n# TYPE a gauge".to_owned())];
    let unit = prop_oneof![Just(String::new()), Just("seconds".to_owned()), "[^\\x00]{0,4}"];
    (component, name(), prop::collection::vec(label(), 0..3), types, value, text, unit).prop_map(
        |(component, name, labels, metric_type, value, help, unit)| Pushed {
            component,
            name,
            labels,
            metric_type,
            value,
            help,
            unit,
        },
    )
}

/// Parts of one histogram, often whole.
fn part() -> impl Strategy<Value = Pushed> {
    let names = prop::sample::select(vec!["h_bucket", "h_bucket", "h_bucket", "h_sum", "h_count"]);
    let bound = prop::sample::select(vec!["1", "+Inf", "+Inf"]);
    ("[ab]", names, bound, prop::sample::select(vec![2.0, 2.0, 3.0])).prop_map(
        |(component, name, bound, value)| Pushed {
            component,
            name: name.to_owned(),
            labels: if name == "h_bucket" {
                vec![("le".to_owned(), bound.to_owned())]
            } else {
                vec![]
            },
            metric_type: MetricType::Histogram,
            value,
            help: String::new(),
            unit: String::new(),
        },
    )
}

fn push(registry: &Registry, pushed: &Pushed) {
    let Ok(key) = ComponentKey::new("t", &pushed.component) else { return };
    let component = registry.find_or_insert(key);
    let mut labels: Vec<_> =
        pushed.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    labels.sort_unstable();
    labels.dedup_by_key(|(name, _)| *name);
    let mut definition = Vec::new();
    write_identity(&mut definition, &pushed.name, &labels);
    let identity = definition.len();
    write_metadata(&mut definition, pushed.metric_type, &pushed.help, &pushed.unit);
    let now_s = SystemClock.now().seconds();
    let mut state = component.lock();
    let found = registry.intern(&mut state, 0, &definition, identity, now_s);
    let (Interned::New(at, _) | Interned::Known(at, _) | Interned::Redefined(at, _)) = found else {
        panic!("{pushed:?} finds room: {found:?}")
    };
    state.accept(at, LastValue { timestamp: Timestamp::MIN, value: pushed.value }, now_s);
    component.count_report(&mut state);
    drop(state);
    registry.mark_changed(&component);
}

/// No line stands twice, and no family's lines stand apart.
fn check_lines(page: &str) {
    let mut lines = std::collections::HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(lines.insert(series), "{series} stands twice:\n{page}");
    }
    let types: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let mut names: Vec<_> = types.iter().map(|line| line.split_once(' ').unwrap().0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), types.len(), "a family stands twice:\n{page}");
}

#[test]
fn whatever_is_pushed_the_page_is_valid() {
    let mut runner = TestRunner::deterministic();
    let mut open_pages = Vec::new();
    for nth in 0..PAGES {
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1_000);
        let registry = Arc::new(Registry::new(RegistrySettings::new(10_000, 1_000_000), ids));
        let settings = PageSettings { stale_after_s: 300 };
        let page =
            Page::new(Arc::clone(&registry), Arc::new(SystemClock), Arc::default(), settings);
        let pushes = prop::collection::vec(prop_oneof![8 => pushed(), 1 => part()], 1..60)
            .new_tree(&mut runner)
            .unwrap();
        for pushed in pushes.current() {
            push(&registry, &pushed);
        }
        let all = registry.all();
        for rendered in [page.render(Format::Text), page.render_some(&all, Format::Text).into()] {
            let text: Vec<u8> = rendered.text().flatten().collect();
            check_lines(std::str::from_utf8(&text).unwrap());
            if nth % (PAGES / PROMTOOL_PAGES) == 0 {
                check_page(&text);
            }
        }
        open_pages.push(page.render(Format::OpenMetrics).text().flatten().collect());
    }
    let families = parse_open_metrics(&open_pages);
    assert_eq!(families.len(), PAGES);
    for (metric_type, at_least) in
        [("gauge", 100), ("counter", 20), ("histogram", 20), ("summary", 20), ("unknown", 100)]
    {
        let found =
            families.iter().filter(|page| page.contains(&format!(":{metric_type}:"))).count();
        assert!(found >= at_least, "{found} pages have a {metric_type}");
    }
}
