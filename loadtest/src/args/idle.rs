//! Flags of `loadtest idle`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::parse::parse_duration;
use crate::args::{FleetArgs, SizeArgs, SubjectArgs};

/// Flags of `loadtest idle`.
#[derive(Debug, Args)]
pub(crate) struct IdleArgs {
    /// The server.
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Connections that are mostly idle, each of one worker.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) idle: u32,
    /// From one report on such a connection to the next.
    #[arg(long, default_value = "30s", value_parser = parse_duration)]
    pub(crate) interval: Duration,
    /// How long the active fleet pushes, without and with the idle connections.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// Rounds of both.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Also write the table to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// How large the active fleet is.
    #[command(flatten)]
    pub(crate) size: SizeArgs,
    /// The fleet.
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}
