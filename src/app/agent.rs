//! The command `agent`: reports for this host until it is told to stop.

use std::io::{self, Write};

use noetl_metrics_client::Settings;
use noetl_metrics_client::agent::{Agent, AgentError, AgentSettings};

use super::command::Outcome;
use super::drain::Signals;
use super::logging;
use crate::config::LogFormat;

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It does not start.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Signals cannot be received.
    #[error("listen for signals: {0}")]
    Signals(io::Error),
}

/// Runs it until SIGTERM or SIGINT. Says on standard error what it reports, and what was left.
pub async fn run(settings: Settings, agent: AgentSettings) -> Result<Outcome, CommandError> {
    logging::init("info", LogFormat::Human);
    let mut signals = Signals::new().map_err(CommandError::Signals)?;
    let (name, url) = (settings.component_name(), settings.server_url.to_string());
    let agent = Agent::start(settings, agent).await?;
    let statsd = agent
        .statsd_address()
        .map_or(String::new(), |address| format!("; StatsD is taken on udp://{address}"));
    // A closed standard error must not end an agent that works.
    drop(writeln!(io::stderr(), "noetl-metrics agent reports as {name} to {url}{statsd}"));
    signals.next().await;
    let left = agent.shutdown().await;
    if left.reports == 0 {
        return Ok(Outcome::Done);
    }
    let (reports, them) =
        (left.reports, "a spool (--worker-spool-dir) keeps them for the next start");
    drop(writeln!(
        io::stderr(),
        "noetl-metrics agent: {reports} reports were not delivered; {them}"
    ));
    Ok(Outcome::Left)
}
