use std::fs;

use super::*;

fn resolve(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Resolution {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("noetl.toml");
    fs::write(&path, file).unwrap();
    let find = |list: &[(&str, &str)], name: &str| {
        list.iter().find(|(key, _)| *key == name).map(|(_, text)| OsString::from(text))
    };
    Resolution::new(path.to_str(), |name| find(env, name), |key| find(flags, key))
}

#[test]
fn flags_override_variables_and_variables_the_file() {
    let check = |file: &str, env: &[(&str, &str)], flags: &[(&str, &str)], want: usize| {
        let config = resolve(file, env, flags).into_config().unwrap();
        assert_eq!(config.settings().labels_max, want, "{file:?} {env:?} {flags:?}");
    };
    let variable = ("NOETL_LABELS_MAX", "2");
    check("", &[], &[], 64);
    check("labels-max = 1", &[], &[], 1);
    check("labels-max = 1", &[variable], &[], 2);
    check("labels-max = 1", &[variable], &[("labels-max", "3")], 3);
    check("labels-max = 1", &[("NOETL_LABELS_MAX", "")], &[], 1);
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    let file = "labels-max = 'many'\nstale_after = 5\nidle-after = '1m'\n";
    let env = [("NOETL_KEEP_ALIVE", "soon"), ("DATABASE_URL", "mysql://me:secret@db/metrics")];
    let resolution = resolve(file, &env, &[("listen", "nowhere"), ("labels-max", "0")]);
    let text = resolution.into_config().unwrap_err().to_string();
    let wants = [
        "the configuration has 6 mistakes:",
        "noetl.toml line 2: there is no setting stale_after; did you mean stale-after?",
        "noetl.toml line 1: labels-max: \"many\" is not a whole number",
        "variable NOETL_KEEP_ALIVE: keep-alive: \"soon\" is not a duration; write it like",
        "variable DATABASE_URL: database-url: the value (hidden) is not a PostgreSQL URL",
        "flag --listen: listen: \"nowhere\" is not an IP address and port",
        "stale-after = 5m (default), idle-after = 1m (",
    ];
    for want in wants {
        assert!(text.contains(want), "{want}\nis missing from\n{text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn a_relation_is_not_judged_by_a_wrong_value() {
    let resolution = resolve("idle-after = 'x'\nstale-after = '2h'", &[], &[]);
    let errors = resolution.into_config().unwrap_err();
    assert_eq!(errors.mistakes().len(), 1, "{errors}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let resolution = Resolution::new(Some("no/such/file.toml"), |_| None, |_| None);
    let errors = resolution.into_config().unwrap_err().to_string();
    assert!(errors.contains("no/such/file.toml: cannot be read"), "{errors}");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt as _;
    let raw = || OsString::from_vec(vec![0xff]);
    let env = |name: &str| (name == "NOETL_DATA_DIR").then(raw);
    let resolution = Resolution::new(None, env, |_| None);
    let errors = resolution.into_config().unwrap_err().to_string();
    assert!(errors.contains("variable NOETL_DATA_DIR: data-dir: is not UTF-8"), "{errors}");
}

#[test]
fn the_report_can_be_used_as_a_configuration_file() {
    let env = [("NOETL_LISTEN", "[::1]:80"), ("NOETL_DATA_DIR", "a \"quoted\" \\ path")];
    let flags = [("labels-max", "1_0"), ("require-registration", "true")];
    let first = resolve("keep-alive = 90\nserver-name = '0123'", &env, &flags);
    let report = first.report();
    let second = resolve(&report, &[], &[]);
    let first = first.into_config().unwrap();
    let second = second.into_config().unwrap_or_else(|errors| panic!("{errors}\n{report}"));
    assert_eq!(format!("{:?}", first.settings()), format!("{:?}", second.settings()));
    for setting in SETTINGS {
        let line = format!("\n{} = ", setting.key);
        assert!(report.contains(&line), "{} is missing from\n{report}", setting.key);
    }
    assert!(report.contains("\nlisten = \"[::1]:80\"  # variable NOETL_LISTEN\n"), "{report}");
    assert!(report.contains("\nrequire-registration = true  # flag --require-registration\n"));
    assert!(report.contains("\nlabel-value-bytes-max = \"2KiB\"  # default\n"), "{report}");
}

#[test]
fn the_report_hides_secrets_and_marks_mistakes() {
    let env = [("DATABASE_URL", "postgres://me:secret@db/metrics"), ("NOETL_LISTEN", "x")];
    let resolution = resolve("", &env, &[]);
    let report = resolution.report();
    assert!(!report.contains("secret"), "{report}");
    assert!(report.contains("\n# database-url = (hidden)  # variable DATABASE_URL\n"));
    assert!(report.contains("\n# listen = \"x\"  # variable NOETL_LISTEN, a mistake\n"));
    assert_eq!(resolution.into_errors().unwrap().mistakes().len(), 1);
}

#[test]
fn nothing_that_is_printed_for_debugging_holds_a_secret() {
    let env = [("DATABASE_URL", "postgres://me:secret@db/metrics")];
    let config = resolve("", &env, &[]).into_config().unwrap();
    assert!(!format!("{config:?}").contains("secret"));
}
