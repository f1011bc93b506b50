//! Pages of components in memory, as they change.

use proptest::prelude::*;

use super::*;
use crate::exposition::sections::Sections;
use crate::exposition::text::Format;
use crate::model::series::{write_identity, write_metadata};
use crate::model::{ComponentKey, LogPosition, MetricType, NodeNumber, Timestamp};
use crate::registry::{GroupIds, Interned, LastValue, Registry, RegistrySettings};

/// A registry and the page of it.
struct World {
    registry: Registry,
    catalogue: Catalogue,
    sections: Sections,
}

#[derive(Clone, Copy)]
struct Pushed<'a> {
    component: &'a str,
    name: &'a str,
    labels: &'a [(&'a str, &'a str)],
    metric_type: MetricType,
    value: f64,
    seen_s: u32,
    help: &'a str,
    unit: &'a str,
}

const GAUGE: Pushed<'static> = Pushed {
    component: "c",
    name: "m",
    labels: &[],
    metric_type: MetricType::Gauge,
    value: 1.0,
    seen_s: 100,
    help: "",
    unit: "",
};
const COUNTER: Pushed<'static> = Pushed { metric_type: MetricType::Counter, ..GAUGE };
const HISTOGRAM: Pushed<'static> = Pushed { metric_type: MetricType::Histogram, ..GAUGE };
const SUMMARY: Pushed<'static> = Pushed { metric_type: MetricType::Summary, ..GAUGE };

impl World {
    fn new() -> Self {
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1_000_000);
        let registry = Registry::new(RegistrySettings::new(1_000_000, 1_000_000), ids);
        Self { registry, catalogue: Catalogue::default(), sections: Sections::default() }
    }

    fn of(pushed: &[Pushed<'_>]) -> Self {
        let world = Self::new();
        pushed.iter().for_each(|one| world.push(one));
        world
    }

    fn push(&self, pushed: &Pushed<'_>) {
        let registry = &self.registry;
        let component = registry.find_or_insert(ComponentKey::new("t", pushed.component).unwrap());
        let mut definition = Vec::new();
        write_identity(&mut definition, pushed.name, pushed.labels);
        let identity = definition.len();
        write_metadata(&mut definition, pushed.metric_type, pushed.help, pushed.unit);
        let mut state = component.lock();
        state.assume_complete();
        let at = match registry.intern(&mut state, 0, &definition, identity, pushed.seen_s) {
            Interned::New(at, _) | Interned::Known(at, _) => at,
            Interned::Redefined(at, _) => {
                registry.change_metadata(&mut state, at, &definition, identity, pushed.seen_s);
                at
            }
            other => panic!("{} finds room: {other:?}", pushed.name),
        };
        let last = LastValue { timestamp: Timestamp::MIN, value: pushed.value };
        state.accept(at, last, pushed.seen_s);
        component.count_report(&mut state);
        drop(state);
        component.touch(pushed.seen_s);
        registry.mark_changed(&component);
    }

    /// The page of a catalogue that knows nothing yet.
    fn page_anew(&self, format: Format, fresh_s: u32) -> String {
        let mut catalogue = Catalogue::default();
        catalogue.update(&self.registry.all());
        let now = catalogue.now();
        let (gzip, _) = Sections::default().render(&mut catalogue.families, format, fresh_s, now);
        String::from_utf8(gzip.text().flatten().collect()).unwrap()
    }

    /// The page.
    fn page(&mut self, format: Format, fresh_s: u32) -> String {
        self.catalogue.update(&self.registry.take_changed());
        let now = self.catalogue.now();
        let (gzip, lines) =
            self.sections.render(&mut self.catalogue.families, format, fresh_s, now);
        let text = String::from_utf8(gzip.text().flatten().collect()).unwrap();
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), lines);
        text
    }

    fn text(&mut self) -> String {
        self.page(Format::Text, 0)
    }

    fn open(&mut self) -> String {
        let page = self.page(Format::OpenMetrics, 0);
        page.strip_suffix("# EOF\n").unwrap().to_owned()
    }
}

