//! The commands of the log, for a server that is stopped.

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::cli::{OutputForm, flags};

/// What `log` is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAction {
    /// Say what is in the log.
    Inspect(OutputForm),
    /// Say what in it is damaged.
    Verify(OutputForm),
    /// Go on without what cannot be read of a segment.
    SetAside {
        /// The segment's number.
        segment: u64,
        /// Whether that was agreed to.
        consent: Consent,
    },
    /// Have log and database fit together again, and accept what is missing between them.
    AcceptGap(Consent),
}

/// Whether a person has agreed to give something up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// `--yes`: do it.
    Given,
    /// Say what would be given up.
    Asked,
}

/// The settings that say where the log is.
const LOG_KEYS: [&str; 1] = ["data-dir"];
/// The settings that say what the log and the database are.
const GAP_KEYS: [&str; 3] = ["data-dir", "database-url", "postgres-bin-dir"];

/// Stands below the commands.
const AFTER: &str = "\
The server must be stopped. `inspect` and `verify` change nothing. `set-aside` and `accept-gap` say \
what they would do, and do it with --yes; they delete nothing. docs/operations.md goes through each case. Status 1 \
of `verify` says that something is damaged.";

/// The command line of `log`.
pub(super) fn command() -> clap::Command {
    let command = |name: &'static str, about: &'static str| {
        clap::Command::new(name).about(about).args(flags(|setting| LOG_KEYS.contains(&setting.key)))
    };
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print a JSON object a line instead of a table");
    let yes = Arg::new("yes")
        .long("yes")
        .action(ArgAction::SetTrue)
        .help("Do it; without this it is only said what would be done");
    let segment = Arg::new("segment")
        .value_name("SEGMENT")
        .value_parser(value_parser!(u64))
        .required(true)
        .help("The segment's number, as `log verify` and the server say it");
    clap::Command::new("log")
        .about("Look at the write-ahead log of a stopped server, and have it go on after damage")
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("inspect", "Say what is in the log: segments, records, keys").arg(json.clone()),
        )
        .subcommand(command("verify", "Read every record and say what is damaged").arg(json))
        .subcommand(
            command(
                "set-aside",
                "Go on without what cannot be read of a damaged or missing segment",
            )
            .arg(segment)
            .arg(yes.clone()),
        )
        .subcommand(
            clap::Command::new("accept-gap")
                .about(
                    "Have the log and the database fit together again, after one of them was \
                     restored: accept what is missing between them",
                )
                .args(flags(|setting| GAP_KEYS.contains(&setting.key)))
                .arg(yes),
        )
}

/// The action that the innermost command names, if it is one of the log's.
pub(super) fn read(name: &str, matches: &ArgMatches) -> Option<LogAction> {
    let flag = |name| matches.try_get_one::<bool>(name).ok().flatten().is_some_and(|set| *set);
    let form = || if flag("json") { OutputForm::Json } else { OutputForm::Text };
    let consent = || if flag("yes") { Consent::Given } else { Consent::Asked };
    match name {
        "inspect" => Some(LogAction::Inspect(form())),
        "verify" => Some(LogAction::Verify(form())),
        "set-aside" => {
            let segment = *matches.get_one::<u64>("segment")?;
            Some(LogAction::SetAside { segment, consent: consent() })
        }
        "accept-gap" => Some(LogAction::AcceptGap(consent())),
        _ => None,
    }
}
