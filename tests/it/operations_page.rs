//! `docs/operations.md` against what it speaks of: its tables, its tests, and the links of the pages for
//! operators.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::client::gauges;
use crate::commands::run;
use crate::server::Launch;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = include_str!("../../docs/operations.md");

/// What stands between two marks.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}

#[test]
fn the_sizing_tables_are_those_of_the_measured_figures() {
    let ran = run(Command::new("python3").arg(format!("{ROOT}/scripts/sizing.py")));
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let shown = between(PAGE, "<!-- sizing -->\n", "<!-- end of sizing -->");
    assert_eq!(shown.trim(), ran.stdout.trim(), "put in what scripts/sizing.py prints");
    let example = ["--workers", "3000", "--interval", "20", "--metrics", "40"];
    let ran = run(Command::new("python3").arg(format!("{ROOT}/scripts/sizing.py")).args(example));
    assert!(ran.stdout.contains("| 3,000 | 20 s | 120,000 | 6,000 |"), "{}", ran.stdout);
}

/// The whole numbers that follow a phrase of the page of figures.
fn figure(phrase: &str) -> f64 {
    let page = include_str!("../../docs/performance.md");
    let (_, rest) = page.split_once(phrase).unwrap_or_else(|| panic!("no {phrase}"));
    rest.split(' ').find_map(|word| word.parse().ok()).unwrap()
}

#[test]
fn the_log_takes_what_the_page_of_figures_says() {
    let server = Launch::new().start();
    let client = server.client();
    let written = || server.instrument("noetl_metrics_log_written_bytes_total");
    let (record, row, value) = (
        figure("A record with its key takes"),
        figure("each row in it takes"),
        figure("each value takes"),
    );
    for metrics in [1_u32, 10, 64, 100] {
        let report = |number: u32| {
            let key = format!("{metrics:0>8}-0000-4000-8000-{number:0>12}");
            assert_eq!(key.len(), 36, "as long as a UUID");
            // A gauge of each series, all of one time.
            let mut report = gauges("logged", "", &[]);
            let metric = |n: u32| {
                serde_json::json!({"metric_name": format!("m{n}"), "metric_type": "gauge",
                                   "metric_value": n + number, "timestamp": 1_704_110_400 + number})
            };
            report["metrics"] = (0..metrics).map(metric).collect();
            let answer = client.post(&[("idempotency-key", &key)], report.to_string().as_bytes());
            assert_eq!(answer.ok()["metrics_inserted"], metrics);
        };
        // The first one defines the series.
        report(0);
        let before = written();
        (1..=20).for_each(report);
        let measured = (written() - before) as f64 / 20.0;
        let rows = f64::from(metrics.div_ceil(64));
        let stated = record + rows * row + f64::from(metrics) * value;
        assert!((measured / stated - 1.0).abs() < 0.06, "{metrics}: {measured}, stated {stated}");
    }
}

#[test]
fn the_drills_name_tests_that_exist() {
    let table = between(PAGE, "| drill | do | see | then | test |\n", "\n\n");
    let mut drills = 0;
    for line in table.lines().skip(1) {
        // A bar within a command is written with a backslash.
        let line = line.replace("\\|", "");
        let tests = line.split('|').nth(5).unwrap_or_else(|| panic!("not five columns: {line}"));
        for test in tests.split('`').skip(1).step_by(2) {
            let module = format!("{ROOT}/tests/it/{test}.rs");
            let within = format!("{ROOT}/src/{}/mod.rs", test.replace("::", "/"));
            assert!(Path::new(&module).exists() || Path::new(&within).exists(), "{test}");
        }
        drills += 1;
    }
    assert!(drills >= 15, "{drills} drills");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut in_block = false;
    page.lines()
        .filter(|line| {
            in_block ^= line.trim_start().starts_with("```");
            !in_block && line.starts_with('#')
        })
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn the_links_of_the_pages_for_operators_lead_somewhere() {
    for name in ["README.md", "docs/operations.md", "docs/troubleshooting.md"] {
        let page = fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
        let mut links = 0;
        // A link may be broken over two lines, its target never.
        for link in page.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut target = Path::new(ROOT).join(name);
            if !path.is_empty() {
                target = target.parent().unwrap().join(path);
            }
            assert!(target.exists(), "{name}: {link}");
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{name}: {link} is none of {there:?}");
            }
            links += 1;
        }
        assert!(links > 10, "{name} has {links} links");
    }
}
