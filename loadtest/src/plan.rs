//! Who sends what and when: a run is fixed before its first byte, so that afterwards every
//! sample that must be stored can be computed again.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::Format;
use crate::timestamp::write_digits;

/// Bytes of a component's name: `load-`, eight hexadecimal digits, `-`, six digits.
pub(crate) const COMPONENT_NAME_WIDTH: usize = 20;

/// More reports per second than this machine class can send; bounds a run that is timed.
const REPORTS_PER_SECOND_MAX: f64 = 200_000.0;

/// The time over which a run's timestamps are spread where steps of 1 ms to 1 s allow it.
const SPREAD_MS: u64 = 3_600_000;

/// How much to push.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    /// So many samples, rounded up to whole reports.
    Samples(u64),
    /// For so long.
    For(Duration),
}

/// Which series the reports of a worker hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Always the same ones.
    Noetl,
    /// A changing half of twice as many.
    Sparse,
    /// A share of them is replaced by new ones from time to time.
    Churn {
        /// Of a worker's series, per replacement.
        percent: u32,
        /// Reports from one replacement to the next.
        every: u32,
    },
    /// Few names, and labels of which one is of this series alone.
    Cardinality,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Noetl => f.write_str("always the same"),
            Self::Sparse => f.write_str("a changing half of twice as many"),
            Self::Churn { percent, every } => {
                write!(f, "{percent} % replaced every {every} reports")
            }
            Self::Cardinality => f.write_str("of few names"),
        }
    }
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlanRequest {
    /// What a request holds.
    pub(crate) format: Format,
    /// Workers that report.
    pub(crate) workers: u32,
    /// Metrics in a report.
    pub(crate) metrics: u32,
    /// Connections to spread them over.
    pub(crate) connections: u32,
    /// Seed of the values.
    pub(crate) seed: u64,
    /// How much to push.
    pub(crate) amount: Amount,
    /// Reports in a request.
    pub(crate) reports_per_request: u32,
    /// Samples per second in an open loop.
    pub(crate) rate: Option<f64>,
    /// Which series the reports hold.
    pub(crate) shape: Shape,
    /// Reports of each worker for which there must be times beside those of `amount`, for phases.
    pub(crate) rounds_before: u64,
    /// From the beginning of a phase, for how long latencies do not count.
    pub(crate) settle: Duration,
    /// Connections are opened at once, and not when the first request is due.
    pub(crate) connect_first: bool,
    /// Every request carries an `Idempotency-Key`, the same one when it is sent again.
    pub(crate) keys: bool,
}

impl PlanRequest {
    /// Reports in total where they are counted, and reports of one worker at most.
    fn extent(&self) -> Result<(Option<u64>, u64)> {
        let (metrics, workers) = (u64::from(self.metrics), u64::from(self.workers));
        let (reports, reports_max) = match self.amount {
            Amount::Samples(samples) => {
                ensure!(samples > 0, "--samples must be more than 0");
                let reports = samples.div_ceil(metrics);
                (Some(reports), reports)
            }
            Amount::For(duration) => {
                let per_second =
                    self.rate.map_or(REPORTS_PER_SECOND_MAX, |rate| rate / metrics as f64);
                #[expect(clippy::cast_sign_loss, reason = "rates and durations are positive")]
                let due = (per_second * duration.as_secs_f64()).ceil() as u64;
                (None, due + workers)
            }
        };
        Ok((reports, reports_max.div_ceil(workers)))
    }

    /// A closed loop of single NoETL reports, one connection for each of at most 64 workers.
    pub(crate) fn closed(workers: u32, amount: Amount) -> Self {
        Self {
            format: Format::Noetl,
            workers,
            metrics: 10,
            connections: workers.min(64),
            seed: 1,
            amount,
            reports_per_request: 1,
            rate: None,
            shape: Shape::Noetl,
            rounds_before: 0,
            settle: Duration::ZERO,
            connect_first: false,
            keys: false,
        }
    }
}

