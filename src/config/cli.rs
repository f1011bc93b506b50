//! The command line, made from the table of settings.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use super::error::ConfigErrors;
use super::resolve::{Config, Resolution};
use super::settings::{SETTINGS, Setting};
use super::types::Database;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Print the configuration in force, and what is wrong with it.
    ConfigCheck(ConfigReport),
    /// Print the URL of the database in use.
    DatabaseUrl {
        /// The directory in which an embedded PostgreSQL lies.
        data_dir: PathBuf,
        /// Which PostgreSQL the server writes to.
        database: Database,
    },
}

/// What `config check` finds.
#[derive(Debug)]
pub struct ConfigReport {
    /// The values in force as a TOML file, each with its origin, secrets hidden.
    pub in_force: String,
    /// The mistakes, if any; the command then ends with status 2.
    pub errors: Option<ConfigErrors>,
}

/// Why a command line names nothing to run.
#[derive(Debug)]
pub enum CliExit {
    /// Help or the version was asked for: print it to standard output.
    Answered(String),
    /// The command line is wrong.
    Usage(String),
    /// The configuration is wrong.
    Config(ConfigErrors),
}

impl CliExit {
    /// The exit status of the process: 0 done, 2 wrong usage or configuration.
    pub fn status(&self) -> u8 {
        match self {
            Self::Answered(_) => 0,
            Self::Usage(_) | Self::Config(_) => 2,
        }
    }
}

impl fmt::Display for CliExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(text) | Self::Usage(text) => formatter.write_str(text.trim_end()),
            Self::Config(errors) => errors.fmt(formatter),
        }
    }
}

/// The keys of the settings that say where the database is.
const DATABASE_KEYS: [&str; 2] = ["data-dir", "database-url"];

/// The command line of the server.
#[derive(Debug)]
pub struct Cli;

impl Cli {
    /// Reads a command from `args`, the program's name first, and the variables that `env` knows.
    ///
    /// # Errors
    /// Where there is nothing to run: help was asked for, or the command line or the
    /// configuration is wrong.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Command, CliExit> {
        let matches = command_line().try_get_matches_from(args).map_err(|error| {
            let text = error.render().to_string();
            if error.use_stderr() { CliExit::Usage(text) } else { CliExit::Answered(text) }
        })?;
        let (name, matches) = innermost(&matches);
        let resolution = resolve(matches, &env);
        if name == "check" {
            let in_force = resolution.report();
            let errors = resolution.into_errors();
            return Ok(Command::ConfigCheck(ConfigReport { in_force, errors }));
        }
        let config = resolution.into_config().map_err(CliExit::Config)?;
        match name {
            "serve" => Ok(Command::Serve(Box::new(config))),
            "database-url" => Ok(Command::DatabaseUrl {
                data_dir: config.settings().data_dir.clone(),
                database: config.settings().database_url.clone(),
            }),
            other => unreachable!("{other} is not among the commands that clap was given"),
        }
    }
}

/// The last of the nested commands: `check` of `config check`.
fn innermost(mut matches: &ArgMatches) -> (&str, &ArgMatches) {
    let mut name = "";
    while let Some((inner, inner_matches)) = matches.subcommand() {
        (name, matches) = (inner, inner_matches);
    }
    (name, matches)
}

fn resolve(matches: &ArgMatches, env: &impl Fn(&str) -> Option<OsString>) -> Resolution {
    // A command knows only some of the flags; asking for another is not a mistake here.
    let flag = |key: &str| matches.try_get_one::<OsString>(key).ok().flatten().cloned();
    let in_env = env("NOETL_CONFIG").filter(|path| !path.is_empty());
    let file = flag("config").or(in_env).map(|path| path.to_string_lossy().into_owned());
    Resolution::new(file.as_deref(), env, flag)
}

fn command_line() -> clap::Command {
    let check = clap::Command::new("check")
        .about("Print the effective configuration, secrets hidden, and every mistake in it")
        .after_help(VALUES)
        .args(flags(|_| true));
    clap::Command::new("noetl-metrics")
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .version(env!("CARGO_PKG_VERSION"))
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            clap::Command::new("serve")
                .about("Run the server until SIGTERM or SIGINT drains and stops it")
                .after_help(VALUES)
                .args(flags(|_| true)),
        )
        .subcommand(
            clap::Command::new("config")
                .about("Look at the configuration")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(check),
        )
        .subcommand(
            clap::Command::new("database-url")
                .about("Print the URL of the database in use, for psql \"$(noetl-metrics database-url)\"")
                .args(flags(|setting| DATABASE_KEYS.contains(&setting.key))),
        )
}

/// Stands below the flags in the help.
const VALUES: &str = "\
Values: DURATION is like 250ms, 15s, 5m, 1h or 7d, and a bare number means seconds. BYTES is like \
64KiB, 500MB or 8GiB, and a bare number means bytes.

A setting may also stand in the configuration file (TOML, `key = value`, the key as the flag without \
its dashes) or in its variable. Flags override variables, and variables the file.";

/// A flag for each setting that `wanted` picks, and the one that names the file.
fn flags(wanted: impl Fn(&Setting) -> bool) -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(OsString))
        .help("The TOML file that settings are read from. [variable: NOETL_CONFIG]");
    let settings = SETTINGS.iter().filter(|setting| wanted(setting)).map(flag);
    std::iter::once(file).chain(settings).collect()
}

fn flag(setting: &Setting) -> Arg {
    let range = setting.range.map(|(min, max)| format!(" [{min} to {max}]")).unwrap_or_default();
    let help = format!(
        "{} [default: {}]{range} [variable: {}]",
        setting.help(),
        setting.default,
        setting.variable()
    );
    let arg = Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.value_name)
        .value_parser(value_parser!(OsString))
        .help_heading(setting.heading)
        .help(help);
    if setting.is_switch() {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg
    }
}

#[cfg(test)]
mod tests {
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
                let value = if setting.is_switch() {
                    format!("[=<{value}>]")
                } else {
                    format!(" <{value}>")
                };
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
}
