//! The command lines of the worker's side: `agent` and `push`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Arg, ArgMatches, value_parser};
use noetl_metrics_client::agent::{AGENT_VARIABLES, AgentSettings};
use noetl_metrics_client::settings::{InvalidSettings, VARIABLES, Variable, value};
use noetl_metrics_client::{MetricType, Settings};

/// What `push` is to do.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// Where and how to deliver.
    pub client: Settings,
    /// The component's type, where one is told.
    pub component_type: Option<String>,
    /// Metrics of the command line; without any, they are read from standard input.
    pub values: Vec<(String, f64)>,
    /// The type of those.
    pub metric_type: MetricType,
    /// Their unit.
    pub unit: String,
    /// Labels of all metrics.
    pub labels: Vec<(String, String)>,
    /// For how long the delivery is tried.
    pub retry_for: Duration,
}

/// What a worker's command is to do.
#[derive(Clone, Debug)]
pub enum WorkerCommand {
    /// Report for this host until SIGTERM or SIGINT.
    Agent(Box<Settings>, AgentSettings),
    /// Report once.
    Push(Box<PushRequest>),
}

/// The variables of `push`.
const PUSH_KEYS: [&str; 8] = [
    "server-url",
    "worker-token-file",
    "worker-ca-file",
    "worker-cert-file",
    "worker-key-file",
    "worker-pool-name",
    "worker-request-timeout",
    "worker-compress-above",
];

/// The command of the name, if it is one of these.
///
/// # Errors
/// Every mistake, a line each.
pub(super) fn read(
    name: &str,
    matches: &ArgMatches,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Option<Result<WorkerCommand, String>> {
    match name {
        "agent" => Some(agent(matches, env).map_err(|mistakes| mistakes.to_string())),
        "push" => Some(push(matches, env).map(|push| WorkerCommand::Push(Box::new(push)))),
        _ => None,
    }
}

fn agent(
    matches: &ArgMatches,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Result<WorkerCommand, InvalidSettings> {
    let settings = Settings::read(|variable| given(variable, matches, env));
    let agent = AgentSettings::read(|variable| given(variable, matches, env));
    let (settings, agent) = InvalidSettings::both(settings, agent)?;
    Ok(WorkerCommand::Agent(Box::new(settings), agent))
}

fn push(
    matches: &ArgMatches,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Result<PushRequest, String> {
    let mut mistakes = Vec::new();
    let mut client =
        Settings::read(|variable| given(variable, matches, env)).unwrap_or_else(|error| {
            mistakes.push(error.to_string());
            Settings::default()
        });
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    if let Some(component) = text("component") {
        client.name = Some(component);
    }
    let mut values = Vec::new();
    let mut labels = Vec::new();
    let all = |name: &str| matches.get_many::<String>(name).into_iter().flatten();
    for argument in all("values") {
        let pair = argument.rsplit_once('=').filter(|(name, _)| !name.is_empty());
        let value = pair.and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        match value {
            Some(value) => values.push(value),
            None => mistakes.push(format!("{argument:?} is not a metric; write it like jobs=7")),
        }
    }
    for argument in all("label") {
        match argument.split_once('=').filter(|(name, _)| !name.is_empty()) {
            Some((name, value)) => labels.push((name.to_owned(), value.to_owned())),
            None => {
                mistakes.push(format!("--label: {argument:?} is not a label; write it like a=b"));
            }
        }
    }
    let metric_type = text("type").map_or(MetricType::Gauge, |word| {
        let known = MetricType::ALL.into_iter().find(|one| one.as_str() == word);
        known.expect("clap has looked at it")
    });
    let retry_for = text("retry-for").unwrap_or_else(|| RETRY_FOR.to_owned());
    let retry_for = value::duration(&retry_for).unwrap_or_else(|| {
        mistakes.push(format!("--retry-for: {retry_for:?} is not a duration; write it like 15s"));
        Duration::ZERO
    });
    if !mistakes.is_empty() {
        return Err(mistakes.join("\n"));
    }
    let (component_type, unit) = (text("component-type"), text("unit").unwrap_or_default());
    Ok(PushRequest { client, component_type, values, metric_type, unit, labels, retry_for })
}

/// For how long `push` tries when it is not told.
const RETRY_FOR: &str = "1m";

/// A variable's value and where it stands: a flag, or the environment.
fn given<S>(
    variable: &Variable<S>,
    matches: &ArgMatches,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Option<(String, String)> {
    let flag = matches.try_get_one::<String>(variable.key).ok().flatten();
    let flag = flag.map(|value| (format!("--{}", variable.key), value.clone()));
    flag.or_else(|| {
        let value = env(&variable.name())?;
        Some((variable.name(), value.to_string_lossy().into_owned()))
    })
}

fn flag<S>(variable: &Variable<S>) -> Arg {
    let (key, default, name) = (variable.key, variable.default, variable.name());
    let help = format!("{}\n[default: {default}] [variable: {name}]", variable.help);
    Arg::new(key).long(key).value_name(variable.value_name).help(help)
}

pub(super) fn agent_command() -> clap::Command {
    clap::Command::new("agent")
        .about("Report the figures of this host, and of what runs on it, to a server")
        .after_help(AGENT)
        .args(VARIABLES.iter().map(flag))
        .args(AGENT_VARIABLES.iter().map(flag))
}

pub(super) fn push_command() -> clap::Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    clap::Command::new("push")
        .about("Report metrics once, from a script or a job of cron")
        .after_help(PUSH)
        .arg(Arg::new("values").value_name("NAME=VALUE").num_args(0..).help(
            "Metrics; without any, the text format of Prometheus is read from standard input",
        ))
        .arg(text("component", "NAME", "The component; as --worker-pool-name, which it overrides"))
        .arg(text(
            "component-type",
            "TYPE",
            "The component's type. Without one it is the component of that name, or a new one of \
             type external",
        ))
        .arg(
            text("type", "TYPE", "The type of the metrics named here [default: gauge]")
                .value_parser(MetricType::ALL.map(MetricType::as_str)),
        )
        .arg(text("unit", "UNIT", "Their unit"))
        .arg(
            text("label", "NAME=VALUE", "A label of all metrics; may be given several times")
                .action(clap::ArgAction::Append)
                .value_parser(value_parser!(String)),
        )
        .arg(text("retry-for", "DURATION", "For how long it is tried [default: 1m]"))
        .args(VARIABLES.iter().filter(|one| PUSH_KEYS.contains(&one.key)).map(flag))
}

/// Stands below the flags of the agent.
const AGENT: &str = "\
Each flag may stand in its variable instead. NOETL_TOKEN may hold the token that the server wants. DURATION is like 250ms, 15s, 5m, 1h or 7d, and a bare \
number means seconds; BYTES is like 64KiB or 16MiB. SIGTERM and SIGINT have it send a last report and \
take its leave. docs/workers.md says what is reported, and what to do where nothing arrives.";

/// Stands below the flags of `push`.
const PUSH: &str = "\
NOETL_TOKEN may hold the token that the server wants. Status 0 says that all of it is on the server's disk. Status 1: it is not, or not known to be; nothing \
is doubled by pushing again with a later value. Status 2: the command line is wrong, and nothing was sent.";

#[cfg(test)]
mod tests;
