//! The command line of `token`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches};

use super::cli::{OutputForm, flags};
use crate::access::{Grant, Pattern, SAMPLES_PER_SECOND_MAX, SampleRate, Scope, TokenName};

/// What `token` is to do.
#[derive(Clone, Debug)]
pub enum TokenAction {
    /// Make a token, print it once, and add its hash to the file.
    Create(Grant),
    /// List the tokens by their names.
    List(OutputForm),
    /// Take a token out of the file.
    Revoke(TokenName),
}

impl TokenAction {
    /// The action of the command `name` below `token`.
    ///
    /// # Errors
    /// What is wrong with a name or a pattern. Neither is repeated: it may be a token.
    pub(super) fn read(name: &str, matches: &ArgMatches) -> Result<Self, String> {
        let token_name = || {
            let text = matches.get_one::<String>("name").map(String::as_str);
            TokenName::new(text.unwrap_or_default()).map_err(|error| format!("--name: {error}"))
        };
        let all = |key: &str| matches.get_many::<String>(key).into_iter().flatten();
        match name {
            "create" => {
                let components = all("component")
                    .map(|text| Pattern::new(text))
                    .collect::<Result<_, _>>()
                    .map_err(|error| format!("--component: {error}"))?;
                let scopes = all("scope").filter_map(|word| Scope::parse(word)).collect();
                let rate = matches.get_one::<u32>("samples-per-second").copied();
                let rate = rate.map(SampleRate::new).transpose();
                let rate = rate.map_err(|error| format!("--samples-per-second: {error}"))?;
                let rate = rate.map(Arc::new);
                Ok(Self::Create(Grant { name: token_name()?, scopes, components, rate }))
            }
            "revoke" => Ok(Self::Revoke(token_name()?)),
            _ if matches.get_flag("json") => Ok(Self::List(OutputForm::Json)),
            _ => Ok(Self::List(OutputForm::Text)),
        }
    }
}

/// The file, or what to do where none is named.
pub(super) fn file(named: Option<&PathBuf>) -> Result<PathBuf, String> {
    named.cloned().ok_or_else(|| {
        "name the file of tokens with --token-file FILE, as for `noetl-metrics serve`".to_owned()
    })
}

pub(super) fn command() -> clap::Command {
    let command = |name: &'static str, about: &'static str| {
        clap::Command::new(name).about(about).args(flags(|setting| setting.key == "token-file"))
    };
    let name = || {
        Arg::new("name").long("name").value_name("NAME").required(true).help(
            "By this name people speak of it: 1 to 64 letters, digits, dots, dashes, underscores",
        )
    };
    clap::Command::new("token")
        .about("Make, list and revoke the tokens that the server lets in")
        .after_help(HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("create", "Make a token, print it once, and add its hash to the file")
                .arg(name())
                .arg(
                    Arg::new("scope")
                        .long("scope")
                        .value_name("SCOPE")
                        .required(true)
                        .action(ArgAction::Append)
                        .value_delimiter(',')
                        .value_parser(Scope::ALL.map(Scope::as_str))
                        .help("What it may do; may be given several times"),
                )
                .arg(
                    Arg::new("component")
                        .long("component")
                        .value_name("PATTERN")
                        .action(ArgAction::Append)
                        .value_delimiter(',')
                        .help(
                            "As which components it may report and register, such as 'worker-*'; \
                             may be given several times [default: any]",
                        ),
                )
                .arg(
                    Arg::new("samples-per-second")
                        .long("samples-per-second")
                        .value_name("N")
                        .value_parser(
                            clap::value_parser!(u32).range(1..=i64::from(SAMPLES_PER_SECOND_MAX)),
                        )
                        .help(
                            "How many samples all who have it may send together; a minute's worth \
                             may come at once, and what is more is refused with 429 [default: any]",
                        ),
                ),
        )
        .subcommand(
            command("list", "List the tokens: name, scopes, components, samples per second").arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .help("Print a JSON object a line instead of a table"),
            ),
        )
        .subcommand(command("revoke", "Take a token out of the file").arg(name()))
}

/// Stands below the commands.
const HELP: &str = "\
Scopes: write is to report and to register, read is to query and to scrape, admin is to make and drop \
partitions; none includes another. The file has hashes only, so a token that is lost is made anew. A \
running server reads the file again at SIGHUP: send it one after create and revoke. \
docs/security.md says more.";
