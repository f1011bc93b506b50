//! What must be in the database after a run, computed from the plan and the acknowledgements.
//! Pure.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::fleet::LaneOutcome;
use crate::payload::{catalogue, report_eighths};
use crate::plan::Plan;
use crate::verify::Exactness;

const FINDINGS_MAX: usize = 5;

/// How many reports of each worker were acknowledged.
#[derive(Debug)]
pub(crate) struct Ledger {
    plan: Arc<Plan>,
    reports: Vec<u64>,
    unknown: BTreeSet<u32>,
    /// Of each connection, the workers.
    lanes: Vec<Range<u32>>,
}

/// All that the database has of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Series.
    pub(crate) series: u64,
    /// Samples.
    pub(crate) samples: u64,
    /// Samples that differ in series or time.
    pub(crate) distinct: u64,
    /// Time of the first sample, Unix microseconds.
    pub(crate) first_us: i64,
    /// Time of the last sample, Unix microseconds.
    pub(crate) last_us: i64,
    /// The sum of all values, in eighths.
    pub(crate) sum_eighths: i128,
}

impl Ledger {
    /// The acknowledgements of all connections.
    pub(crate) fn new(plan: &Arc<Plan>, lanes: &[LaneOutcome]) -> Self {
        let mut reports = vec![0; plan.request.workers as usize];
        for lane in lanes {
            let at = lane.first_worker as usize;
            reports[at..at + lane.acknowledged.len()].copy_from_slice(&lane.acknowledged);
        }
        Self {
            plan: Arc::clone(plan),
            reports,
            unknown: lanes.iter().flat_map(|lane| lane.unknown.clone()).collect(),
            lanes: lanes
                .iter()
                .map(|lane| lane.first_worker..lane.first_worker + lane.acknowledged.len() as u32)
                .collect(),
        }
    }

    /// Workers of the fleet.
    pub(crate) fn workers(&self) -> u32 {
        self.plan.request.workers
    }

    /// The name of a worker's component.
    pub(crate) fn name(&self, worker: u32) -> String {
        String::from_utf8_lossy(&self.plan.component_name(worker)).into_owned()
    }

    /// Samples acknowledged.
    pub(crate) fn samples(&self) -> u64 {
        self.reports.iter().sum::<u64>() * u64::from(self.plan.request.metrics)
    }

    /// The times between which every sample lies, Unix microseconds.
    pub(crate) fn time_range_us(&self) -> (i64, i64) {
        (self.time_us(0), self.time_us(self.plan.rounds_max))
    }

    /// Each connection's last acknowledged report, as component and Unix microseconds. A server
    /// that stores in the order of its log has everything once it has these.
    pub(crate) fn last_reports(&self) -> Vec<(String, i64)> {
        let last_of = |lane: &Range<u32>| {
            // Rounds go from the first worker to the last, so the last one sent is the last of
            // those that are furthest; `max_by_key` finds that one.
            let worker = lane.clone().max_by_key(|worker| self.reports[*worker as usize])?;
            let round = self.reports[worker as usize].checked_sub(1)?;
            Some((self.name(worker), self.time_us(round)))
        };
        self.lanes.iter().filter_map(last_of).collect()
    }

    /// Compares what is stored of `workers` with what must be, and adds it to `exactness`.
    pub(crate) fn check(
        &self,
        workers: Range<u32>,
        stored: &HashMap<String, Holding>,
        exactness: &mut Exactness,
    ) {
        for worker in workers {
            let name = self.name(worker);
            let found = stored.get(&name).copied().unwrap_or_default();
            let metrics = u64::from(self.plan.request.metrics);
            let mut reports = self.reports[worker as usize];
            if self.unknown.contains(&worker) && found.distinct > reports * metrics {
                reports += 1;
            }
            let due = self.due(worker, reports);
            exactness.acknowledged += due.samples;
            exactness.stored += found.samples;
            exactness.lost += due.samples.saturating_sub(found.distinct);
            exactness.doubled += found.samples - found.distinct;
            exactness.surplus += found.distinct.saturating_sub(due.samples);
            let counts_agree = found.samples == due.samples && found.distinct == due.samples;
            exactness.altered_components += u64::from(counts_agree && found != due);
            if found != due && exactness.findings.len() < FINDINGS_MAX {
                exactness.findings.push(format!("{name}: due {due:?}, stored {found:?}"));
            }
        }
    }

