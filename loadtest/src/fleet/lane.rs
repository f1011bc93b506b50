//! One connection and its workers. A worker's reports leave in order, and the next one only when
//! the last is acknowledged, so what was acknowledged of a worker is a count.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::Patience;
use crate::fleet::alarm::Alarm;
use crate::fleet::answer::{Verdict, judge};
use crate::fleet::leash::Stop;
use crate::fleet::progress::Live;
use crate::latency::Latencies;
use crate::payload::{Outline, Request};
use crate::plan::{Amount, Plan};
use crate::schedule::Schedule;
use crate::wire::{Connection, Target};

/// Between two attempts: doubled from the first to the last.
const BACKOFF: Range<Duration> = Duration::from_millis(50)..Duration::from_secs(1);

/// What all connections of a thread share.
#[derive(Clone, Debug)]
pub(crate) struct LaneSetup {
    /// The run.
    pub(crate) plan: Arc<Plan>,
    /// What its requests are made from.
    pub(crate) outline: Arc<Outline>,
    /// The server.
    pub(crate) target: Target,
    /// When to give up.
    pub(crate) patience: Patience,
    /// When the run began.
    pub(crate) start: Instant,
    /// How the run is ended.
    pub(crate) stop: Arc<Stop>,
    /// The thread's counters.
    pub(crate) live: Arc<Live>,
}

/// What became of a connection's reports.
#[derive(Debug)]
pub(crate) struct LaneOutcome {
    /// The first of its workers; the others follow.
    pub(crate) first_worker: u32,
    /// How many reports of each worker were acknowledged.
    pub(crate) acknowledged: Vec<u64>,
    /// Workers whose next report was sent, and whether it was taken is not known.
    pub(crate) unknown: Range<u32>,
    /// Requests acknowledged.
    pub(crate) requests: u64,
    /// Attempts that were made again.
    pub(crate) retries: u64,
    /// Requests that were due in the time, and not sent because the server was behind.
    pub(crate) unsent: u64,
    /// From when a request was due to its acknowledgement; of one that was not sent in the time, to
    /// the end, which it has outlasted.
    pub(crate) latencies: Latencies,
    /// When the last acknowledgement came.
    pub(crate) last_ack: Option<Instant>,
    /// Why it ended before its time.
    pub(crate) failure: Option<String>,
}

/// A connection at work.
#[derive(Debug)]
pub(crate) struct Lane {
    setup: LaneSetup,
    alarm: Rc<Alarm>,
    workers: Range<u32>,
    schedule: Schedule,
    end: Option<Instant>,
    settled: Instant,
    connection: Option<Connection>,
    sequence: u64,
    outcome: LaneOutcome,
}

impl Lane {
    /// Connection number `index` of the plan, not yet open.
    pub(super) fn new(setup: &LaneSetup, alarm: &Rc<Alarm>, index: u32) -> Result<Self> {
        let (plan, setup) = (&setup.plan, setup.clone());
        let asked = plan.request;
        let schedule = asked.rate.map_or(Schedule::Closed, |samples_per_second| {
            let samples = f64::from(asked.metrics) * f64::from(asked.reports_per_request);
            Schedule::open(setup.start, samples_per_second / samples, index, asked.connections)
        });
        let end = match asked.amount {
            Amount::For(duration) => Some(setup.start + duration),
            Amount::Samples(_) => None,
        };
        let workers = plan.workers_of(index);
        let outcome = LaneOutcome {
            first_worker: workers.start,
            acknowledged: vec![0; workers.len()],
            unknown: 0..0,
            requests: 0,
            retries: 0,
            unsent: 0,
            latencies: Latencies::new()?,
            last_ack: None,
            failure: None,
        };
        let alarm = Rc::clone(alarm);
        let settled = setup.start + asked.settle;
        Ok(Self {
            setup,
            alarm,
            workers,
            schedule,
            end,
            settled,
            connection: None,
            sequence: 0,
            outcome,
        })
    }

    /// Sends every report of its workers, round by round.
    pub(crate) async fn drive(mut self) -> LaneOutcome {
        let plan = Arc::clone(&self.setup.plan);
        if plan.request.connect_first {
            self.connect_first().await;
        }
        let mut request = Request::new(&self.setup.outline);
        'run: for round in plan.rounds() {
            let workers = self.workers.start..self.workers.end.min(plan.workers_in_round(round));
            for first in workers.clone().step_by(plan.request.reports_per_request as usize) {
                let batch = first..workers.end.min(first + plan.request.reports_per_request);
                let Some(due) = self.wait_until_due().await else { break 'run };
                if let Err(error) = request.fill(&plan, batch.clone(), round) {
                    self.outcome.failure = Some(format!("{error:#}"));
                    break 'run;
                }
                let samples = batch.len() as u64 * u64::from(plan.request.metrics);
                if let Err(failure) = self.deliver(request.bytes(), samples).await {
                    self.outcome.failure = failure.reason;
                    self.outcome.unknown = if failure.outcome_unknown { batch } else { 0..0 };
                    break 'run;
                }
                self.count(batch, samples, due);
            }
        }
        self.outcome
    }

