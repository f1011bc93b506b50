//! The servers that are compared: how each is started, when it is ready, and what it is sent.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::args::Format;

/// Where the programs are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Binaries {
    /// The noetl-metrics binary.
    #[arg(long = "server", value_name = "PATH")]
    pub(crate) noetl: PathBuf,
    /// The others.
    #[command(flatten)]
    pub(crate) peers: PeerBinaries,
}

/// Where the programs are that are measured beside ours.
#[derive(Clone, Debug, Args)]
pub(crate) struct PeerBinaries {
    /// The VictoriaMetrics binary.
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/victoria-metrics")]
    pub(crate) victoria: PathBuf,
    /// The Prometheus binary.
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/prometheus")]
    pub(crate) prometheus: PathBuf,
}

/// A server under comparison, and how it is pushed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Candidate {
    /// Ours, with its embedded PostgreSQL.
    #[value(skip)]
    NoetlMetrics,
    /// VictoriaMetrics, JSON lines.
    VictoriaJson,
    /// VictoriaMetrics, Prometheus' text.
    VictoriaText,
    /// VictoriaMetrics, InfluxDB's line protocol.
    VictoriaInflux,
    /// VictoriaMetrics, Prometheus' remote write.
    VictoriaRemoteWrite,
    /// Prometheus, its remote write.
    Prometheus,
}

impl Candidate {
    /// The program.
    pub(crate) fn binary(self, binaries: &Binaries) -> &Path {
        match self {
            Self::NoetlMetrics => &binaries.noetl,
            Self::Prometheus => &binaries.peers.prometheus,
            _ => &binaries.peers.victoria,
        }
    }

    /// The command that serves on loopback `port` with its data under `dir/data`.
    pub(crate) fn command(self, binaries: &Binaries, port: u16, dir: &Path) -> Result<Command> {
        let address = format!("127.0.0.1:{port}");
        let data = dir.join("data");
        let mut command = Command::new(self.binary(binaries));
        match self {
            Self::NoetlMetrics => {
                command.args(["serve", "--listen", &address, "--data-dir"]).arg(data);
                // A database of the surroundings must not stand in for the embedded one.
                command.env_remove("DATABASE_URL");
                // What is measured is what series cost, and not that they are refused. Variables,
                // for an older server has no such flags.
                command.env("NOETL_COMPONENT_SERIES_MAX", "2000000");
                command.env("NOETL_COMPONENT_NEW_SERIES_PER_MINUTE_MAX", "1000000000");
                command.env("NOETL_NEW_SERIES_PER_MINUTE_MAX", "1000000000");
            }
            Self::Prometheus => {
                // One that scrapes nothing.
                let config = dir.join("prometheus.yml");
                std::fs::write(&config, "global: {}\n").context("write Prometheus' settings")?;
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--web.listen-address={address}"))
                    .arg(format!("--storage.tsdb.path={}", data.display()))
                    .arg("--web.enable-remote-write-receiver");
            }
            _ => {
                command
                    .arg(format!("-httpListenAddr={address}"))
                    .arg(format!("-storageDataPath={}", data.display()))
                    .arg("-retentionPeriod=100y");
            }
        }
        Ok(command)
    }

    /// The page that answers 200 once it is ready.
    pub(crate) fn ready_path(self) -> &'static str {
        match self {
            Self::NoetlMetrics => "/ready",
            Self::Prometheus => "/-/ready",
            _ => "/health",
        }
    }

    /// What it is sent.
    pub(crate) fn format(self, reports_per_request: u32) -> Format {
        match self {
            Self::NoetlMetrics if reports_per_request > 1 => Format::Ndjson,
            Self::NoetlMetrics => Format::Noetl,
            Self::VictoriaJson => Format::VictoriaJson,
            Self::VictoriaText => Format::VictoriaText,
            Self::VictoriaInflux => Format::VictoriaInflux,
            Self::VictoriaRemoteWrite | Self::Prometheus => Format::RemoteWrite,
        }
    }

    /// What the program says of its version.
    pub(crate) fn version(self, binaries: &Binaries) -> String {
        let output = Command::new(self.binary(binaries)).arg("--version").output();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        line.unwrap_or("it does not say its version").to_owned()
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoetlMetrics => "noetl-metrics",
            Self::VictoriaJson => "victoria-json",
            Self::VictoriaText => "victoria-text",
            Self::VictoriaInflux => "victoria-influx",
            Self::VictoriaRemoteWrite => "victoria-remote-write",
            Self::Prometheus => "prometheus",
        })
    }
}
