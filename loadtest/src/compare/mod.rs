//! noetl-metrics and its peers in one run: the same fleet, the same samples, in turn, each with a
//! fresh data directory. Ours is charged for everything until PostgreSQL has the last sample; a
//! peer only until its last answer, when it has synced nothing yet.

mod figures;
mod markdown;
mod table;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::{Cell, CompareArgs, SizeArgs};
use crate::machine::Machine;
use crate::plan::{Amount, PlanRequest, Shape};
use crate::report::{RunReport, write_results};
use crate::run::Exercise;
use crate::server::{Candidate, Server};
use crate::subject::Subject;
use figures::{Medians, Ratios};

/// One round of one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoundResult {
    /// Which server.
    pub(crate) server: Candidate,
    /// Counted from 1.
    pub(crate) round: u32,
    /// What the fleet and the checks say; for a peer the bytes are those of its directory after it
    /// has stopped.
    pub(crate) report: RunReport,
}

/// All rounds of one size of the fleet and what they come to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CellResult {
    /// The size.
    #[serde(flatten)]
    pub(crate) cell: Cell,
    /// All rounds.
    pub(crate) rounds: Vec<RoundResult>,
    /// Of each server.
    pub(crate) medians: Vec<Medians>,
    /// Of ours to each peer.
    pub(crate) ratios: Vec<Ratios>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// `comparison`.
    kind: &'static str,
    /// Where.
    machine: Machine,
    /// Of each server, what it says of its version.
    versions: Vec<(Candidate, String)>,
    /// Samples of each round.
    samples: u64,
    /// Rounds of each cell.
    rounds: u32,
    /// Reports of each worker before the measuring.
    warm_up: u32,
    /// Which series the reports hold.
    shape: Shape,
    /// One for each size.
    cells: Vec<CellResult>,
}

/// `loadtest compare`: true when every sample of every round was taken, and of ours also stored.
pub(crate) async fn compare(args: &CompareArgs) -> Result<bool> {
    let servers = present(args);
    let mut comparison = Comparison {
        kind: "comparison",
        machine: Machine::this(),
        versions: servers.iter().map(|s| (*s, s.version(&args.binaries))).collect(),
        samples: args.samples,
        rounds: args.rounds,
        warm_up: args.warm_up,
        shape: args.fleet.shape(),
        cells: Vec::new(),
    };
    let mut all_well = true;
    for cell in args.cells() {
        let mut rounds = Vec::new();
        let finished = tokio::select! {
            finished = all_rounds(args, &servers, cell, &mut rounds) => finished.map(|()| true),
            signal = tokio::signal::ctrl_c() => signal.context("wait for SIGINT").map(|()| false),
        };
        all_well &= rounds.iter().all(|round| round.report.succeeded());
        let (medians, ratios) =
            (figures::medians(&servers, &rounds), figures::ratios(&servers, &rounds));
        let result = CellResult { cell, rounds, medians, ratios };
        println!("{}", table::render(&result));
        comparison.cells.push(result);
        // After each cell, so that what was measured is not lost with what comes after.
        write(args, &comparison)?;
        if !finished? {
            eprintln!("interrupted: stopping the server");
            return Ok(false);
        }
    }
    Ok(all_well)
}

/// Ours, and those of the peers asked for that are installed.
fn present(args: &CompareArgs) -> Vec<Candidate> {
    let mut servers = vec![Candidate::NoetlMetrics];
    for peer in &args.against {
        let binary = peer.binary(&args.binaries);
        if servers.contains(peer) {
            continue;
        }
        if binary.is_file() {
            servers.push(*peer);
        } else {
            eprintln!("{peer} is left out: there is no {}", binary.display());
        }
    }
    servers
}

async fn all_rounds(
    args: &CompareArgs,
    servers: &[Candidate],
    cell: Cell,
    rounds: &mut Vec<RoundResult>,
) -> Result<()> {
    for round in 1..=args.rounds {
        // Who goes later finds a warmer machine, so they take turns.
        let mut order = servers.to_vec();
        order.rotate_left((round - 1) as usize % servers.len());
        for server in order {
            eprintln!("{cell}: round {round} of {}, {server}", args.rounds);
            let report = exercise(args, server, cell, round).await;
            let report = report.with_context(|| format!("{cell}: round {round}, {server}"))?;
            rounds.push(RoundResult { server, round, report });
        }
    }
    Ok(())
}

fn write(args: &CompareArgs, comparison: &Comparison) -> Result<()> {
    let (json, markdown) = (args.fleet.json.as_deref(), args.markdown.as_deref());
    write_results(json, markdown, comparison, || markdown::render(comparison))
}

/// Starts one server, pushes to it, and stops it, whatever happened.
async fn exercise(
    args: &CompareArgs,
    candidate: Candidate,
    cell: Cell,
    round: u32,
) -> Result<RunReport> {
    let parent = args.work_dir.clone().unwrap_or_else(std::env::temp_dir);
    let Cell { metrics, connections, series } = cell;
    let name = format!(
        "noetl-loadtest-{}-{metrics}-{connections}-{series}-{round}-{candidate}",
        std::process::id()
    );
    // The port of the one that has just ended may not be free yet.
    let port = args.port_base + u16::from(candidate != Candidate::NoetlMetrics);
    let server = Server::start(candidate, &args.binaries, port, parent.join(name)).await?;
    let subject = Subject::started(server)?;
    let report = push(args, cell, candidate, &subject).await;
    if let (Err(_), Some(words)) = (&report, subject.last_words()) {
        eprintln!("the end of what {candidate} said:\n{words}");
    }
    let (mut report, data_bytes) = (report, subject.stop()?);
    if let (Ok(report), Some(data_bytes)) = (&mut report, data_bytes)
        && candidate != Candidate::NoetlMetrics
    {
        let warm_up = u64::from(args.warm_up * cell.metrics) * u64::from(cell.workers());
        let samples = report.samples + warm_up;
        report.bytes_per_sample = Some(data_bytes as f64 / samples.max(1) as f64);
    }
    report
}

async fn push(
    args: &CompareArgs,
    cell: Cell,
    candidate: Candidate,
    subject: &Subject,
) -> Result<RunReport> {
    let format = candidate.format(args.reports_per_request);
    let size =
        SizeArgs { workers: cell.workers(), metrics: cell.metrics, connections: cell.connections };
    let request = args.fleet.plan_request(&size, format, Amount::Samples(args.samples));
    let exercise = Exercise {
        request: PlanRequest { reports_per_request: args.reports_per_request, ..request },
        warm_up: args.warm_up,
        subject,
        fleet: &args.fleet,
    };
    let report = exercise.perform().await?;
    eprint!("{report}");
    Ok(report)
}
