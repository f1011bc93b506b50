//! The fleet at work: connections spread over threads, each thread with a runtime of its own, so
//! that no task ever moves between processors and nothing is shared on the way of a request.

mod alarm;
mod answer;
mod answers;
mod lane;
mod leash;
mod progress;

use std::rc::Rc;
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
use alarm::Alarm;
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
    LocalSet::new().block_on(&runtime, async {
        let alarm = Rc::new(Alarm::new()?);
        let lanes: Vec<_> = (thread..setup.plan.request.connections)
            .step_by(threads as usize)
            .map(|connection| {
                Ok(tokio::task::spawn_local(Lane::new(setup, &alarm, connection)?.drive()))
            })
            .collect::<Result<_>>()?;
        let all = async {
            let mut outcomes = Vec::with_capacity(lanes.len());
            for lane in lanes {
                outcomes.push(lane.await.context("drive a connection")?);
            }
            Ok(outcomes)
        };
        tokio::select! {
            outcomes = all => outcomes,
            Err(error) = alarm.ring() => Err(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Amount, PlanRequest};
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    const STALL: Duration = Duration::from_millis(400);

    /// Takes every report at once but the tenth, which it takes only after a while.
    fn serve(mut stream: TcpStream) {
        let mut received = Vec::new();
        let mut reports = 0;
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            received.extend_from_slice(&buffer[..read]);
            if received.ends_with(b"]}") {
                received.clear();
                reports += 1;
                if reports == 10 {
                    std::thread::sleep(STALL);
                }
                let answer = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                answer.expect("the fleet waits for it");
            }
        }
    }

    #[test]
    fn a_stall_is_charged_to_every_request_that_was_due_meanwhile() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
        // One connection, a request each 10 ms.
        let plan = Arc::new(
            Plan::new(PlanRequest {
                rate: Some(1_000.0),
                ..PlanRequest::closed(1, Amount::For(Duration::from_secs(1)))
            })
            .unwrap(),
        );
        let limit = Duration::from_secs(20);
        let patience = Patience { answer: limit, report: limit, pause: limit };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let leash = Leash::new(1).quiet();
        let target = Target::loopback(port);
        let outcome = runtime.block_on(push(&plan, &target, patience, &leash)).unwrap();
        assert_eq!(outcome.lanes[0].requests, 100);
        // Forty requests were due during the stall, half of them in its first half.
        let slow = outcome.latencies.slower_than(STALL / 2);
        assert!((18..=60).contains(&slow), "{slow} requests were slow");
        server.join().unwrap();
    }
}
