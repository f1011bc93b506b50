//! The servers that are compared: how each is started and when it is ready.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::args::CompareArgs;

/// A server under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Candidate {
    /// Ours, with its embedded PostgreSQL.
    NoetlMetrics,
    /// VictoriaMetrics, single node.
    VictoriaMetrics,
}

impl Candidate {
    /// The command that serves on loopback `port` with its data under `data_dir`.
    pub(crate) fn command(self, args: &CompareArgs, port: u16, data_dir: &Path) -> Command {
        let address = format!("127.0.0.1:{port}");
        match self {
            Self::NoetlMetrics => {
                let mut command = Command::new(&args.server);
                command.args(["serve", "--listen", &address, "--data-dir"]).arg(data_dir);
                // A database of the surroundings must not stand in for the embedded one.
                command.env_remove("DATABASE_URL");
                command
            }
            Self::VictoriaMetrics => {
                let mut command = Command::new(&args.victoria);
                command
                    .arg(format!("-httpListenAddr={address}"))
                    .arg(format!("-storageDataPath={}", data_dir.display()))
                    .arg("-retentionPeriod=100y");
                command
            }
        }
    }

    /// Which port of the two it takes.
    pub(crate) fn port(self, port_base: u16) -> u16 {
        match self {
            Self::NoetlMetrics => port_base,
            Self::VictoriaMetrics => port_base + 1,
        }
    }

    /// The page that answers 200 once it is ready.
    pub(crate) fn ready_path(self) -> &'static str {
        match self {
            Self::NoetlMetrics => "/ready",
            Self::VictoriaMetrics => "/health",
        }
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoetlMetrics => "noetl-metrics",
            Self::VictoriaMetrics => "victoria-metrics",
        })
    }
}
