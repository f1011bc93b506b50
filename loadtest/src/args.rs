//! The command line: flags, their units and defaults. Refuses wrong combinations before a byte
//! is sent.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::plan::{Amount, PlanRequest};
use crate::torture::TortureArgs;
use crate::wire::Target;

/// Simulates a fleet of NoETL workers against a metrics server.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The things that the load test can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Push to a running server and check that every acknowledged sample is stored exactly once.
    Run(Box<RunArgs>),
    /// Start noetl-metrics and VictoriaMetrics in turn and push the same samples to both.
    Compare(Box<CompareArgs>),
    /// Disturb a server and its PostgreSQL under load and check that nothing is lost or doubled.
    Torture(Box<TortureArgs>),
}

/// The body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One report as `POST /api/metrics/report` takes it.
    Noetl,
    /// One report per line, `application/x-ndjson`.
    Ndjson,
    /// One line per sample, as VictoriaMetrics' `/api/v1/import` takes it.
    VictoriaJson,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Noetl => "noetl",
            Self::Ndjson => "ndjson",
            Self::VictoriaJson => "victoria-json",
        })
    }
}

/// What both commands ask about the fleet and its client.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    /// Workers (components) that report, 1 to 1,000,000.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) workers: u32,
    /// Metrics in each report, 1 to 1,000.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) metrics: u32,
    /// Connections over which the workers are spread; a worker stays on its connection.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) connections: u32,
    /// Threads of the client, each with its own share of the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Seed of the metric values; the same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seconds for which one report is sent again before the run gives up on its connection.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) retry_seconds: u64,
    /// Seconds to wait for one answer before the connection is given up and the report sent again.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) timeout_seconds: u64,
    /// Seconds to wait at most, after the last acknowledgement, for PostgreSQL to have it all.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub(crate) flush_seconds: u64,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Flags of `loadtest run`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("amount").required(true).args(["samples", "duration"]))]
pub(crate) struct RunArgs {
    /// Where the server listens.
    #[arg(long, default_value = "http://127.0.0.1:8082", value_parser = Target::parse)]
    pub(crate) url: Target,
    /// Samples to push in total, rounded up to whole reports.
    #[arg(long)]
    pub(crate) samples: Option<u64>,
    /// How long to push: `500ms`, `30s`, `5m`, `2h` or plain seconds.
    #[arg(long, value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Samples per second to push on schedule (open loop); absent: as fast as answers come.
    #[arg(long, value_name = "SAMPLES_PER_S", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// What the requests hold.
    #[arg(long, value_enum, default_value_t = Format::Noetl)]
    pub(crate) format: Format,
    /// Reports of different workers in one request, as a gateway sends them (not for `noetl`).
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) reports_per_request: u32,
    /// Database in which to check that what was acknowledged is stored exactly once.
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Process whose CPU time is measured with all its children; may be given repeatedly.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,
    /// The fleet.
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Flags of `loadtest compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The noetl-metrics binary.
    #[arg(long, value_name = "PATH")]
    pub(crate) server: PathBuf,
    /// The VictoriaMetrics binary.
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/victoria-metrics")]
    pub(crate) victoria: PathBuf,
    /// Samples to push to each server in each round.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) samples: u64,
    /// Rounds; the servers take turns in going first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// First of the two loopback ports that are used.
    #[arg(long, default_value_t = 18_082, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_534))]
    pub(crate) port_base: u16,
    /// Directory for the servers' data, removed afterwards; absent: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
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
            ..self.fleet.plan_request(self.format, amount)
        }
    }
}

impl FleetArgs {
    /// The plan of a closed loop of single reports.
    pub(crate) fn plan_request(&self, format: Format, amount: Amount) -> PlanRequest {
        PlanRequest {
            format,
            workers: self.workers,
            metrics: self.metrics,
            connections: self.connections,
            seed: self.seed,
            amount,
            reports_per_request: 1,
            rate: None,
            keys: false,
        }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unknown unit '{unit}'; use ms, s, m or h")),
    };
    let number: f64 = digits.parse().map_err(|_| format!("'{digits}' is not a number"))?;
    Duration::try_from_secs_f64(number * factor)
        .ok()
        .filter(|duration| !duration.is_zero() && duration.as_secs() <= 7 * 86_400)
        .ok_or_else(|| "a duration is more than 0 and at most 7 days".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|rate| (0.001..=1e9).contains(rate))
        .ok_or_else(|| "a rate is a number of samples per second, up to 1e9".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        };
        check("30s", Some(30_000));
        check("30", Some(30_000));
        check("1.5m", Some(90_000));
        check("500ms", Some(500));
        check("2h", Some(7_200_000));
        check("0s", None);
        check("8d", None);
        check("-1s", None);
        check("s", None);
        check("999999h", None);
    }

    #[test]
    fn an_amount_is_required_and_only_one() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("loadtest run").is_err());
        assert!(parse("loadtest run --samples 10 --duration 1s").is_err());
        assert!(parse("loadtest run --samples 10").is_ok());
        assert!(parse("loadtest run --duration 1s --pid 1 --pid 2").is_ok());
    }
}
