//! Many connections that are mostly idle, beside a fleet that is not: what they take of its
//! throughput, and of the server's memory.

mod crowd;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::args::IdleArgs;
use crate::latency::LatencySummary;
use crate::machine::Machine;
use crate::plan::{Amount, PlanRequest};
use crate::report::{grouped, median, write_results};
use crate::session::Session;
use crate::subject::{Subject, unless_interrupted};
use crate::usage::resident;
use crate::verify::Exactness;
use crowd::Crowd;

/// What the active fleet has reached.
#[derive(Clone, Copy, Debug, Serialize)]
struct Reached {
    samples_per_second: f64,
    latency: LatencySummary,
}

/// The same load without and with the idle connections.
#[derive(Clone, Copy, Debug, Serialize)]
struct Round {
    without: Reached,
    with: Reached,
}

/// Resident memory of the server, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
struct Memory {
    before: u64,
    /// When every idle connection is open and has sent a report.
    after: u64,
    per_connection: f64,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Idle {
    /// `idle`.
    kind: &'static str,
    machine: Machine,
    server: String,
    /// Idle connections.
    idle: u32,
    interval_seconds: f64,
    workers: u32,
    metrics: u32,
    connections: u32,
    rounds: Vec<Round>,
    /// None where the server's processes are not known.
    memory: Option<Memory>,
    /// Of both fleets.
    exactness: Option<Exactness>,
}

/// `loadtest idle`: true when everything acknowledged is stored.
pub(crate) async fn idle(args: &IdleArgs) -> Result<bool> {
    let subject = Subject::of(&args.subject).await?;
    let Some(idle) = unless_interrupted(measure(args, &subject)).await? else { return Ok(false) };
    print!("{idle}");
    let (json, markdown) = (args.fleet.json.as_deref(), args.markdown.as_deref());
    write_results(json, markdown, &idle, || idle.markdown())?;
    subject.stop()?;
    Ok(idle.exactness.as_ref().is_none_or(Exactness::holds))
}

async fn measure(args: &IdleArgs, subject: &Subject) -> Result<Idle> {
    let format = args.subject.format();
    let in_all = Amount::For(args.duration * 2 * args.rounds);
    let request =
        PlanRequest { rounds_before: 1, ..args.fleet.plan_request(&args.size, format, in_all) };
    let (patience, threads) = (args.fleet.patience(), args.fleet.threads);
    let mut active = Session::new(request, subject.target(), patience, threads)?;
    active.warm_up(1).await?;
    let mut crowd = Crowd::new(args, subject.target())?;
    crowd.warm_up().await?;
    let (mut rounds, mut memory) = (Vec::new(), None);
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}: {} connections alone", args.rounds, args.size.connections);
        let without = reached(&mut active, args).await?;
        flush(&active, subject, args).await?;
        let before = resident_bytes(subject);
        eprintln!("opening {} more", args.idle);
        crowd.open().await?;
        if memory.is_none() {
            // Memory that was once taken is not given back, so only the first time shows it.
            eprintln!("waiting until each of them has sent a report");
            crowd.wait_until_heard(args.interval * 2).await?;
            memory = before.zip(resident_bytes(subject)).map(|(before, after)| Memory {
                before,
                after,
                per_connection: after.saturating_sub(before) as f64 / f64::from(args.idle),
            });
        }
        eprintln!("round {round} of {}: both", args.rounds);
        let with = reached(&mut active, args).await?;
        crowd.close().await?;
        flush(&active, subject, args).await?;
        rounds.push(Round { without, with });
    }
    let exactness = match (subject.database(), active.ledger(), crowd.ledger()) {
        (Some(database), Some(of_active), Some(of_crowd)) => {
            let patience = args.fleet.flush_patience();
            database.wait_until_flushed(of_crowd, patience).await?;
            let mut both = database.check(of_active).await?;
            both.add(&database.check(of_crowd).await?);
            Some(both)
        }
        _ => None,
    };
    Ok(Idle {
        kind: "idle",
        machine: Machine::this(),
        server: args.subject.name(),
        idle: args.idle,
        interval_seconds: args.interval.as_secs_f64(),
        workers: args.size.workers,
        metrics: args.size.metrics,
        connections: args.size.connections,
        rounds,
        memory,
        exactness,
    })
}

