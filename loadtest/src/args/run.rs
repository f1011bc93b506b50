//! Flags of `loadtest run`.

use std::time::Duration;

use clap::{ArgGroup, Args};

use crate::args::parse::{parse_duration, parse_rate};
use crate::args::{FleetArgs, SizeArgs, SubjectArgs};
use crate::plan::{Amount, PlanRequest};

/// Flags of `loadtest run`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("amount").required(true).args(["samples", "duration"]))]
pub(crate) struct RunArgs {
    /// The server.
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// Samples to push in total, rounded up to whole reports.
    #[arg(long)]
    samples: Option<u64>,
    /// How long to push: `500ms`, `30s`, `5m`, `2h` or plain seconds.
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Samples per second to push on schedule (open loop); absent: as fast as answers come.
    #[arg(long, value_name = "SAMPLES_PER_S", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Reports of different workers in one request, as a gateway sends them (not for `noetl`).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reports_per_request: u32,
    /// Reports that each worker sends before the measuring begins.
    #[arg(long, default_value_t = 0, value_name = "REPORTS", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) warm_up: u32,
    /// How large the fleet is.
    #[command(flatten)]
    size: SizeArgs,
    /// The fleet.
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

impl RunArgs {
    /// What the plan needs to know of these flags.
    pub(crate) fn plan_request(&self) -> PlanRequest {
        let amount = match (self.samples, self.duration) {
            (_, Some(duration)) => Amount::For(duration),
            (samples, None) => Amount::Samples(samples.unwrap_or(0)),
        };
        PlanRequest {
            reports_per_request: self.reports_per_request,
            rate: self.rate,
            ..self.fleet.plan_request(&self.size, self.subject.format(), amount)
        }
    }
}
