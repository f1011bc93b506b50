//! The command line of `loadtest torture`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::fleet::Patience;
use crate::plan::{Amount, PlanRequest};
use crate::torture::fault::Fault;

/// Which PostgreSQL is tortured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The server's own.
    Embedded,
    /// One that is made for it, on TCP behind a proxy and, where they can be mounted, on small
    /// disks.
    Proxied,
    /// The two in turn.
    Both,
}

/// What is no series of rounds.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Other {
    /// Push more than the server can take while its PostgreSQL hangs, and watch its memory.
    Overload(OverloadArgs),
}

/// Flags of `loadtest torture overload`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OverloadArgs {
    /// The noetl-metrics binary.
    #[arg(long, value_name = "PATH", default_value = "target/release/noetl-metrics")]
    pub(crate) server: PathBuf,
    /// How long PostgreSQL hangs, in minutes.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// Series, ten a worker.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) series: u32,
    /// Samples per second; absent: twice what is taken while PostgreSQL works, which is measured.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub(crate) rate: Option<u32>,
    /// Connections of the fleet.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
    /// The log's budget in MiB; reports are refused with 429 once it is used up.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=1_000_000))]
    pub(crate) budget_mib: u32,
    /// The most memory that the server may have, in MiB.
    #[arg(long, default_value_t = 512)]
    pub(crate) memory_mib: u64,
    /// Directory for everything, removed when all is well; absent: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Flags of `loadtest torture`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TortureArgs {
    /// Another kind of torture.
    #[command(subcommand)]
    pub(crate) other: Option<Other>,
    /// The noetl-metrics binary.
    #[arg(long, value_name = "PATH", default_value = "target/release/noetl-metrics")]
    pub(crate) server: PathBuf,
    /// Rounds of one or two faults, about 5 s each.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rounds: u32,
    /// Decides the faults and their moments.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Rounds after which the ledger is compared with the tables, and PostgreSQL is changed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) check_every: u32,
    /// Which PostgreSQL.
    #[arg(long, value_enum, default_value_t = Choice::Both)]
    pub(crate) database: Choice,
    /// Another one, reached over TCP without TLS: only its network and, for a superuser, its
    /// settings and sessions are disturbed.
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    pub(crate) database_url: Option<String>,
    /// Faults to draw from, separated by commas; absent: all.
    #[arg(long, value_name = "FAULTS", value_enum, value_delimiter = ',')]
    pub(crate) faults: Vec<Fault>,
    /// Samples per second that the fleet pushes.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) rate: u32,
    /// Workers of the fleet.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) workers: u32,
    /// Seconds within which reports must be taken and flushed again after a fault.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) recovery_seconds: u64,
    /// Milliseconds for which a fault lasts at most.
    #[arg(long, default_value_t = 2_500, value_name = "MS", value_parser = clap::value_parser!(u64).range(400..=600_000))]
    pub(crate) lasting_ms: u64,
    /// Directory for everything, removed when all is well; absent: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Also write the results to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl TortureArgs {
    /// The faults to draw from.
    pub(crate) fn wanted(&self) -> &[Fault] {
        if self.faults.is_empty() { Fault::all() } else { &self.faults }
    }

    /// How long the fleet tries. A report that is given up is a failure of the server.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            answer: Duration::from_secs(10),
            report: Duration::from_secs(60 + 2 * self.recovery_seconds),
            pause: Duration::from_millis(500),
        }
    }

    /// The fleet that is always there.
    pub(crate) fn lasting(&self) -> PlanRequest {
        PlanRequest {
            connections: 16,
            seed: self.seed,
            rate: Some(f64::from(self.rate)),
            keys: true,
            ..PlanRequest::closed(self.workers, Amount::For(Duration::from_secs(3_600)))
        }
    }

    /// One that a fault calls, as fast as it is answered.
    pub(crate) fn burst(&self) -> PlanRequest {
        PlanRequest {
            workers: 64,
            metrics: 20,
            connections: 8,
            amount: Amount::For(Duration::from_secs(60)),
            rate: None,
            ..self.lasting()
        }
    }
}