    /// Opens the connection before it is needed. One that fails is tried again when it is.
    async fn connect_first(&mut self) {
        let limit = self.setup.patience.answer;
        self.connection = Connection::open(&self.setup.target, limit).await.ok();
        let opened = u64::from(self.connection.is_some());
        self.setup.live.connected.fetch_add(opened, Ordering::Relaxed);
    }

    /// Waits for the next request's time and returns it; None at the end of the run.
    async fn wait_until_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due = self.schedule.due(self.sequence).unwrap_or(now);
        let stop = Arc::clone(&self.setup.stop);
        let told = stop.told();
        if stop.no_more() {
            return None;
        }
        if let Some(end) = self.end.filter(|end| now >= *end || due >= *end) {
            self.leave_unsent(end);
            return None;
        }
        self.sequence += 1;
        if due > now {
            tokio::select! {
                slept = self.alarm.sleep_until(due) => if let Err(error) = slept {
                    self.outcome.failure = Some(format!("{error:#}"));
                    return None;
                },
                () = told => return None,
            }
        }
        Some(due)
    }

    /// Counts what was due and was not sent. It would be the slowest of all, so leaving it out
    /// would make a server look the better the less it keeps up.
    fn leave_unsent(&mut self, end: Instant) {
        self.outcome.unsent = self.schedule.due_before(self.sequence, end);
        for sequence in self.sequence..self.sequence + self.outcome.unsent {
            if let Some(due) = self.schedule.due(sequence) {
                self.record(due, end);
            }
        }
    }

    fn record(&mut self, due: Instant, until: Instant) {
        if due >= self.settled {
            self.outcome.latencies.record(until.saturating_duration_since(due));
        }
    }

    fn count(&mut self, batch: Range<u32>, samples: u64, due: Instant) {
        let now = Instant::now();
        for worker in batch {
            self.outcome.acknowledged[(worker - self.workers.start) as usize] += 1;
        }
        self.record(due, now);
        self.outcome.last_ack = Some(now);
        self.outcome.requests += 1;
        self.setup.live.samples.fetch_add(samples, Ordering::Relaxed);
    }

    /// Sends a request until it is acknowledged.
    async fn deliver(&mut self, request: &[u8], samples: u64) -> Result<(), Failure> {
        let mut first_attempt = None;
        let mut backoff = BACKOFF.start;
        let mut outcome_unknown = false;
        loop {
            let (reason, after) = match self.attempt(request, samples).await {
                Ok(Verdict::Acknowledged) => return Ok(()),
                Ok(Verdict::Refused(reason)) => {
                    return Err(Failure { reason: Some(reason), outcome_unknown });
                }
                Ok(Verdict::TryAgain(after)) => {
                    ("the server answered 429 or 5xx".to_owned(), after)
                }
                Err(error) => {
                    self.connection = None;
                    (format!("no answer: {error}"), None)
                }
            };
            outcome_unknown = true;
            // The clock is read only now: most requests never come here.
            let tried_since = *first_attempt.get_or_insert_with(Instant::now);
            if self.setup.stop.at_once() {
                return Err(Failure { reason: None, outcome_unknown });
            }
            if tried_since.elapsed() >= self.setup.patience.report {
                let patience = self.setup.patience.report.as_secs();
                let reason = format!("gave up on a report after {patience} s: {reason}");
                return Err(Failure { reason: Some(reason), outcome_unknown });
            }
            self.outcome.retries += 1;
            self.setup.live.retries.fetch_add(1, Ordering::Relaxed);
            self.setup.live.first_failure.get_or_init(|| reason);
            let pause = after.unwrap_or(backoff).min(self.setup.patience.pause);
            backoff = (backoff * 2).min(BACKOFF.end);
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&mut self, request: &[u8], samples: u64) -> std::io::Result<Verdict> {
        let limit = self.setup.patience.answer;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match Connection::open(&self.setup.target, limit).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.setup.live.answers.count_unanswered();
                    return Err(error);
                }
            },
        };
        let answer = connection.exchange(request, limit).await;
        self.setup.live.answers.count(&answer);
        let head = answer?;
        let verdict = judge(&head, connection.body(&head), samples);
        if !head.closes {
            self.connection = Some(connection);
        }
        Ok(verdict)
    }
}

/// Why a request was not acknowledged.
#[derive(Debug)]
struct Failure {
    /// For a person; None when the run was interrupted.
    reason: Option<String>,
    /// An attempt may have been taken without an answer.
    outcome_unknown: bool,
}