/// A run, decided. Worker `w` reports `k = 0, 1, …` in order, at `timestamp_ms(k)`. A run may be
/// pushed in phases: each goes on with a later `k` of the same workers.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What was asked for, with the connections bounded by the workers.
    pub(crate) request: PlanRequest,
    /// Tells this run's components from every other run's.
    run_id: u32,
    /// Reports in total; None where the time decides.
    pub(crate) reports: Option<u64>,
    /// The first report of each worker in this phase.
    pub(crate) first_round: u64,
    /// Reports of one worker in this phase at most.
    pub(crate) rounds_max: u64,
    /// Reports of one worker in all phases at most.
    capacity: u64,
    first_ms: u64,
    step_ms: u64,
}

impl Plan {
    /// Decides a run that starts now.
    pub(crate) fn new(request: PlanRequest) -> Result<Self> {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        Self::starting_at(request, now)
    }

    fn starting_at(mut request: PlanRequest, now: Duration) -> Result<Self> {
        ensure!(
            request.format != Format::Noetl || request.reports_per_request == 1,
            "--format noetl holds one report per request: use ndjson for --reports-per-request"
        );
        request.connections = request.connections.min(request.workers);
        let (reports, rounds_max) = request.extent()?;
        let capacity = rounds_max + request.rounds_before;
        let step_ms = (SPREAD_MS / capacity).clamp(1, 1_000);
        let now_ms = u64::try_from(now.as_millis()).context("the clock is past its range")?;
        let first_ms = now_ms
            .checked_sub(step_ms * capacity)
            .context("so many reports of one worker do not fit before now: use more workers")?;
        // Runs within the same millisecond are the same run only for one who starts two at once.
        let run_id = (now_ms as u32) ^ std::process::id().rotate_left(20);
        Ok(Self {
            request,
            run_id,
            reports,
            first_round: 0,
            rounds_max,
            capacity,
            first_ms,
            step_ms,
        })
    }

    /// The phase of this run that begins with every worker's report `first_round` and pushes
    /// `amount` at `rate`, or in a closed loop.
    pub(crate) fn phase(
        &self,
        first_round: u64,
        amount: Amount,
        rate: Option<f64>,
    ) -> Result<Self> {
        let request = PlanRequest { amount, rate, ..self.request };
        let (reports, rounds_max) = request.extent()?;
        let rounds_max = match amount {
            Amount::Samples(_) => rounds_max,
            // What the time decides ends with the times that are left.
            Amount::For(_) => rounds_max.min(self.capacity.saturating_sub(first_round)),
        };
        ensure!(
            rounds_max > 0 && first_round + rounds_max <= self.capacity,
            "the run was planned for {} reports of each worker",
            self.capacity
        );
        Ok(Self { request, reports, first_round, rounds_max, ..*self })
    }

    /// The same on at most so many connections.
    pub(crate) fn with_connections(self, connections: u32) -> Self {
        let connections = connections.min(self.request.connections);
        Self { request: PlanRequest { connections, connect_first: false, ..self.request }, ..self }
    }

    /// Hexadecimal, eight digits.
    pub(crate) fn run_id(&self) -> String {
        format!("{:08x}", self.run_id)
    }

    /// What every component's name of this run begins with.
    #[cfg(test)]
    fn name_prefix(&self) -> String {
        format!("load-{:08x}-", self.run_id)
    }