/// The lines of the page, in the order of the alphabet.
fn sorted(page: &str) -> Vec<String> {
    let mut lines: Vec<_> = page.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// The page without what every line has: `name{label="value"} value`, sorted within families.
fn short(page: &str) -> String {
    page.replace(r#"component="c",component_type="t""#, "")
        .replace(",}", "}")
        .replace("{,", "{")
        .replace("{}", "")
}

#[test]
fn families_are_sorted_and_have_one_head_each() {
    let counter = Pushed { name: "a", help: "Some help", ..COUNTER };
    let mut world = World::of(&[
        Pushed { name: "z", help: "Some help", ..GAUGE },
        counter,
        Pushed { name: "z", component: "d", value: 2.5, ..COUNTER },
    ]);
    let expected = "# HELP a Some help\n# TYPE a counter\na{component=\"c\",component_type=\"t\"} 1.0\n\
         # HELP z Some help\n# TYPE z counter\nz{component=\"c\",component_type=\"t\"} 1.0\n\
         z{component=\"d\",component_type=\"t\"} 2.5\n";
    assert_eq!(world.text(), expected);
    assert_eq!(world.text(), expected, "nothing changed");
}

#[test]
fn the_last_value_shows_and_a_stale_series_does_not() {
    let mut world = World::of(&[GAUGE]);
    assert!(world.text().ends_with("} 1.0\n"));
    world.push(&Pushed { value: 7.0, seen_s: 150, ..GAUGE });
    assert!(world.page(Format::Text, 150).ends_with("} 7.0\n"));
    assert_eq!(world.page(Format::Text, 151), "", "no head without a sample");
    world.push(&Pushed { value: 7.0, seen_s: 160, ..GAUGE });
    assert!(world.page(Format::Text, 151).ends_with("} 7.0\n"), "the same value is back");
    assert!(world.page(Format::Text, 100).ends_with("} 7.0\n"), "the clock was set back");
}

#[test]
fn both_formats_follow_each_change() {
    let mut world = World::new();
    for round in 0..5_u32 {
        let value = f64::from(round);
        world.push(&Pushed { value, ..GAUGE });
        world.push(&Pushed { value: value - 2.0, name: "n_total", ..COUNTER });
        assert_eq!(short(&world.open()).contains("n_total"), round >= 2, "round {round}");
        assert!(short(&world.text()).contains(&format!("n_total {:?}\n", value - 2.0)));
        for page in [world.open(), world.text()] {
            assert!(short(&page).contains(&format!("m {value:?}\n")), "{page}");
        }
    }
}

#[test]
fn a_bare_histogram_is_untyped() {
    let mut world = World::of(&[HISTOGRAM]);
    assert_eq!(short(&world.text()), "# TYPE m untyped\nm 1.0\n");
    assert_eq!(short(&world.open()), "# TYPE m unknown\nm 1.0\n");
}

#[test]
fn openmetrics_names_counters_and_units_its_own_way() {
    let mut world = World::of(&[
        Pushed { name: "a_bytes_total", unit: "bytes", help: "\"h\"", ..COUNTER },
        Pushed { name: "b", ..COUNTER },
        Pushed { name: "c_seconds", unit: "seconds", ..GAUGE },
        Pushed { name: "d", unit: "d", ..GAUGE },
        Pushed { name: "e_total", ..COUNTER },
        Pushed { name: "e", ..GAUGE },
    ]);
    let open = "# HELP a_bytes \\\"h\\\"\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 1.0\n\
        # TYPE b unknown\nb 1.0\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 1.0\n\
        # TYPE d gauge\nd 1.0\n# TYPE e gauge\ne 1.0\n# TYPE e_total unknown\ne_total 1.0\n";
    assert_eq!(short(&world.open()), open);
    assert!(short(&world.text()).starts_with("# HELP a_bytes_total \"h\"\n# TYPE a_bytes_total counter\na_bytes_total 1.0\n# TYPE b counter\n"));
}

fn bucket<'a>(labels: &'a [(&'a str, &'a str)], value: f64) -> Pushed<'a> {
    Pushed { name: "h_bucket", labels, value, ..HISTOGRAM }
}

#[test]
fn the_parts_of_a_histogram_stand_together_in_order() {
    let mut world = World::of(&[
        Pushed { name: "h_count", value: 4.0, help: "help", ..COUNTER },
        bucket(&[("le", "+Inf")], 4.0),
        bucket(&[("le", "10")], 3.0),
        bucket(&[("le", "0.50")], 1.0),
        bucket(&[("le", "2")], 2.0),
        Pushed { name: "h_sum", value: 12.5, ..HISTOGRAM },
    ]);
    let expected = "# HELP h help\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1.0\nh_bucket{le=\"2.0\"} 2.0\n\
        h_bucket{le=\"10.0\"} 3.0\nh_bucket{le=\"+Inf\"} 4.0\nh_sum 12.5\nh_count 4.0\n";
    assert_eq!(short(&world.text()), expected);
    assert_eq!(short(&world.open()), expected);
    // No longer whole: the older format has its parts, OpenMetrics has not.
    world.push(&bucket(&[("le", "2")], 9.0));
    assert_eq!(short(&world.text()), expected.replace("2.0\"} 2.0", "2.0\"} 9.0"));
    assert_eq!(world.open(), "");
}

