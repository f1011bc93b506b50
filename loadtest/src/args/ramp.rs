//! Flags of `loadtest ramp`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::parse::{parse_duration, parse_rate};
use crate::args::{FleetArgs, SizeArgs, SubjectArgs};

/// Flags of `loadtest ramp`.
#[derive(Debug, Args)]
pub(crate) struct RampArgs {
    /// The server.
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Samples per second of each step, rising, separated by commas; absent: tenths of what a
    /// closed loop reaches, until one is too much.
    #[arg(long, value_name = "SAMPLES_PER_S", value_delimiter = ',', value_parser = parse_rate)]
    pub(crate) rates: Vec<f64>,
    /// How long each rate is pushed.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) step: Duration,
    /// From the beginning of a step, for how long latencies do not count.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) settle: Duration,
    /// The knee is the highest rate at which 99 of 100 requests are answered within this.
    #[arg(long, default_value = "50ms", value_parser = parse_duration)]
    pub(crate) p99: Duration,
    /// How often a rate is tried before it counts as too much; a busy disk may hold up one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) tries: u32,
    /// Rates to try between the last that was kept up with and the first that was not.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub(crate) refine: u32,
    /// Also write the table to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// How large the fleet is.
    #[command(flatten)]
    pub(crate) size: SizeArgs,
    /// The fleet.
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}
