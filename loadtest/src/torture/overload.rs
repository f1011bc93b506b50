//! More than the server can take, while its PostgreSQL hangs: its memory and its log stay within
//! their bounds, it says when to come back, and what it acknowledged is stored once afterwards.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::sleep;

use crate::fleet::{AnswerCounts, Patience};
use crate::plan::{Amount, PlanRequest};
use crate::report::write_json;
use crate::torture::args::OverloadArgs;
use crate::torture::make_dir;
use crate::torture::process;
use crate::torture::push::Push;
use crate::torture::world::World;
use crate::usage::resident;
use crate::verify::{Database, Exactness};

/// How long the rate is measured that can be kept up.
const MEASURED: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Lines of the table, at most.
const LINES_MAX: usize = 24;
/// What waits in the log is flushed within this.
const FLUSH_LIMIT: Duration = Duration::from_secs(1_800);

/// One look at the server.
#[derive(Clone, Copy, Debug, Serialize)]
struct Look {
    at_s: f64,
    memory_bytes: u64,
    log_bytes: u64,
    samples: u64,
    answers: AnswerCounts,
}

/// All figures.
#[derive(Debug, Serialize)]
struct Overload {
    series: u32,
    /// Samples per second taken while PostgreSQL works, where that was measured.
    sustained: Option<f64>,
    /// Samples per second offered while it hangs.
    offered: f64,
    budget_bytes: u64,
    memory_bytes_max: u64,
    log_bytes_max: u64,
    looks: Vec<Look>,
    flush_s: f64,
    exactness: Exactness,
}

/// `loadtest torture overload`: true when all bounds held and nothing was lost or doubled.
pub(crate) async fn overload(args: &OverloadArgs) -> Result<bool> {
    let dir = make_dir(args.work_dir.as_deref())?;
    let outcome = tokio::select! {
        outcome = run(args, &dir) => outcome,
        signal = tokio::signal::ctrl_c() => {
            signal.context("wait for SIGINT").and(Err(anyhow!("interrupted")))
        }
    };
    let overload = outcome.with_context(|| format!("everything is left in {}", dir.display()))?;
    print!("{overload}");
    if let Some(path) = &args.json {
        write_json(path, &overload)?;
    }
    std::fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    let holds = overload.memory_bytes_max < args.memory_mib << 20
        && overload.log_bytes_max <= overload.budget_bytes
        && overload.answers().other == 0
        && overload.exactness.holds();
    println!("{}", if holds { "all bounds held" } else { "FAILED: a bound was broken" });
    Ok(holds)
}

async fn run(args: &OverloadArgs, dir: &Path) -> Result<Overload> {
    let binary = std::path::absolute(&args.server).context("find the server's binary")?;
    let mut world = World::embedded(&binary, &dir.join("world"), args.budget_mib).await?;
    let mut ledgers = Vec::new();
    let (sustained, offered) = match args.rate {
        Some(rate) => (None, f64::from(rate)),
        None => {
            let push = Push::start(request(args, None), world.server.target(), patience())?;
            sleep(MEASURED / 4).await;
            let (began, before) = (Instant::now(), push.leash().samples());
            sleep(MEASURED).await;
            let samples = push.leash().samples() - before;
            let sustained = samples as f64 / began.elapsed().as_secs_f64();
            ledgers.push(push.finish().await?);
            eprintln!("{sustained:.0} samples/s are taken while PostgreSQL works");
            (Some(sustained), 2.0 * sustained)
        }
    };
    let frozen = world.postgres.freeze().await?;
    let push = Push::start(request(args, Some(offered)), world.server.target(), patience())?;
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let looks = watch(&mut world, &push, &dir.join("world/data/log"), end).await;
    let thawed = frozen.iter().try_for_each(|pid| process::signal(*pid, Signal::CONT));
    let looks = looks?;
    thawed?;
    let began = Instant::now();
    ledgers.push(push.finish().await?);
    let database = Database::new(&world.postgres.url);
    let mut exactness = Exactness::default();
    let mut flush_s = 0.0;
    for ledger in ledgers.iter().rev() {
        ensure!(database.wait_until_flushed(ledger, FLUSH_LIMIT).await?, "the flush is stuck");
        flush_s = began.elapsed().as_secs_f64();
        exactness.add(&database.check(ledger).await?);
    }
    world.server.require_alive()?;
    Ok(Overload {
        series: args.series,
        sustained,
        offered,
        budget_bytes: u64::from(args.budget_mib) << 20,
        memory_bytes_max: world.server.memory_bytes_max,
        log_bytes_max: looks.iter().map(|look| look.log_bytes).max().unwrap_or(0),
        looks,
        flush_s,
        exactness,
    })
}

