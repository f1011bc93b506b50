//! The command line, made from the table of settings.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, value_parser};

use super::error::ConfigErrors;
use super::log_action::{self, LogAction};
use super::partitions_action::{self, PartitionsAction};
use super::resolve::{Config, Resolution};
use super::settings::{SETTINGS, Setting};
use super::token_action::{self, TokenAction};
use super::types::Database;
use super::worker_commands::{self, WorkerCommand};
use crate::model::PartitionInterval;

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
    /// Look at what PostgreSQL refused, or try it again.
    Quarantine {
        /// The directory in which an embedded PostgreSQL lies.
        data_dir: PathBuf,
        /// Which PostgreSQL the server writes to.
        database: Database,
        /// How long a partition that is missing shall be.
        partition_interval: PartitionInterval,
        /// What to do.
        action: QuarantineAction,
    },
    /// Look at the log of a stopped server, or have it go on after damage.
    Log {
        /// Where the log and the database are.
        config: Box<Config>,
        /// What to do.
        action: LogAction,
    },
    /// Look after the tokens.
    Token {
        /// Their file.
        file: PathBuf,
        /// What to do.
        action: TokenAction,
    },
    /// Look after the partitions.
    Partitions(Box<Config>, PartitionsAction),
    /// Report to a server.
    Worker(WorkerCommand),
}

/// What `quarantine` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuarantineAction {
    /// List what was set aside.
    List(OutputForm),
    /// Show what one record holds.
    Show(i64, OutputForm),
    /// Try to store one record.
    Replay(i64),
    /// Try to store every record, in the order in which they were set aside.
    ReplayAll,
}

/// For whom a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// For people.
    Text,
    /// For programs: a JSON object a line.
    Json,
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
/// The settings that the commands of the quarantine need.
const QUARANTINE_KEYS: [&str; 3] = ["data-dir", "database-url", "partition-interval"];

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
        let top = matches.subcommand_name();
        let (name, matches) = innermost(&matches);
        if let Some(command) = worker_commands::read(name, matches, &env) {
            return command.map(Command::Worker).map_err(CliExit::Usage);
        }
        let resolution = resolve(matches, &env);
        if name == "check" {
            let in_force = resolution.report();
            let errors = resolution.into_errors();
            return Ok(Command::ConfigCheck(ConfigReport { in_force, errors }));
        }
        let config = resolution.into_config().map_err(CliExit::Config)?;
        if let Some(action) = log_action::read(name, matches) {
            return Ok(Command::Log { config: Box::new(config), action });
        }
        match name {
            _ if top == Some("token") => {
                let file = token_action::file(config.settings().token_file.as_ref());
                let action = TokenAction::read(name, matches);
                match (file, action) {
                    (Ok(file), Ok(action)) => Ok(Command::Token { file, action }),
                    (Err(problem), _) | (_, Err(problem)) => Err(CliExit::Usage(problem)),
                }
            }
            _ if top == Some("partitions") => {
                let action = PartitionsAction::read(name, matches);
                Ok(Command::Partitions(Box::new(config), action))
            }
            "serve" => Ok(Command::Serve(Box::new(config))),
            "database-url" => Ok(Command::DatabaseUrl {
                data_dir: config.settings().data_dir.clone(),
                database: config.settings().database_url.clone(),
            }),
            "list" | "show" | "replay" => Ok(Command::Quarantine {
                data_dir: config.settings().data_dir.clone(),
                database: config.settings().database_url.clone(),
                partition_interval: config.settings().partition_interval,
                action: quarantine_action(name, matches),
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

fn quarantine_action(name: &str, matches: &ArgMatches) -> QuarantineAction {
    let flag = |name| matches.try_get_one::<bool>(name).ok().flatten().is_some_and(|set| *set);
    let form = if flag("json") { OutputForm::Json } else { OutputForm::Text };
    match (name, matches.try_get_one::<i64>("id").ok().flatten()) {
        ("show", Some(id)) => QuarantineAction::Show(*id, form),
        ("replay", Some(id)) => QuarantineAction::Replay(*id),
        ("replay", None) => QuarantineAction::ReplayAll,
        _ => QuarantineAction::List(form),
    }
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
        .subcommand(quarantine())
        .subcommand(log_action::command())
        .subcommand(partitions_action::command())
        .subcommand(token_action::command())
        .subcommand(worker_commands::agent_command())
        .subcommand(worker_commands::push_command())
}

fn quarantine() -> clap::Command {
    let command = |name: &'static str, about: &'static str| {
        clap::Command::new(name)
            .about(about)
            .args(flags(|setting| QUARANTINE_KEYS.contains(&setting.key)))
    };
    let id = || Arg::new("id").value_name("ID").value_parser(value_parser!(i64).range(1..));
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print a JSON object a line instead of a table");
    clap::Command::new("quarantine")
        .about("Look at the reports that PostgreSQL refused for their content, and try them again")
        .after_help(QUARANTINE)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(command("list", "List what was set aside, oldest first").arg(json.clone()))
        .subcommand(
            command("show", "Show what one record holds")
                .arg(id().required(true).help("The record's number, from `quarantine list`"))
                .arg(json),
        )
        .subcommand(
            command(
                "replay",
                "Try to store what was set aside; what is stored leaves the quarantine",
            )
            .arg(id().long("id").help("Only the record of this number"))
            .arg(
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .help("Every record, in the order in which they were set aside"),
            )
            .group(ArgGroup::new("which").args(["id", "all"]).required(true)),
        )
}

/// Stands below the commands of the quarantine.
const QUARANTINE: &str = "\
First remove the cause that `quarantine list` names, then run `quarantine replay --all`. A record is \
stored in the transaction that removes it from the quarantine: once, however often this is run. The \
server may go on meanwhile; one with a PostgreSQL of its own has to. Status 1 says that something \
stays in the quarantine.";

/// Stands below the flags in the help.
const VALUES: &str = "\
Values: DURATION is like 250ms, 15s, 5m, 1h or 7d, and a bare number means seconds. BYTES is like \
64KiB, 500MB or 8GiB, and a bare number means bytes.

A setting may also stand in the configuration file (TOML, `key = value`, the key as the flag without \
its dashes) or in its variable. Flags override variables, and variables the file.";

/// A flag for each setting that `wanted` picks, and the one that names the file.
pub(super) fn flags(wanted: impl Fn(&Setting) -> bool) -> Vec<Arg> {
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
        "{}\n[default: {}]{range} [variable: {}]",
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
mod tests;