    /// What must be stored of a worker that got `reports` acknowledgements.
    fn due(&self, worker: u32, reports: u64) -> Holding {
        let Some(last) = reports.checked_sub(1) else { return Holding::default() };
        let metrics = catalogue(self.plan.request.metrics);
        let seed = self.plan.request.seed;
        let sum = (0..reports)
            .flat_map(|round| report_eighths(&metrics, seed, worker, round))
            .map(i128::from)
            .sum();
        let samples = reports * metrics.len() as u64;
        Holding {
            series: metrics.len() as u64,
            samples,
            distinct: samples,
            first_us: self.time_us(0),
            last_us: self.time_us(last),
            sum_eighths: sum,
        }
    }

    fn time_us(&self, round: u64) -> i64 {
        (self.plan.timestamp_ms(round) * 1_000).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;
    use crate::latency::Latencies;
    use crate::plan::{Amount, PlanRequest};

    fn ledger(unknown: Range<u32>) -> Ledger {
        let plan = Plan::new(PlanRequest {
            format: Format::Noetl,
            workers: 4,
            metrics: 5,
            connections: 1,
            seed: 3,
            amount: Amount::Samples(1_000),
            reports_per_request: 1,
            rate: None,
            keys: false,
        });
        let lane = LaneOutcome {
            first_worker: 0,
            acknowledged: vec![3, 3, 2, 0],
            unknown,
            requests: 8,
            retries: 0,
            unsent: 0,
            latencies: Latencies::new().unwrap(),
            last_ack: None,
            failure: None,
        };
        Ledger::new(&Arc::new(plan.unwrap()), &[lane])
    }

    fn check(ledger: &Ledger, change: impl Fn(&mut Vec<Holding>)) -> Exactness {
        let mut holdings: Vec<Holding> =
            (0..4).map(|w| ledger.due(w, ledger.reports[w as usize])).collect();
        change(&mut holdings);
        let stored = (0..).map(|w| ledger.name(w)).zip(holdings).collect();
        let mut exactness = Exactness::default();
        ledger.check(0..4, &stored, &mut exactness);
        exactness
    }

    #[test]
    fn exact() {
        let exactness = check(&ledger(0..0), |_| {});
        assert!(exactness.holds());
        assert_eq!(exactness.to_string(), "acknowledged 40, stored 40, lost 0, doubled 0");
    }

    #[test]
    fn every_deviation_is_found() {
        let ledger = ledger(0..0);
        assert_eq!(check(&ledger, |h| h[1] = Holding::default()).lost, 15);
        assert_eq!(check(&ledger, |h| h[1].samples += 1).doubled, 1);
        assert_eq!(check(&ledger, |h| h[1].sum_eighths += 1).altered_components, 1);
        assert_eq!(check(&ledger, |h| h[1].last_us += 1).altered_components, 1);
        assert_eq!(check(&ledger, |h| h[1].series += 1).altered_components, 1);
        assert_eq!(check(&ledger, |h| h[3] = ledger.due(3, 1)).surplus, 5);
        // A sample that is lost and another that is doubled do not make up for each other.
        let both = check(&ledger, |h| h[1].distinct -= 1);
        assert_eq!((both.lost, both.doubled, both.holds()), (1, 1, false));
    }

    #[test]
    fn a_report_of_unknown_outcome_may_be_stored_or_not() {
        let ledger = ledger(2..3);
        let stored = check(&ledger, |h| h[2] = ledger.due(2, 3));
        assert!(stored.holds() && stored.acknowledged == 45, "{stored:?}");
        assert!(check(&ledger, |_| {}).holds());
        assert!(!check(&ledger, |h| h[2] = ledger.due(2, 4)).holds());
    }

    #[test]
    fn the_last_report_of_a_connection() {
        let ledger = ledger(0..0);
        assert_eq!(ledger.last_reports(), [(ledger.name(1), ledger.time_us(2))]);
    }
}
