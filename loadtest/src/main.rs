//! Simulates a fleet of NoETL workers and checks that what was acknowledged is stored exactly
//! once.
//!
//! The way of a run: `args` become a `plan`, the `fleet` pushes `payload`s over the `wire` on
//! `schedule` and keeps `latency` and acknowledgements, phase by phase of a `session`; `usage`
//! measures the server meanwhile, `verify` compares the acknowledgements with the database,
//! `report` tells a person and a program. `compare` does so in turn with `server`s that it starts
//! itself, and `ramp` at rising rates.

mod args;
mod compare;
mod fleet;
mod idle;
mod latency;
mod machine;
mod payload;
mod plan;
mod plot;
mod ramp;
mod report;
mod run;
mod schedule;
mod server;
mod session;
mod subject;
mod timestamp;
mod torture;
mod usage;
mod verify;
mod wire;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use args::{Cli, Command};

/// Exit status: 0 all acknowledged and stored, 1 not, 2 wrong usage.
fn main() -> ExitCode {
    match perform(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: &Command) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the runtime")?.block_on(async {
        match command {
            Command::Run(args) => run::run(args).await,
            Command::Compare(args) => compare::compare(args).await,
            Command::Ramp(args) => ramp::ramp(args).await,
            Command::Idle(args) => idle::idle(args).await,
            Command::Plot(args) => plot::plot(args),
            Command::Torture(args) => torture::torture(args).await,
        }
    })
}
