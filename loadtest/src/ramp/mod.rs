//! An open loop at rising rates: what a server keeps up with, and how latency grows on the way.
//! Requests are due at fixed times and latency counts from then, so a server that falls behind is
//! seen to do so.

mod search;
mod table;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::args::RampArgs;
use crate::latency::LatencySummary;
use crate::machine::Machine;
use crate::plan::{Amount, PlanRequest};
use crate::report::{grouped, write_results};
use crate::session::Session;
use crate::subject::{Subject, unless_interrupted};
use crate::verify::Exactness;
use search::Search;

/// A rate is kept up with when so much of it is achieved.
const ACHIEVED_MIN: f64 = 0.95;

/// Steps for which there must be times: those of the way up, the finer ones, and half of the peak,
/// which counts twice.
const STEPS_MAX: u32 = 30;

/// One rate.
#[derive(Clone, Debug, Serialize)]
struct Step {
    /// Samples per second that were due.
    rate: f64,
    /// Samples acknowledged per second.
    achieved: f64,
    /// From when a request was due.
    latency: LatencySummary,
    /// Requests that were due and not sent by the end.
    unsent: u64,
    /// Attempts made again.
    retries: u64,
    /// CPU seconds of the server and its children per million samples.
    cpu_per_million: Option<f64>,
    /// From the last acknowledgement until PostgreSQL had everything.
    flush_seconds: Option<f64>,
    /// The rate was achieved, within the bound of the latency.
    kept_up: bool,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Ramp {
    /// `ramp`.
    kind: &'static str,
    machine: Machine,
    server: String,
    workers: u32,
    metrics: u32,
    connections: u32,
    step_seconds: f64,
    p99_bound_ms: f64,
    /// What a closed loop has reached; none where the rates were given.
    peak_samples_per_second: Option<f64>,
    /// In the order of the rates.
    steps: Vec<Step>,
    knee_samples_per_second: Option<f64>,
    /// Half of the peak, or of the knee where no peak was measured; for twice as long.
    half: Option<Step>,
    exactness: Option<Exactness>,
}

impl Ramp {
    fn knee(&self) -> Option<&Step> {
        let knee = self.knee_samples_per_second?;
        self.steps.iter().find(|step| step.kept_up && step.rate >= knee)
    }
}

/// `loadtest ramp`: true when everything acknowledged is stored.
pub(crate) async fn ramp(args: &RampArgs) -> Result<bool> {
    let subject = Subject::of(&args.subject).await?;
    let Some(ramp) = unless_interrupted(climb(args, &subject)).await? else { return Ok(false) };
    print!("{}", table::summary(&ramp));
    let (json, markdown) = (args.fleet.json.as_deref(), args.markdown.as_deref());
    write_results(json, markdown, &ramp, || table::markdown(&ramp))?;
    subject.stop()?;
    Ok(ramp.exactness.as_ref().is_none_or(Exactness::holds))
}

async fn climb(args: &RampArgs, subject: &Subject) -> Result<Ramp> {
    let format = args.subject.format();
    let in_all = args.step * STEPS_MAX.max(args.rates.len() as u32 + 13) * args.tries;
    let request = PlanRequest {
        rounds_before: 1,
        settle: args.settle.min(args.step / 2),
        ..args.fleet.plan_request(&args.size, format, Amount::For(in_all))
    };
    let (patience, threads) = (args.fleet.patience(), args.fleet.threads);
    let session = Session::new(request, subject.target(), patience, threads)?;
    let mut climber = Climber { args, subject, session };
    climber.session.warm_up(1).await?;
    let peak = match args.rates.is_empty() {
        true => Some(climber.peak().await?),
        false => None,
    };
    println!("{}", table::line(None));
    let mut search = Search::new(&args.rates, peak.unwrap_or(0.0), args.refine);
    let mut steps: Vec<Step> = Vec::new();
    while let Some(rate) = search.next() {
        let mut step = climber.step(rate, args.step).await?;
        println!("{}", table::line(Some(&step)));
        for _ in 1..args.tries {
            if step.kept_up {
                break;
            }
            // Something else may have kept the machine busy; what is too much is so again.
            step = climber.step(rate, args.step).await?;
            println!("{}", table::line(Some(&step)));
        }
        search.found(rate, step.kept_up);
        steps.push(step);
    }
    steps.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    let half = match peak.or(search.knee()) {
        Some(whole) => Some(climber.step(whole / 2.0, args.step * 2).await?),
        None => None,
    };
    if let Some(half) = &half {
        println!("{}", table::line(Some(half)));
    }
    let exactness = match (subject.database(), climber.session.ledger()) {
        (Some(database), Some(ledger)) => Some(database.check(ledger).await?),
        _ => None,
    };
    Ok(Ramp {
        kind: "ramp",
        machine: Machine::this(),
        server: args.subject.name(),
        workers: args.size.workers,
        metrics: args.size.metrics,
        connections: args.size.connections,
        step_seconds: args.step.as_secs_f64(),
        p99_bound_ms: args.p99.as_secs_f64() * 1_000.0,
        peak_samples_per_second: peak,
        steps,
        knee_samples_per_second: search.knee(),
        half,
        exactness,
    })
}

/// What the steps share.
#[derive(Debug)]
struct Climber<'a> {
    args: &'a RampArgs,
    subject: &'a Subject,
    session: Session,
}

impl Climber<'_> {
    /// Samples per second that a closed loop reaches.
    async fn peak(&mut self) -> Result<f64> {
        self.flush().await?;
        let phase = self.session.push(Amount::For(self.args.step), None).await?;
        phase.require_whole()?;
        let peak = phase.samples() as f64 / phase.fleet.elapsed.as_secs_f64();
        eprintln!("a closed loop reaches {} samples/s", grouped(peak));
        Ok(peak)
    }

    /// Pushes at one rate, after everything before is flushed.
    async fn step(&mut self, rate: f64, duration: Duration) -> Result<Step> {
        self.flush().await?;
        let meter = self.subject.meter().await?;
        let phase = self.session.push(Amount::For(duration), Some(rate)).await?;
        phase.require_whole()?;
        let flush_seconds = self.flush().await?;
        let is_measured = !self.subject.pids().is_empty();
        let cpu = if is_measured { Some(meter.read()?.cpu.total()) } else { None };
        let samples = phase.samples();
        // By the time that it was due in, or took: one that ends early has left out nothing.
        let achieved = samples as f64 / phase.fleet.elapsed.max(duration).as_secs_f64();
        let latency = phase.fleet.latencies.summary();
        let in_time = Duration::from_micros(latency.p99_us) < self.args.p99;
        Ok(Step {
            rate,
            achieved,
            latency,
            unsent: phase.fleet.lanes.iter().map(|lane| lane.unsent).sum(),
            retries: phase.fleet.lanes.iter().map(|lane| lane.retries).sum(),
            cpu_per_million: cpu.map(|cpu| cpu * 1e6 / samples.max(1) as f64),
            flush_seconds,
            kept_up: in_time && achieved >= rate * ACHIEVED_MIN,
        })
    }

    async fn flush(&self) -> Result<Option<f64>> {
        let Some(database) = self.subject.database() else { return Ok(None) };
        let waiting = Instant::now();
        let flushed = self.session.flushed(database, self.args.fleet.flush_patience()).await?;
        Ok(flushed.then(|| waiting.elapsed().as_secs_f64()))
    }
}
