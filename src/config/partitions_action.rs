//! The command line of `partitions`.

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::cli::{OutputForm, flags};

/// What `partitions` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionsAction {
    /// List the partitions.
    List(OutputForm),
    /// Make those of the coming days that are missing.
    Create {
        /// For how many days.
        days_ahead: u32,
    },
    /// Do what the server does by itself: make what is missing, drop what is over.
    Maintain,
}

impl PartitionsAction {
    /// The action of the command `name` below `partitions`.
    pub(super) fn read(name: &str, matches: &ArgMatches) -> Self {
        match name {
            "create" => {
                let days = matches.get_one::<u32>("days-ahead").copied();
                Self::Create { days_ahead: days.unwrap_or(DAYS_AHEAD) }
            }
            "maintain" => Self::Maintain,
            _ if matches.get_flag("json") => Self::List(OutputForm::Json),
            _ => Self::List(OutputForm::Text),
        }
    }
}

/// Days for which partitions are made when none are named.
const DAYS_AHEAD: u32 = 7;

/// The settings that these commands need.
const KEYS: [&str; 5] =
    ["data-dir", "database-url", "partition-interval", "partitions-ahead", "metrics-retention"];

pub(super) fn command() -> clap::Command {
    let command = |name: &'static str, about: &'static str| {
        let flags = flags(|setting| KEYS.contains(&setting.key));
        clap::Command::new(name).about(about).args(flags)
    };
    clap::Command::new("partitions")
        .about("Look after the partitions by hand or from a timer, as the server does by itself")
        .after_help(HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("list", "List the partitions: range, rows (estimated), bytes, state").arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .help("Print a JSON object a line instead of a table"),
            ),
        )
        .subcommand(
            command("create", "Make the partitions of the coming days that are missing").arg(
                Arg::new("days-ahead")
                    .long("days-ahead")
                    .value_name("DAYS")
                    .value_parser(value_parser!(u32).range(..=366))
                    .help("For how many days from now on, 0 to 366 [default: 7]"),
            ),
        )
        .subcommand(command(
            "maintain",
            "Make what is missing, drop what is older than the retention, refresh statistics",
        ))
}

/// Stands below the commands.
const HELP: &str = "\
A server does all this by itself every ten minutes and whenever a partition's time begins. From a \
timer, `partitions maintain` is for a database whose servers are stopped for long. It takes the \
retention from the same configuration as the server. Of all servers and commands, one works at a \
time; another does nothing, says so and ends with status 0. A server with a PostgreSQL of its own \
has to run. Status 1 says that something could not be done.";
