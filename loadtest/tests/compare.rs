//! Small comparisons of the real server, with those of its peers that are installed here.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("loadtest-{}-{name}", std::process::id()))
}

fn take(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    text
}

/// Figures, Markdown and what was said on the way.
fn compare(port: u16, flags: &[&str]) -> (Value, String, String) {
    let server = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("noetl-metrics");
    assert!(server.exists(), "{} is missing: `cargo build` makes it", server.display());
    let (json, markdown) = (scratch(&format!("{port}.json")), scratch(&format!("{port}.md")));
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--rounds", "1", "--port-base", &port.to_string()])
        .args(flags)
        .args(["--server".as_ref(), server.as_os_str()])
        .args(["--json".as_ref(), json.as_os_str()])
        .args(["--markdown".as_ref(), markdown.as_os_str()])
        .output()
        .unwrap();
    let on_the_way = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{on_the_way}");
    (serde_json::from_str(&take(&json)).unwrap(), take(&markdown), on_the_way)
}

fn assert_exact(cell: &Value, samples: u64) {
    let exactness = &cell["rounds"][0]["report"]["exactness"];
    for (name, expected) in [
        ("acknowledged", samples),
        ("stored", samples),
        ("lost", 0),
        ("doubled", 0),
        ("altered_components", 0),
    ] {
        assert_eq!(exactness[name], expected, "{name}: {exactness}");
    }
}

#[test]
fn each_size_is_exact_and_absent_peers_are_left_out() {
    let shape = ["--shape", "churn", "--churn-every", "2", "--churn-percent", "15"];
    let size = ["--samples", "20000", "--series", "1000", "--connections", "4,8"];
    let rest = ["--warm-up", "3", "--victoria", "/nowhere/victoria"];
    let (figures, markdown, on_the_way) = compare(18_182, &[&shape[..], &size, &rest].concat());
    assert!(on_the_way.contains("victoria-json is left out: there is no /nowhere/victoria"));
    let cells = figures["cells"].as_array().unwrap();
    assert_eq!((&figures["kind"], cells.len()), (&"comparison".into(), 2));
    for cell in cells {
        assert_exact(cell, 23_000);
        let ours = &cell["medians"][0];
        assert_eq!(ours["server"], "noetl-metrics");
        assert!(ours["memory_mib"].as_f64() > Some(10.0), "{ours}");
        // Each other server that was there has taken the same samples.
        for round in &cell["rounds"].as_array().unwrap()[1..] {
            assert_eq!(round["report"]["samples_taken"], 20_000, "{round}");
        }
    }
    let of_cell = |line: &&str| line.starts_with("| 10 | 4 | 1,000 | noetl-metrics |");
    assert_eq!(markdown.lines().filter(of_cell).count(), 1, "{markdown}");
}

#[test]
fn sparse_reports_of_several_groups_are_exact() {
    let size = ["--samples", "21000", "--series", "2100", "--metrics", "70"];
    let none = ["--shape", "sparse", "--victoria", "/nowhere", "--prometheus", "/nowhere"];
    let (figures, _, _) = compare(18_184, &[&size[..], &none].concat());
    assert_exact(&figures["cells"][0], 21_000);
}