#[test]
fn what_no_parser_takes_is_left_out() {
    let mut world = World::of(&[
        bucket(&[("le", "+Inf")], 4.0),
        bucket(&[("le", "wide")], 4.0),
        bucket(&[("le", "NaN")], 4.0),
        bucket(&[], 4.0),
    ]);
    let whole = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4.0\n";
    assert_eq!(short(&world.open()), whole);
    assert_eq!(short(&world.text()), format!("{whole}h_bucket 4.0\n"));
}

#[test]
fn a_summary_has_its_quantiles_first() {
    let mut world = World::of(&[
        Pushed { name: "s_count", value: 4.0, ..SUMMARY },
        Pushed { name: "s", labels: &[("quantile", "0.9")], value: 3.0, ..SUMMARY },
        Pushed { name: "s_sum", value: 9.0, ..SUMMARY },
        Pushed { name: "s", labels: &[("quantile", ".5")], value: 2.0, ..SUMMARY },
        Pushed { name: "s", labels: &[("quantile", "0.50")], value: 2.5, seen_s: 101, ..SUMMARY },
    ]);
    let expected = "# TYPE s summary\ns{quantile=\"0.5\"} 2.5\ns{quantile=\"0.9\"} 3.0\ns_sum 9.0\ns_count 4.0\n";
    assert_eq!(short(&world.text()), expected);
    assert_eq!(short(&world.open()), expected);
}

#[test]
fn a_family_falls_apart_when_a_name_is_taken_and_forms_again() {
    let parts = [
        bucket(&[("le", "+Inf")], 4.0),
        Pushed { name: "h_sum", value: 12.5, ..HISTOGRAM },
        Pushed { name: "h_count", value: 4.0, ..HISTOGRAM },
    ];
    let mut world = World::of(&parts);
    let whole = world.text();
    assert!(whole.contains("# TYPE h histogram\n"));
    world.push(&Pushed { name: "h", component: "rogue", seen_s: 50, ..GAUGE });
    let apart = short(&world.text());
    let expected = "# TYPE h gauge\nh{component=\"rogue\",component_type=\"t\"} 1.0\n\
        # TYPE h_bucket untyped\nh_bucket{le=\"+Inf\"} 4.0\n\
        # TYPE h_count untyped\nh_count 4.0\n# TYPE h_sum untyped\nh_sum 12.5\n";
    assert_eq!(apart, expected);
    world.registry.evict_idle(60, LogPosition::ZERO);
    assert_eq!(world.text(), whole);
}

#[test]
fn series_that_sanitising_makes_equal_stand_once() {
    let mut world = World::of(&[
        Pushed { name: "a.b", value: 1.0, ..GAUGE },
        Pushed { name: "a-b", value: 2.0, seen_s: 101, ..GAUGE },
    ]);
    assert_eq!(short(&world.text()), "# TYPE a_b gauge\na_b 2.0\n", "the one seen last shows");
    world.push(&Pushed { name: "a.b", value: 3.0, seen_s: 102, ..GAUGE });
    world.push(&Pushed { name: "a_b", value: 4.0, seen_s: 101, ..GAUGE });
    assert_eq!(short(&world.text()), "# TYPE a_b gauge\na_b 3.0\n");
    // Moved together.
    let name = |name, seen_s| Pushed { name, seen_s, ..bucket(&[("le", "+Inf")], 1.0) };
    world.push(&name("h.bucket", 103));
    world.push(&Pushed { name: "h", component: "rogue", seen_s: 50, ..GAUGE });
    world.push(&name("h-bucket", 104));
    world.text();
    world.registry.evict_idle(60, LogPosition::ZERO);
    world.push(&Pushed { value: 5.0, ..name("h.bucket", 105) });
    let whole = "# TYPE a_b gauge\na_b 3.0\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 5.0\n";
    assert_eq!(short(&world.text()), whole);
}

#[test]
fn a_changed_type_or_text_shows() {
    let mut world = World::of(&[Pushed { help: "before", ..GAUGE }]);
    assert!(world.text().starts_with("# HELP m before\n# TYPE m gauge\n"));
    world.push(&Pushed { help: "after", seen_s: 200, ..COUNTER });
    assert!(world.text().starts_with("# HELP m after\n# TYPE m counter\n"));
}

