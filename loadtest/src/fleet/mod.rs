//! The fleet at work: connections spread over threads, each thread with a runtime of its own, so
//! that no task ever moves between processors and nothing is shared on the way of a request.

mod answer;
mod answers;
mod lane;
mod leash;
mod progress;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::latency::Latencies;
use crate::payload::Outline;
use crate::plan::Plan;
use crate::usage::own_seconds;
use crate::wire::Target;
pub(crate) use answers::AnswerCounts;
pub(crate) use lane::LaneOutcome;
use lane::{Lane, LaneSetup};
pub(crate) use leash::Leash;
use progress::Progress;

/// The bounds of patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For one answer, or one connection.
    pub(crate) answer: Duration,
    /// For one report, all attempts together.
    pub(crate) report: Duration,
    /// Between two attempts at most, whatever the server asks for.
    pub(crate) pause: Duration,
}

/// What the fleet has done.
#[derive(Debug)]
pub(crate) struct FleetOutcome {
    /// Of each connection, in the order of its workers.
    pub(crate) lanes: Vec<LaneOutcome>,
    /// All connections' latencies.
    pub(crate) latencies: Latencies,
    /// From the first request to the last acknowledgement.
    pub(crate) elapsed: Duration,
    /// CPU seconds of this client meanwhile.
    pub(crate) client_cpu_seconds: f64,
    /// It was ended by SIGINT.
    pub(crate) interrupted: bool,
}

/// Pushes all that `plan` holds to `target`. Errors of single requests are in the outcome; an
/// error here means that the fleet itself did not work.
pub(crate) async fn push(
    plan: &Arc<Plan>,
    target: &Target,
    patience: Patience,
    leash: &Leash,
) -> Result<FleetOutcome> {
    let live = leash.live(plan.request.connections);
    let threads = live.len() as u32;
    let stop = leash.stop_on_drop();
    let (sender, mut finished) = mpsc::unbounded_channel();
    let cpu_before = own_seconds()?;
    let outline = Arc::new(Outline::new(plan, target));
    let start = Instant::now();
    for (thread, live) in (0..threads).zip(live) {
        let setup = LaneSetup {
            plan: Arc::clone(plan),
            outline: Arc::clone(&outline),
            target: target.clone(),
            patience,
            start,
            stop: stop.shared(),
            live: Arc::clone(live),
        };
        let sender = sender.clone();
        let work = move || {
            // A receiver that is gone has given up on the run; nobody is left to tell.
            sender.send(drive_thread(&setup, thread, threads)).is_ok()
        };
        std::thread::Builder::new()
            .name(format!("fleet-{thread}"))
            .spawn(work)
            .context("start a thread of the fleet")?;
    }
    drop(sender);

    let mut progress = Progress::new(plan, live.to_vec());
    let mut ticks = tokio::time::interval(progress.interval());
    let mut lanes: Vec<LaneOutcome> = Vec::new();
    let (mut interrupted, mut reported) = (false, 0);
    while reported < threads {
        tokio::select! {
            outcome = finished.recv() => {
                lanes.extend(outcome.ok_or_else(|| anyhow!("a thread of the fleet panicked"))??);
                reported += 1;
            }
            _ = ticks.tick(), if !leash.is_quiet() => progress.show(start.elapsed()),
            signal = tokio::signal::ctrl_c(), if !interrupted => {
                signal.context("wait for SIGINT")?;
                interrupted = true;
                stop.now();
            }
        }
    }
    progress.finish();
    lanes.sort_by_key(|lane| lane.first_worker);
    let mut latencies = Latencies::new()?;
    for lane in &lanes {
        latencies.merge(&lane.latencies)?;
    }
    let last_ack = lanes.iter().filter_map(|lane| lane.last_ack).max();
    Ok(FleetOutcome {
        latencies,
        elapsed: last_ack.map_or_else(|| start.elapsed(), |last| last - start),
        client_cpu_seconds: own_seconds()? - cpu_before,
        interrupted,
        lanes,
    })
}

/// Drives every `threads`-th connection, from number `thread` on, to its end.
fn drive_thread(setup: &LaneSetup, thread: u32, threads: u32) -> Result<Vec<LaneOutcome>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start a runtime of the fleet")?;
    let tasks = LocalSet::new();
    let lanes: Vec<_> = (thread..setup.plan.request.connections)
        .step_by(threads as usize)
        .map(|connection| Ok(tasks.spawn_local(Lane::new(setup, connection)?.drive())))
        .collect::<Result<_>>()?;
    runtime.block_on(tasks.run_until(async {
        let mut outcomes = Vec::with_capacity(lanes.len());
        for lane in lanes {
            outcomes.push(lane.await.context("drive a connection")?);
        }
        Ok(outcomes)
    }))
}