    /// The name of worker `worker`.
    pub(crate) fn component_name(&self, worker: u32) -> [u8; COMPONENT_NAME_WIDTH] {
        let mut name = *b"load-00000000-000000";
        for (index, digit) in name[5..13].iter_mut().enumerate() {
            let nibble = (self.run_id >> (28 - 4 * index)) & 15;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        write_digits(&mut name[14..], u64::from(worker));
        name
    }

    /// Unix milliseconds of every worker's `round`-th report: unique per worker, and not in the
    /// future in any phase.
    pub(crate) fn timestamp_ms(&self, round: u64) -> u64 {
        self.first_ms + round * self.step_ms
    }

    /// The workers of one connection.
    pub(crate) fn workers_of(&self, connection: u32) -> Range<u32> {
        let share = |index: u32| {
            (u64::from(index) * u64::from(self.request.workers)
                / u64::from(self.request.connections)) as u32
        };
        share(connection)..share(connection + 1)
    }

    /// The reports of each worker in this phase.
    pub(crate) fn rounds(&self) -> Range<u64> {
        self.first_round..self.first_round + self.rounds_max
    }

    /// The rounds of all phases.
    pub(crate) fn all_rounds(&self) -> Range<u64> {
        0..self.capacity
    }

    /// How many workers, from the first on, report in `round`, which is of this phase or later.
    pub(crate) fn workers_in_round(&self, round: u64) -> u32 {
        let workers = u64::from(self.request.workers);
        let started = round.saturating_sub(self.first_round).saturating_mul(workers);
        let reports = self.reports.unwrap_or(self.rounds_max * workers);
        reports.saturating_sub(started).min(workers) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(workers: u32, connections: u32, amount: Amount) -> PlanRequest {
        PlanRequest { connections, ..PlanRequest::closed(workers, amount) }
    }

    #[test]
    fn every_report_is_planned_once() {
        let check = |workers, connections, samples: u64| {
            let plan = Plan::new(request(workers, connections, Amount::Samples(samples))).unwrap();
            let mut planned = 0;
            for round in 0..plan.rounds_max {
                for connection in 0..plan.request.connections {
                    let own = plan.workers_of(connection);
                    planned += own.filter(|w| *w < plan.workers_in_round(round)).count() as u64;
                }
            }
            assert_eq!(planned, samples.div_ceil(10));
            assert_eq!(plan.workers_in_round(plan.rounds_max), 0);
        };
        check(10, 3, 1_000);
        check(10, 3, 1_001);
        check(7, 64, 5);
        check(1, 1, 10_000);
        check(100, 64, 12_345);
    }

    #[test]
    fn timestamps_rise_and_end_before_now() {
        let check = |workers, amount| {
            let now = Duration::from_secs(1_800_000_000);
            let plan = Plan::starting_at(request(workers, 4, amount), now).unwrap();
            assert!(plan.timestamp_ms(1) > plan.timestamp_ms(0));
            assert!(plan.timestamp_ms(plan.rounds_max - 1) < 1_800_000_000_000);
        };
        check(10_000, Amount::Samples(5_000_000));
        check(1, Amount::Samples(50_000_000));
        check(64, Amount::For(Duration::from_secs(30)));
    }

    #[test]
    fn phases_go_on_with_later_reports_of_the_same_workers() {
        let asked = PlanRequest { rounds_before: 3, ..request(10, 2, Amount::Samples(1_000)) };
        let plan = Plan::new(asked).unwrap();
        assert_eq!(plan.rounds(), 0..10);
        let warm_up = plan.phase(0, Amount::Samples(300), None).unwrap();
        assert_eq!((warm_up.rounds(), warm_up.workers_in_round(3)), (0..3, 0));
        let main = plan.phase(3, Amount::Samples(1_000), Some(10.0)).unwrap();
        assert_eq!(
            (main.rounds(), main.workers_in_round(3), main.run_id()),
            (3..13, 10, plan.run_id())
        );
        assert_eq!(main.timestamp_ms(3), plan.timestamp_ms(3));
        assert!(plan.phase(4, Amount::Samples(1_000), None).is_err());
        let timed = plan.phase(4, Amount::For(Duration::from_secs(60)), None).unwrap();
        assert_eq!(timed.rounds(), 4..13);
        assert!(plan.phase(13, Amount::For(Duration::from_secs(60)), None).is_err());
    }

    #[test]
    fn names_have_a_fixed_width_and_carry_the_run() {
        let plan = Plan::new(request(10, 2, Amount::Samples(10))).unwrap();
        let name = String::from_utf8(plan.component_name(42).to_vec()).unwrap();
        assert_eq!(name, format!("{}000042", plan.name_prefix()));
        assert_eq!(plan.name_prefix(), format!("load-{}-", plan.run_id()));
    }

    #[test]
    fn a_request_of_many_reports_needs_a_format_for_them() {
        let mut many = request(10, 2, Amount::Samples(10));
        many.reports_per_request = 5;
        assert!(Plan::new(many).is_err());
        many.format = Format::Ndjson;
        assert!(Plan::new(many).is_ok());
    }
}