#[test]
fn evicted_series_leave_and_what_returns_shows_again() {
    let mut world = World::new();
    for component in 0..10 {
        world.push(&Pushed { component: &format!("old-{component}"), ..GAUGE });
    }
    world.push(&Pushed { component: "live", seen_s: 500, ..GAUGE });
    assert_eq!(world.text().matches("m{").count(), 11);
    world.registry.evict_idle(400, LogPosition::ZERO);
    assert_eq!(world.text().matches("m{").count(), 1);
    assert_eq!(world.catalogue.by_component.len(), 1, "the dead are let go");
    world.push(&Pushed { component: "old-3", seen_s: 600, ..GAUGE });
    assert_eq!(world.text().matches("m{").count(), 2);
}

#[test]
fn a_large_family_is_rendered_by_blocks() {
    let mut world = World::new();
    let check = |world: &mut World, expected: usize| {
        for page in [world.page(Format::Text, 60), world.page(Format::OpenMetrics, 60)] {
            assert_eq!(page.matches("m{").count(), expected);
            assert_eq!(page.matches("# TYPE m ").count(), usize::from(expected > 0));
        }
    };
    for n in 0..200 {
        let seen_s = if n % 2 == 0 { 50 } else { 100 };
        world.push(&Pushed { component: &format!("c{n}"), seen_s, ..GAUGE });
    }
    check(&mut world, 100);
    world.push(&Pushed { component: "c0", ..GAUGE });
    check(&mut world, 101);
    world.registry.evict_idle(60, LogPosition::ZERO);
    check(&mut world, 101);
    for n in 0..50 {
        world.push(&Pushed { component: &format!("d{n}"), ..GAUGE });
    }
    check(&mut world, 151);
    let blocks: usize =
        world.catalogue.families.in_order().map(|(_, family)| family.blocks.len()).sum();
    assert!(blocks < 40, "room that came free is used: {blocks} blocks");
    world.registry.evict_idle(1_000, LogPosition::ZERO);
    check(&mut world, 0);
    assert_eq!(world.catalogue.families.in_order().count(), 0);
}

/// What may be done to a world.
#[derive(Clone, Debug)]
enum Step {
    Push { component: u8, series: usize, value: i8, after_s: u32 },
    Evict { idle_s: u32 },
    Look { stale_s: u32, format: Format },
}

/// Series that meet each other in every way; of each name the type is fixed, so that the page does
/// not depend on the order in which they came.
const SERIES: &[Pushed<'_>] = &[
    Pushed { name: "a", help: "A", ..GAUGE },
    Pushed { name: "a", labels: &[("x", "1")], help: "A", ..GAUGE },
    Pushed { name: "b_total", ..COUNTER },
    Pushed { name: "b", ..GAUGE },
    Pushed { name: "h_bucket", labels: &[("le", "1")], ..HISTOGRAM },
    Pushed { name: "h_bucket", labels: &[("le", "+Inf")], ..HISTOGRAM },
    Pushed { name: "h_bucket", labels: &[("le", "+Inf"), ("x", "1")], ..HISTOGRAM },
    Pushed { name: "h_sum", ..HISTOGRAM },
    Pushed { name: "h_count", ..HISTOGRAM },
    Pushed { name: "h_count_total", ..COUNTER },
    Pushed { name: "h", ..GAUGE },
    Pushed { name: "s", labels: &[("quantile", "0.5")], ..SUMMARY },
    Pushed { name: "s_sum", ..SUMMARY },
    Pushed { name: "s_count", ..SUMMARY },
    Pushed { name: "s_created", ..GAUGE },
];

fn step() -> impl Strategy<Value = Step> {
    let format = prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)];
    prop_oneof![
        20 => (0..40_u8, 0..SERIES.len(), -2..5_i8, 0..3_u32).prop_map(
            |(component, series, value, after_s)| Step::Push { component, series, value, after_s }
        ),
        1 => (0..60_u32).prop_map(|idle_s| Step::Evict { idle_s }),
        4 => (0..60_u32, format).prop_map(|(stale_s, format)| Step::Look { stale_s, format }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_that_grew_is_the_page_made_anew(steps in prop::collection::vec(step(), 1..300)) {
        let mut world = World::new();
        let mut now_s = 1_000;
        for step in steps {
            match step {
                Step::Push { component, series, value, after_s } => {
                    now_s += after_s;
                    let component = format!("c{component}");
                    let value = f64::from(value);
                    world.push(&Pushed { component: &component, value, seen_s: now_s, ..SERIES[series] });
                }
                Step::Evict { idle_s } => {
                    world.registry.evict_idle(now_s - idle_s, LogPosition::ZERO);
                }
                Step::Look { stale_s, format } => {
                    let page = world.page(format, now_s - stale_s);
                    prop_assert_eq!(sorted(&page), sorted(&world.page_anew(format, now_s - stale_s)));
                }
            }
        }
    }
}
