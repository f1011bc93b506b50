//! `docs/troubleshooting.md` against the server: every error, reason and alert that an operator may meet
//! stands there, and what it says that the server says is in the source.

use std::fs;
use std::path::Path;

use crate::server::Server;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// The rows of all tables, as cells.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    PAGE.lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn every_error_code_has_a_row_with_its_status() {
    let source = include_str!("../../src/http/openapi/errors.rs");
    let codes: Vec<(&str, &str)> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("error("))
        .filter_map(|line| line.split_once(", \""))
        .map(|(status, rest)| (status, rest.split('"').next().unwrap()))
        .collect();
    assert!(codes.len() > 40, "{} codes", codes.len());
    for (status, code) in codes {
        let told = |cells: &Vec<&str>| {
            cells[0].contains(status) && cells.len() == 4 && cells[1].contains(&format!("`{code}`"))
        };
        assert!(rows().any(|cells| told(&cells)), "{status} {code} is not told");
    }
}

#[test]
fn every_alert_is_told() {
    let alerts = include_str!("../../packaging/prometheus/alerts.yml");
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not told");
    }
}

#[test]
fn every_reason_to_reject_a_sample_is_told() {
    let page = Server::shared().client().get("/metrics").text();
    let prefix = "noetl_metrics_samples_rejected_total{reason=\"";
    let reasons: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix(prefix)?.split('"').next()).collect();
    assert!(reasons.len() > 5, "{reasons:?}");
    let section = PAGE.split("## Samples are rejected").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    for reason in reasons {
        assert!(section.contains(&format!("`{reason}`")), "{reason} is not told");
    }
}

#[test]
fn every_instrument_that_is_named_is_exported() {
    let exported = Server::shared().client().get("/metrics").text();
    let names = PAGE.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '(');
    let mut named = 0;
    for name in names.filter(|name| name.starts_with("noetl_metrics_") && !name.contains('(')) {
        let name = name.trim_end_matches('_');
        assert!(exported.contains(name), "no server exports {name}");
        named += 1;
    }
    assert!(named > 5, "{named} instruments");
}

/// All source of server and client, with texts that go over several lines as one.
fn source() -> String {
    fn add(directory: &Path, to: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, to);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let mut lines = text.lines();
                while let Some(line) = lines.next() {
                    *to += line;
                    while to.ends_with('\\') {
                        to.pop();
                        *to += lines.next().unwrap_or_default().trim_start();
                    }
                    to.push('\n');
                }
            }
        }
    }
    let mut source = String::new();
    for directory in ["src", "client/src"] {
        add(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut source);
    }
    source
}

#[test]
fn what_the_server_is_said_to_say_stands_in_the_source() {
    let source = source();
    // Said by the operating system.
    let others = ["Address already in use", "Connection refused"];
    let mut checked = 0;
    for heading in ["## The server does not start", "## The agent, `push` and the library"] {
        let section = PAGE.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        for line in section.lines().filter(|line| line.starts_with("| ") && !line.contains("---")) {
            let said = line.trim_matches('|').split('|').next().unwrap();
            for message in said.split('`').skip(1).step_by(2) {
                // What differs each time is left out.
                for part in message.split('…').map(|part| part.trim_matches([' ', ':'])) {
                    let known = others.contains(&part) || source.contains(part);
                    assert!(known, "nothing says {part:?} of {message:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 25, "{checked} messages");
}
