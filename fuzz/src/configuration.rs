//! The configuration: a file of any bytes is either in force or named mistake by mistake.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use noetl_metrics::config::{Cli, Command, ConfigReport};

/// The bytes as a configuration file.
pub(super) fn run(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let report = check(&directory.path().join("noetl.toml"), bytes);
    if let Some(errors) = report.errors {
        assert!(!errors.mistakes().is_empty());
        for line in errors.to_string().lines() {
            assert!(!line.trim().is_empty(), "a mistake without a word: {errors}");
        }
        return;
    }
    // What is in force is a configuration itself, with the same values.
    let again = check(&directory.path().join("again.toml"), report.in_force.as_bytes());
    assert!(again.errors.is_none(), "{:?} of\n{}", again.errors, report.in_force);
    // A password is not printed, and without it another database is in force.
    if !report.in_force.contains("(hidden)") {
        assert_eq!(values(&again.in_force), values(&report.in_force));
    }
}

fn check(path: &Path, content: &[u8]) -> ConfigReport {
    fs::write(path, content).expect("a file");
    let arguments = ["noetl-metrics", "config", "check", "--config"].map(OsString::from);
    let arguments = arguments.into_iter().chain([path.as_os_str().to_owned()]);
    match Cli::parse(arguments, |_| None) {
        Ok(Command::ConfigCheck(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// The lines without the comments that say where a value comes from.
fn values(in_force: &str) -> Vec<&str> {
    in_force.lines().map(|line| line.split("  # ").next().unwrap_or(line)).collect()
}
