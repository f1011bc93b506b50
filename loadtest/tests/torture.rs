//! A short torture of the real server, each main fault once. The long one is `make torture`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The server that `cargo test --workspace` (or `cargo build`) has put beside the load test.
fn server() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("noetl-metrics");
    assert!(path.exists(), "{} is missing: `cargo build` makes it", path.display());
    path
}

/// Does each of the faults once, and returns the figures.
fn torture(database: &str, faults: &[&str]) -> Value {
    let results = std::env::temp_dir().join(format!("torture-{database}-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["torture", "--database", database, "--faults", &faults.join(",")])
        .args(["--rounds", &faults.len().to_string(), "--workers", "100", "--rate", "2000"])
        .args(["--lasting-ms", "600"])
        .args(["--server".as_ref(), server().as_os_str()])
        .args(["--json".as_ref(), results.as_os_str()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let on_the_way = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{on_the_way}");
    let figures = std::fs::read(&results).unwrap();
    std::fs::remove_file(&results).unwrap();
    serde_json::from_slice(&figures).unwrap()
}

fn assert_well(figures: &Value, faults: &[&str]) {
    for fault in faults {
        let left_out = figures["left_out"][fault].is_string();
        let done = figures["faults"][fault]["done"].as_u64().unwrap_or(0);
        assert!(done > 0 || left_out, "{fault}: {figures}");
    }
    let exactness = &figures["exactness"];
    assert_eq!((&exactness["lost"], &exactness["doubled"]), (&0.into(), &0.into()), "{figures}");
    let acknowledged = exactness["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 5_000, "{figures}");
    assert_eq!(exactness["stored"], acknowledged);
}

#[test]
fn a_server_and_its_embedded_postgres_survive_each_other() {
    let faults = ["server-kill", "server-term", "postmaster-kill", "copy-terminate", "read-only"];
    assert_well(&torture("embedded", &faults), &faults);
}

#[test]
fn full_disks_and_a_bad_network_lose_nothing() {
    let faults = [
        "log-disk-full",
        "tables-disk-full",
        "network-cut",
        "copy-cut",
        "commit-unanswered",
        "postgres-freeze",
    ];
    assert_well(&torture("proxied", &faults), &faults);
}
