//! noetl-metrics and VictoriaMetrics in one run: the same fleet, the same samples, in turn, each
//! with a fresh data directory. Ours is charged for everything until PostgreSQL has the last
//! sample; VictoriaMetrics only until its last answer, when it has synced nothing yet.

mod candidate;
mod server;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::{CompareArgs, Format};
use crate::plan::Amount;
use crate::report::{RunReport, write_json};
use crate::run::Exercise;
use crate::verify::Database;
use candidate::Candidate;
use server::Server;

/// One round of one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoundResult {
    /// Which server.
    pub(crate) server: Candidate,
    /// Counted from 1.
    pub(crate) round: u32,
    /// What the fleet and the checks say; for VictoriaMetrics the bytes are those of its directory
    /// after it has stopped.
    pub(crate) report: RunReport,
}

/// All rounds and what they come to.
#[derive(Debug, Serialize)]
struct Comparison {
    rounds: Vec<RoundResult>,
    medians: Vec<table::Medians>,
}

/// `loadtest compare`: true when every sample of every round was taken, and of ours also stored.
pub(crate) async fn compare(args: &CompareArgs) -> Result<bool> {
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        // Who goes second finds a warmer machine, so they take turns.
        let mut order = [Candidate::NoetlMetrics, Candidate::VictoriaMetrics];
        if round % 2 == 0 {
            order.reverse();
        }
        for server in order {
            eprintln!("round {round} of {}: {server}", args.rounds);
            let exercise = exercise(args, server, round);
            let report = tokio::select! {
                report = exercise => report.with_context(|| format!("round {round}, {server}"))?,
                signal = tokio::signal::ctrl_c() => {
                    signal.context("wait for SIGINT")?;
                    eprintln!("interrupted: stopping the server");
                    return Ok(false);
                }
            };
            rounds.push(RoundResult { server, round, report });
        }
    }
    let medians = table::medians(&rounds);
    print!("{}", table::render(&rounds, &medians));
    let all_well = rounds.iter().all(|round| round.report.succeeded());
    if let Some(path) = &args.fleet.json {
        write_json(path, &Comparison { rounds, medians })?;
    }
    Ok(all_well)
}

/// Starts one server, pushes to it, and stops it, whatever happened.
async fn exercise(args: &CompareArgs, candidate: Candidate, round: u32) -> Result<RunReport> {
    let parent = args.work_dir.clone().unwrap_or_else(std::env::temp_dir);
    let name = format!("noetl-loadtest-{}-{round}-{candidate}", std::process::id());
    let server = Server::start(candidate, args, parent.join(name)).await?;
    let report = push(args, &server).await;
    if report.is_err() {
        eprintln!("the end of what {candidate} said:\n{}", server.last_words());
    }
    let (mut report, data_bytes) = (report, server.stop()?);
    if let (Ok(report), Candidate::VictoriaMetrics) = (&mut report, candidate) {
        report.bytes_per_sample = Some(data_bytes as f64 / report.samples.max(1) as f64);
    }
    report
}

async fn push(args: &CompareArgs, server: &Server) -> Result<RunReport> {
    let (format, database) = match server.candidate() {
        Candidate::NoetlMetrics => {
            (Format::Noetl, Some(Database::new(&server.database_url(&absolute(&args.server)?)?)))
        }
        Candidate::VictoriaMetrics => (Format::VictoriaJson, None),
    };
    let exercise = Exercise {
        request: args.fleet.plan_request(format, Amount::Samples(args.samples)),
        target: server.target(),
        database,
        pids: &[server.pid()],
        fleet: &args.fleet,
    };
    let report = exercise.perform().await?;
    eprint!("{report}");
    Ok(report)
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("find {}", path.display()))
}
