use super::super::log_action::Consent;
use super::*;

fn parse(line: &str, env: &[(&str, &str)]) -> Result<Command, CliExit> {
    let args = ["noetl-metrics"].into_iter().chain(line.split_whitespace());
    Cli::parse(args.map(OsString::from), |name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, text)| OsString::from(text))
    })
}

fn serve(line: &str, env: &[(&str, &str)]) -> Config {
    match parse(line, env) {
        Ok(Command::Serve(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn exit(line: &str) -> CliExit {
    match parse(line, &[]) {
        Err(exit) => exit,
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

#[test]
fn the_table_makes_a_sound_command_line() {
    command_line().debug_assert();
}

#[test]
fn flags_and_variables_reach_the_settings() {
    let env = [("NOETL_SERVER_NAME", "north"), ("NOETL_REQUIRE_REGISTRATION", "true")];
    let config = serve("serve --listen 127.0.0.1:0 --batch-age-max=250ms", &env);
    let settings = config.settings();
    assert_eq!(settings.listen.port(), 0);
    assert_eq!(settings.batch_age_max.as_millis(), 250);
    assert_eq!(settings.server_name.as_deref(), Some("north"));
    assert!(settings.require_registration);
}

#[test]
fn a_switch_needs_no_value_and_can_be_switched_off() {
    let env = [("NOETL_REQUIRE_REGISTRATION", "true")];
    assert!(serve("serve --require-registration", &[]).settings().require_registration);
    let config = serve("serve --require-registration=false", &env);
    assert!(!config.settings().require_registration);
}

#[test]
fn the_flag_for_the_file_overrides_its_variable() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = write("one.toml", "labels-max = 1");
    let two = write("two.toml", "labels-max = 2");
    let env = [("NOETL_CONFIG", one.as_str())];
    assert_eq!(serve("serve", &env).settings().labels_max, 1);
    assert_eq!(serve(&format!("serve --config {two}"), &env).settings().labels_max, 2);
}

#[test]
fn database_url_needs_only_what_locates_the_database() {
    let env = [("DATABASE_URL", "postgres://db/metrics")];
    let Ok(Command::DatabaseUrl { data_dir, database }) =
        parse("database-url --data-dir /srv/metrics", &env)
    else {
        panic!("not understood")
    };
    assert_eq!(data_dir, PathBuf::from("/srv/metrics"));
    assert!(matches!(database, Database::External(_)));
    let embedded = parse("database-url --database-url embedded", &env).unwrap();
    assert!(matches!(embedded, Command::DatabaseUrl { database: Database::Embedded, .. }));
    assert!(matches!(exit("database-url --listen 127.0.0.1:1"), CliExit::Usage(_)));
}

#[test]
fn the_quarantine_is_told_which_record() {
    let check = |line: &str, expected: QuarantineAction| match parse(line, &[]) {
        Ok(Command::Quarantine { action, .. }) => assert_eq!(action, expected, "{line}"),
        other => panic!("{line}: {other:?}"),
    };
    check("quarantine list", QuarantineAction::List(OutputForm::Text));
    check("quarantine list --json", QuarantineAction::List(OutputForm::Json));
    check("quarantine show 7", QuarantineAction::Show(7, OutputForm::Text));
    check("quarantine show --json 7", QuarantineAction::Show(7, OutputForm::Json));
    check("quarantine replay --id 7", QuarantineAction::Replay(7));
    check("quarantine replay --all --data-dir /srv", QuarantineAction::ReplayAll);
    for line in ["replay", "replay --id 7 --all", "replay --id 0", "replay --id x", "show", ""] {
        assert!(matches!(exit(&format!("quarantine {line}")), CliExit::Usage(_)), "{line}");
    }
}

#[test]
fn the_commands_of_the_log_are_read() {
    let check = |line: &str, expected: LogAction| match parse(line, &[]) {
        Ok(Command::Log { action, .. }) => assert_eq!(action, expected, "{line}"),
        other => panic!("{line}: {other:?}"),
    };
    check("log inspect", LogAction::Inspect(OutputForm::Text));
    check("log verify --json --data-dir /srv", LogAction::Verify(OutputForm::Json));
    let (segment, consent) = (7, Consent::Asked);
    check("log set-aside 0000000000000007", LogAction::SetAside { segment, consent });
    let consent = Consent::Given;
    check("log set-aside 7 --yes", LogAction::SetAside { segment, consent });
    check("log accept-gap", LogAction::AcceptGap(Consent::Asked));
    check("log accept-gap --yes", LogAction::AcceptGap(consent));
    for line in ["", "set-aside", "set-aside x", "set-aside --yes", "inspect 7", "verify --yes"] {
        assert!(matches!(exit(&format!("log {line}")), CliExit::Usage(_)), "{line}");
    }
}

#[test]
fn the_partitions_are_told_what_to_do() {
    let check = |line: &str, expected: PartitionsAction| match parse(line, &[]) {
        Ok(Command::Partitions(_, action)) => assert_eq!(action, expected, "{line}"),
        other => panic!("{line}: {other:?}"),
    };
    check("partitions list", PartitionsAction::List(OutputForm::Text));
    check("partitions list --json", PartitionsAction::List(OutputForm::Json));
    check("partitions create", PartitionsAction::Create { days_ahead: 7 });
    check("partitions create --days-ahead 30", PartitionsAction::Create { days_ahead: 30 });
    check("partitions maintain --metrics-retention 7d", PartitionsAction::Maintain);
    for line in ["", "drop", "create --days-ahead 367", "list --listen 127.0.0.1:1", "list x"] {
        assert!(matches!(exit(&format!("partitions {line}")), CliExit::Usage(_)), "{line}");
    }
    let env = [("NOETL_METRICS_RETENTION", "soon")];
    assert!(matches!(parse("partitions maintain", &env), Err(CliExit::Config(_))));
}

#[test]
fn config_check_reports_values_and_mistakes() {
    let Ok(Command::ConfigCheck(report)) = parse("config check --labels-max 5", &[]) else {
        panic!("not understood")
    };
    assert!(report.in_force.contains("labels-max = 5  # flag --labels-max"));
    assert!(report.errors.is_none());
    let Ok(Command::ConfigCheck(report)) = parse("config check --labels-max x", &[]) else {
        panic!("not understood")
    };
    assert_eq!(report.errors.unwrap().mistakes().len(), 1);
}

#[test]
fn help_explains_every_setting() {
    for command in ["serve", "config check"] {
        let help = exit(&format!("{command} --help"));
        assert_eq!(help.status(), 0);
        let words = help.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in SETTINGS {
            let value = setting.value_name;
            let value =
                if setting.is_switch() { format!("[=<{value}>]") } else { format!(" <{value}>") };
            let wants = [
                format!("--{}{value} ", setting.key),
                setting.help(),
                format!("[default: {}]", setting.default),
                format!("[variable: {}]", setting.variable()),
            ];
            for want in wants {
                assert!(words.contains(&want), "{want}\nis missing from\n{help}");
            }
        }
    }
}

#[test]
fn wrong_command_lines_end_with_status_2() {
    for line in ["", "run", "serve --no-such-flag", "serve extra", "config", "serve --listen"] {
        let exit = exit(line);
        assert!(matches!(exit, CliExit::Usage(_)), "{line}: {exit:?}");
        assert_eq!(exit.status(), 2, "{line}");
    }
    let wrong = exit("serve --listen nowhere");
    assert!(matches!(wrong, CliExit::Config(_)), "{wrong:?}");
    assert_eq!(wrong.status(), 2);
}

#[test]
fn the_version_is_an_answer() {
    let version = exit("--version");
    assert_eq!(version.status(), 0);
    assert_eq!(version.to_string(), format!("noetl-metrics {}", env!("CARGO_PKG_VERSION")));
}
