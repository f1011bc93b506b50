//! Reports for a host, or for a pool in any language: what the host does, chosen processes, text
//! files, StatsD.
//!
//! It is a [`crate::Reporter`] with sources; this module has those, and no task but the
//! one that listens for StatsD.

mod host;
mod processes;
mod settings;
mod text_files;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub use settings::{AGENT_VARIABLES, AgentSettings};

use crate::metrics::{Metrics, Series};
use crate::reporter::{Builder, Left, Reporter, StartError};
use crate::settings::Settings;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The reporter does not.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address for StatsD cannot be had.
    #[error("listen for StatsD on {address}: {source}; choose another with --agent-statsd")]
    Statsd {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The host cannot be measured.
    #[error("read the figures of the host: {0}")]
    System(#[from] sysinfo::Error),
}

/// An agent that runs as tasks of the current tokio runtime.
#[derive(Debug)]
pub struct Agent {
    reporter: Reporter,
    statsd: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Agent {
    /// Starts it.
    ///
    /// # Errors
    /// Where the reporter does not start, or the address for StatsD cannot be had.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn start(settings: Settings, agent: AgentSettings) -> Result<Self, AgentError> {
        let socket = match agent.statsd {
            Some(address) => {
                let failed = |source| AgentError::Statsd { address, source };
                let socket = UdpSocket::bind(address).await.map_err(failed)?;
                let address = socket.local_addr().map_err(failed)?;
                Some((address, socket))
            }
            None => None,
        };
        let mut host = host::HostSource::new()?;
        let mut processes = processes::ProcessSource::new(&agent)?;
        let reporter = Builder::new(settings).spawn()?;
        let metrics = reporter.metrics();
        metrics.add_source(move |snapshot| host.write_to(snapshot));
        if agent.watches_processes() {
            metrics.add_source(move |snapshot| processes.write_to(snapshot));
        }
        if let Some(directory) = agent.textfile_dir {
            metrics.add_source(move |snapshot| text_files::write_to(&directory, snapshot));
        }
        let statsd = socket.map(|(address, socket)| {
            let listener = udp::Listener::new(metrics.clone());
            (address, tokio::spawn(listener.run(Arc::new(socket))))
        });
        Ok(Self { reporter, statsd })
    }

    /// Where it listens for StatsD, if it does.
    pub fn statsd_address(&self) -> Option<SocketAddr> {
        self.statsd.as_ref().map(|(address, _)| *address)
    }

    /// Takes a last report, delivers what is left, and deregisters.
    pub async fn shutdown(self) -> Left {
        if let Some((_, task)) = &self.statsd {
            task.abort();
        }
        self.reporter.shutdown().await
    }
}

/// A counter of the agent's own.
fn own_counter(metrics: &Metrics, name: &str, help: &str, unit: &str) -> crate::metrics::Counter {
    metrics.counter(Series::new(name).help(help).unit(unit))
}

#[cfg(test)]
mod tests;
