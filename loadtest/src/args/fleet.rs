//! The fleet: what all commands ask about it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::Format;
use crate::fleet::Patience;
use crate::plan::{Amount, PlanRequest, Shape};

/// How large it is.
#[derive(Clone, Debug, Args)]
pub(crate) struct SizeArgs {
    /// Workers (components) that report, 1 to 1,000,000.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) workers: u32,
    /// Metrics in each report, 1 to 1,000.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) metrics: u32,
    /// Connections over which the workers are spread; a worker stays on its connection.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) connections: u32,
}

/// Which series the reports of a worker hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    /// Always the same ones.
    Noetl,
    /// A worker has twice as many, and each report a changing half of them.
    Sparse,
    /// A share of them is replaced by new ones from time to time.
    Churn,
    /// Few metric names, and labels of which one has another value for every series.
    Cardinality,
}

/// The rest.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetArgs {
    /// Which series the reports of a worker hold.
    #[arg(long, value_enum, default_value_t = ShapeName::Noetl)]
    shape: ShapeName,
    /// Percent of a worker's series that are replaced at a time (for `churn`).
    #[arg(long, default_value_t = 10, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    churn_percent: u32,
    /// Reports of a worker from one replacement to the next (for `churn`).
    #[arg(long, default_value_t = 10, value_name = "REPORTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    churn_every: u32,
    /// Threads of the client, each with its own share of the connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// Seed of the metric values; the same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds for which one report is sent again before the run gives up on its connection.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    retry_seconds: u64,
    /// Seconds to wait for one answer before the connection is given up and the report sent again.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    timeout_seconds: u64,
    /// Seconds to wait at most, after the last acknowledgement, for PostgreSQL to have it all.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    flush_seconds: u64,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl FleetArgs {
    /// A closed loop of single reports.
    pub(crate) fn plan_request(
        &self,
        size: &SizeArgs,
        format: Format,
        amount: Amount,
    ) -> PlanRequest {
        PlanRequest {
            format,
            metrics: size.metrics,
            connections: size.connections,
            seed: self.seed,
            shape: self.shape(),
            ..PlanRequest::closed(size.workers, amount)
        }
    }

    /// How long the client tries.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            answer: Duration::from_secs(self.timeout_seconds),
            report: Duration::from_secs(self.retry_seconds),
            pause: Duration::from_secs(self.retry_seconds),
        }
    }

    /// How long PostgreSQL is waited for.
    pub(crate) fn flush_patience(&self) -> Duration {
        Duration::from_secs(self.flush_seconds)
    }

    /// Which series the reports of a worker hold.
    pub(crate) fn shape(&self) -> Shape {
        match self.shape {
            ShapeName::Noetl => Shape::Noetl,
            ShapeName::Sparse => Shape::Sparse,
            ShapeName::Churn => {
                Shape::Churn { percent: self.churn_percent, every: self.churn_every }
            }
            ShapeName::Cardinality => Shape::Cardinality,
        }
    }
}