fn request(args: &OverloadArgs, rate: Option<f64>) -> PlanRequest {
    let amount = Amount::For(Duration::from_secs_f64(args.minutes * 60.0 + 600.0));
    PlanRequest {
        connections: args.connections,
        rate,
        keys: true,
        ..PlanRequest::closed(args.series / 10, amount)
    }
}

/// A client that does not wait for as long as it is asked to.
fn patience() -> Patience {
    Patience {
        answer: Duration::from_secs(30),
        report: Duration::from_secs(7 * 86_400),
        pause: Duration::from_millis(100),
    }
}

/// Looks at the server every second.
async fn watch(world: &mut World, push: &Push, log: &Path, end: Instant) -> Result<Vec<Look>> {
    let began = Instant::now();
    let mut looks = Vec::new();
    while Instant::now() < end {
        world.server.require_alive()?;
        let memory_bytes = resident(world.server.pid()?).unwrap_or_default();
        looks.push(Look {
            at_s: began.elapsed().as_secs_f64(),
            memory_bytes,
            log_bytes: bytes_of(log)?,
            samples: push.leash().samples(),
            answers: push.leash().answers(),
        });
        sleep(LOOK_INTERVAL).await;
    }
    Ok(looks)
}

/// Bytes of the files in `dir`. One that goes meanwhile has none.
fn bytes_of(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).context("list the log's files")? {
        let metadata = entry.context("list the log's files")?.metadata();
        bytes += metadata.map_or(0, |metadata| metadata.len());
    }
    Ok(bytes)
}

impl Overload {
    fn answers(&self) -> AnswerCounts {
        self.looks.last().map_or_else(AnswerCounts::default, |look| look.answers)
    }
}

impl std::fmt::Display for Overload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        if let Some(sustained) = self.sustained {
            writeln!(f, "{sustained:.0} samples/s were taken while PostgreSQL worked")?;
        }
        writeln!(
            f,
            "{:.0} samples/s of {} series were offered while it hung",
            self.offered, self.series
        )?;
        writeln!(
            f,
            "{:>7} {:>11} {:>9} {:>13} {:>10} {:>10} {:>6}",
            "s", "memory MiB", "log MiB", "acknowledged", "200", "429", "503"
        )?;
        for look in self.looks.iter().step_by(self.looks.len().div_ceil(LINES_MAX).max(1)) {
            writeln!(
                f,
                "{:>7.0} {:>11.1} {:>9.1} {:>13} {:>10} {:>10} {:>6}",
                look.at_s,
                mib(look.memory_bytes),
                mib(look.log_bytes),
                look.samples,
                look.answers.taken,
                look.answers.over_budget,
                look.answers.unavailable
            )?;
        }
        writeln!(f, "memory       {:.1} MiB at most", mib(self.memory_bytes_max))?;
        let (log, budget) = (mib(self.log_bytes_max), mib(self.budget_bytes));
        writeln!(f, "log          {log:.1} MiB at most, of {budget:.1}")?;
        writeln!(f, "answers      {}", self.answers())?;
        writeln!(f, "flush        all in PostgreSQL {:.1} s after it went on", self.flush_s)?;
        writeln!(f, "exactness    {}", self.exactness)
    }
}
