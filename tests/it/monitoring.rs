//! What is shipped for Grafana and Prometheus, compared with what a running server exports.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::server::Server;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Labels of a scrape's target, and what stands for any label.
const TARGET_LABELS: [&str; 3] = ["instance", "job", "__name__"];

/// Metric name → its labels.
type Exported = BTreeMap<String, BTreeSet<String>>;

fn exported() -> Exported {
    let client = Server::shared().client();
    let reported = client.post_json("/api/metrics/self-report", &Value::Null);
    assert_eq!(reported.status, 200, "{}", reported.text());
    let mut exported = Exported::new();
    for path in ["/metrics", "/api/metrics/prometheus"] {
        for line in client.get(path).text().lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
            let labels = exported.entry(name.to_owned()).or_default();
            labels.extend(labels_of_line(rest));
        }
    }
    exported
}

/// The names before `="`, outside of values.
fn labels_of_line(labels: &str) -> Vec<String> {
    let parts: Vec<_> = labels.split('"').step_by(2).collect();
    let names = parts.iter().filter_map(|part| part.strip_suffix('='));
    names.map(|name| name.trim_start_matches(['{', ',']).to_owned()).collect()
}

/// What an expression asks for: metrics, each with the labels that it is selected by, and the
/// labels that results are grouped by.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    metrics: Vec<(String, Vec<String>)>,
    grouped_by: Vec<String>,
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    // Between quotes there are values, no names.
    for part in text.split('"').step_by(2) {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        words.extend(part.split(|c| !inside(c)).filter(|word| !word.is_empty()).map(str::to_owned));
    }
    words
}

fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '"' || c == '{') {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = &text[text.find('"').expect("a text ends") + 1..];
            continue;
        }
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
            .unwrap_or(rest.len());
        let word = &rest[..length];
        rest = rest[length..].trim_start();
        if ["by", "on", "without", "group_left", "ignoring"].contains(&word) {
            let end = rest.find(')').expect("a list of labels ends");
            asked.grouped_by.extend(words(&rest[..end]));
            rest = &rest[end..];
        } else if word.is_empty() || word.starts_with("noetl_") || word.starts_with("process_") {
            let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = selector.map_or_else(Vec::new, |(selector, after)| {
                rest = after;
                words(selector)
            });
            asked.metrics.push((word.to_owned(), labels));
        }
    }
    asked
}

#[test]
fn expressions_are_taken_apart() {
    let check = |expression: &str, metrics: &[(&str, &[&str])], grouped_by: &[&str]| {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let metrics =
            metrics.iter().map(|(name, labels)| ((*name).to_owned(), own(labels))).collect();
        assert_eq!(asked(expression), Asked { metrics, grouped_by: own(grouped_by) });
    };
    check("noetl_a > 1", &[("noetl_a", &[])], &[]);
    check("rate(noetl_a{x=\"y z\",w=~\".*\"}[5m])", &[("noetl_a", &["x", "w"])], &[]);
    check(
        "sum by (le, v) (noetl_a) / on (i) process_b",
        &[("noetl_a", &[]), ("process_b", &[])],
        &["le", "v", "i"],
    );
    check("{__name__=\"$metric\", c=\"d\"}", &[("", &["__name__", "c"])], &[]);
}

fn check(exported: &Exported, place: &str, expression: &str) {
    let asked = asked(expression);
    let mut labels: BTreeSet<&str> = TARGET_LABELS.into();
    for (name, selected_by) in &asked.metrics {
        let own: BTreeSet<&str> = match exported.get(name) {
            Some(labels) => labels.iter().map(String::as_str).collect(),
            // Any metric of the page: what all of those have.
            None if name.is_empty() => ["component", "component_type"].into(),
            None => panic!("{place}: no server exports {name}: {expression}"),
        };
        for label in selected_by {
            let known = own.contains(label.as_str()) || TARGET_LABELS.contains(&label.as_str());
            assert!(known, "{place}: {name} has no label {label}: {expression}");
        }
        labels.extend(own);
    }
    for label in &asked.grouped_by {
        assert!(labels.contains(label.as_str()), "{place}: nothing has {label}: {expression}");
    }
}

/// Every text of a JSON document, with the name of its field.
fn texts<'a>(value: &'a Value, field: &'a str, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((field, text)),
        Value::Array(values) => values.iter().for_each(|value| texts(value, field, found)),
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| texts(value, field, found));
        }
        _ => {}
    }
}

#[test]
fn what_the_dashboards_ask_for_is_exported() {
    let exported = exported();
    for name in ["server", "fleet"] {
        let text =
            std::fs::read_to_string(format!("{ROOT}/packaging/grafana/{name}.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let mut found = Vec::new();
        texts(&dashboard, "", &mut found);
        let mut panels = 0;
        for (field, text) in found {
            if field == "expr" {
                check(&exported, name, text);
                panels += 1;
            } else if field == "definition" && text.starts_with("label_values(") {
                let (metric, label) = text["label_values(".len()..].rsplit_once(", ").unwrap();
                let label = label.trim_end_matches(')');
                check(&exported, name, &format!("sum by ({label}) ({metric})"));
            }
        }
        assert!(panels > 10, "{name} has {panels} expressions");
    }
}

#[test]
fn what_the_alerts_ask_for_is_exported() {
    let text = include_str!("../../packaging/prometheus/alerts.yml");
    let exported = exported();
    // An expression is on one line, or folded over those below that are indented more.
    let mut rules = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr: ") else { continue };
        let mut expression = expression.trim_start_matches(">-").to_owned();
        while let Some(line) = lines.next_if(|line| line.starts_with("          ")) {
            expression += line;
        }
        check(&exported, "alerts.yml", &expression);
        rules += 1;
    }
    assert_eq!(rules, text.matches("- alert: ").count());
}

#[test]
fn the_alerts_fire_when_they_should() {
    let directory = format!("{ROOT}/packaging/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let output = Command::new("promtool").args(arguments).current_dir(&directory).output();
        let output = output.expect("the tests need Prometheus on PATH; `make test` installs it");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success() && !said.contains("FAILED"), "{said}");
    }
}
