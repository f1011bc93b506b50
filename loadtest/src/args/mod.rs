//! The command line: flags, their units and defaults. Refuses wrong combinations before a byte
//! is sent.

mod compare;
mod fleet;
mod format;
mod idle;
mod parse;
mod plot;
mod ramp;
mod run;
mod subject;

use clap::{Parser, Subcommand};

use crate::torture::TortureArgs;
pub(crate) use compare::{Cell, CompareArgs};
pub(crate) use fleet::{FleetArgs, SizeArgs};
pub(crate) use format::Format;
pub(crate) use idle::IdleArgs;
pub(crate) use plot::PlotArgs;
pub(crate) use ramp::RampArgs;
pub(crate) use run::RunArgs;
pub(crate) use subject::SubjectArgs;

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
    /// Push to a server and check that every acknowledged sample is stored exactly once.
    Run(Box<RunArgs>),
    /// Start noetl-metrics and its peers in turn and push the same samples to each of them.
    Compare(Box<CompareArgs>),
    /// Raise the rate step by step and find the highest one that a server keeps up with.
    Ramp(Box<RampArgs>),
    /// Open many connections that are mostly idle, and see what they take of a server.
    Idle(Box<IdleArgs>),
    /// Draw figures of the results of comparisons and ramps.
    Plot(PlotArgs),
    /// Disturb a server and its PostgreSQL under load and check that nothing is lost or doubled.
    Torture(Box<TortureArgs>),
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
    fn an_amount_is_required_and_only_one() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("loadtest run").is_err());
        assert!(parse("loadtest run --samples 10 --duration 1s").is_err());
        assert!(parse("loadtest run --samples 10").is_ok());
        assert!(parse("loadtest run --duration 1s --pid 1 --pid 2").is_ok());
    }
}
