//! Flags of `loadtest compare`.

use std::path::PathBuf;

use clap::Args;

use crate::args::FleetArgs;
use crate::server::{Binaries, Candidate};

/// Flags of `loadtest compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The servers.
    #[command(flatten)]
    pub(crate) binaries: Binaries,
    /// The peers and how they are pushed to, separated by commas. Those that are not installed are
    /// named and left out.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "victoria-json,prometheus")]
    pub(crate) against: Vec<Candidate>,
    /// Samples to push to each server in each round.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) samples: u64,
    /// Rounds; the servers take turns in going first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Numbers of connections to compare with, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u32).range(1..=16_384))]
    connections: Vec<u32>,
    /// Numbers of metrics in a report to compare with, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    metrics: Vec<u32>,
    /// Numbers of series to compare with, separated by commas; there are as many workers as that
    /// takes.
    #[arg(long, value_delimiter = ',', default_value = "100000", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    series: Vec<u32>,
    /// The whole table: 16, 64 and 1,000 connections, with 10 and with 100 metrics in a report.
    #[arg(long, conflicts_with_all = ["connections", "metrics"])]
    matrix: bool,
    /// Reports in one request, as a gateway sends them; noetl-metrics gets them as ndjson.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) reports_per_request: u32,
    /// Reports that each worker sends before the measuring begins.
    #[arg(long, default_value_t = 0, value_name = "REPORTS", value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) warm_up: u32,
    /// First of the two loopback ports that are used.
    #[arg(long, default_value_t = 18_082, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_534))]
    pub(crate) port_base: u16,
    /// Directory for the servers' data, removed afterwards; absent: the system's temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Also write the tables to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// The fleet.
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// One size of the fleet to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Cell {
    /// Metrics in a report.
    pub(crate) metrics: u32,
    /// Connections.
    pub(crate) connections: u32,
    /// Series of all workers together.
    pub(crate) series: u32,
}

impl CompareArgs {
    /// All sizes that were asked for.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let (metrics, connections): (&[u32], &[u32]) = if self.matrix {
            (&[10, 100], &[16, 64, 1_000])
        } else {
            (&self.metrics, &self.connections)
        };
        let mut cells = Vec::new();
        for series in &self.series {
            for metrics in metrics {
                cells.extend(connections.iter().map(|connections| Cell {
                    metrics: *metrics,
                    connections: *connections,
                    series: *series,
                }));
            }
        }
        cells
    }
}

impl Cell {
    /// Workers that it takes.
    pub(crate) fn workers(self) -> u32 {
        self.series.div_ceil(self.metrics)
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { metrics, connections, series } = self;
        write!(f, "{metrics} metrics a report, {connections} connections, {series} series")
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn cells(flags: &str) -> Vec<(u32, u32, u32)> {
        let line = ["loadtest", "compare", "--server", "x"];
        let cli = Cli::parse_from(line.into_iter().chain(flags.split_ascii_whitespace()));
        let Command::Compare(args) = cli.command else { panic!("not a comparison") };
        args.cells()
            .into_iter()
            .map(|cell| (cell.metrics, cell.connections, cell.workers()))
            .collect()
    }

    #[test]
    fn lists_make_a_matrix() {
        assert_eq!(cells(""), [(10, 64, 10_000)]);
        assert_eq!(
            cells("--connections 1,2 --metrics 3 --series 9,10"),
            [(3, 1, 3), (3, 2, 3), (3, 1, 4), (3, 2, 4)]
        );
        let matrix = cells("--matrix");
        assert_eq!(matrix.len(), 6);
        assert!(matrix.contains(&(100, 1_000, 1_000)));
    }
}