async fn reached(active: &mut Session, args: &IdleArgs) -> Result<Reached> {
    let phase = active.push(Amount::For(args.duration), None).await?;
    phase.require_whole()?;
    let samples_per_second = phase.samples() as f64 / phase.fleet.elapsed.as_secs_f64();
    ensure!(samples_per_second > 0.0, "nothing was acknowledged");
    Ok(Reached { samples_per_second, latency: phase.fleet.latencies.summary() })
}

async fn flush(active: &Session, subject: &Subject, args: &IdleArgs) -> Result<()> {
    if let Some(database) = subject.database() {
        active.flushed(database, args.fleet.flush_patience()).await?;
    }
    Ok(())
}

/// Of the processes named, not of what is below them.
fn resident_bytes(subject: &Subject) -> Option<u64> {
    subject.pids().iter().map(|pid| resident(*pid)).sum::<Option<u64>>().filter(|sum| *sum > 0)
}

impl Idle {
    /// Samples per second without and with, and the ratio within each round: medians.
    fn medians(&self) -> (f64, f64, f64) {
        let of = |figure: fn(&Round) -> f64| median(self.rounds.iter().map(figure).collect());
        let without = of(|round| round.without.samples_per_second);
        let with = of(|round| round.with.samples_per_second);
        (without, with, of(|r| r.with.samples_per_second / r.without.samples_per_second))
    }

    fn p99_ms(&self, of: fn(&Round) -> &Reached) -> f64 {
        median(self.rounds.iter().map(|r| of(r).latency.p99_us as f64 / 1_000.0).collect())
    }

    fn markdown(&self) -> String {
        let (without, with, ratio) = self.medians();
        let per_connection = self
            .memory
            .map_or("?".to_owned(), |memory| format!("{:.1} KiB", memory.per_connection / 1024.0));
        format!(
            "* machine: {}\n* `{}`, {} active connections, {} idle ones with a report each {:.0} s, \
             medians of {} rounds\n\n\
             | | samples/s | p99 ms |\n|---|--:|--:|\n\
             | without the idle connections | {} | {:.2} |\n| with them | {} | {:.2} |\n\n\
             * throughput: {ratio:.2}x\n* memory of an idle connection: {per_connection}\n",
            self.machine,
            self.server,
            self.connections,
            grouped(f64::from(self.idle)),
            self.interval_seconds,
            self.rounds.len(),
            grouped(without),
            self.p99_ms(|round| &round.without),
            grouped(with),
            self.p99_ms(|round| &round.with),
        )
    }
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (without, with, ratio) = self.medians();
        writeln!(f, "fleet        {} workers on {} connections", self.workers, self.connections)?;
        let p99 = self.p99_ms(|round| &round.without);
        writeln!(f, "alone        {} samples/s, p99 {p99:.2} ms", grouped(without))?;
        writeln!(
            f,
            "beside       {} samples/s, p99 {:.2} ms, with {} idle connections ({ratio:.2}x)",
            grouped(with),
            self.p99_ms(|round| &round.with),
            grouped(f64::from(self.idle))
        )?;
        if let Some(memory) = &self.memory {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "memory       {:.1} KiB for each of them ({:.1} MiB before, {:.1} after)",
                memory.per_connection / 1024.0,
                mib(memory.before),
                mib(memory.after)
            )?;
        }
        if let Some(exactness) = &self.exactness {
            writeln!(f, "exactness    {exactness}")?;
        }
        Ok(())
    }
}
