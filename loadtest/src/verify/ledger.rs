//! What must be in the database after a run, computed from the plan and the acknowledgements.
//! Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::fleet::LaneOutcome;
use crate::payload::Content;
use crate::plan::Plan;
use crate::verify::Exactness;

const FINDINGS_MAX: usize = 5;

/// Which reports of each worker were acknowledged.
#[derive(Debug)]
pub(crate) struct Ledger {
    plan: Arc<Plan>,
    content: Content,
    /// All metrics in the order in which the database counts their series.
    order: Vec<usize>,
    phases: Vec<Phase>,
    /// Workers whose report after the last acknowledged one may have been taken.
    unknown: BTreeSet<u32>,
    /// Of each connection, the workers.
    lanes: Vec<Range<u32>>,
}

/// The acknowledgements of one phase.
#[derive(Debug)]
struct Phase {
    first_round: u64,
    /// Of each worker, how many from the first round on.
    reports: Vec<u64>,
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
    /// The same, with each value times the place, from 1, of its series in the order of names and
    /// labels: a value under another series of its component is found by it.
    pub(crate) weighted_eighths: i128,
}

impl Ledger {
    /// The acknowledgements of all connections.
    pub(crate) fn new(plan: &Arc<Plan>, lanes: &[LaneOutcome]) -> Self {
        let content = Content::new(&plan.request);
        let mut ledger = Self {
            plan: Arc::clone(plan),
            order: content.stored_order(),
            content,
            phases: Vec::new(),
            unknown: BTreeSet::new(),
            lanes: Vec::new(),
        };
        ledger.add_phase(plan, lanes);
        ledger
    }

    /// Adds those of a later phase. What was unknown before must not be: a worker's reports are
    /// known up to the last phase only.
    pub(crate) fn add_phase(&mut self, plan: &Plan, lanes: &[LaneOutcome]) {
        let mut reports = vec![0; plan.request.workers as usize];
        for lane in lanes {
            let at = lane.first_worker as usize;
            reports[at..at + lane.acknowledged.len()].copy_from_slice(&lane.acknowledged);
        }
        self.phases.push(Phase { first_round: plan.first_round, reports });
        self.unknown = lanes.iter().flat_map(|lane| lane.unknown.clone()).collect();
        self.lanes = lanes
            .iter()
            .map(|lane| lane.first_worker..lane.first_worker + lane.acknowledged.len() as u32)
            .collect();
    }

    /// The first report that no worker has sent.
    pub(crate) fn next_round(&self) -> u64 {
        let furthest = |phase: &Phase| {
            let most = phase.reports.iter().max().copied().unwrap_or(0);
            phase.first_round + most + u64::from(!self.unknown.is_empty())
        };
        self.phases.iter().map(furthest).max().unwrap_or(0)
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
        let reports: u64 = self.phases.iter().flat_map(|phase| &phase.reports).sum();
        reports * u64::from(self.plan.request.metrics)
    }

    /// The times between which every sample lies, Unix microseconds.
    pub(crate) fn time_range_us(&self) -> (i64, i64) {
        let rounds = self.plan.all_rounds();
        (self.time_us(rounds.start), self.time_us(rounds.end))
    }

    /// Each connection's last acknowledged report, as component and Unix microseconds. A server
    /// that stores in the order of its log has everything once it has these.
    pub(crate) fn last_reports(&self) -> Vec<(String, i64)> {
        let last_of = |lane: &Range<u32>| {
            // Rounds go from the first worker to the last, so the last one sent is the last of
            // those that are furthest; `max_by_key` finds that one.
            let last = |worker: &u32| self.rounds(*worker).last();
            let worker = lane.clone().max_by_key(last)?;
            Some((self.name(worker), self.time_us(last(&worker)?)))
        };
        self.lanes.iter().filter_map(last_of).collect()
    }

    /// The acknowledged reports of a worker.
    fn rounds(&self, worker: u32) -> impl DoubleEndedIterator<Item = u64> {
        self.phases.iter().flat_map(move |phase| {
            phase.first_round..phase.first_round + phase.reports[worker as usize]
        })
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
            let reports = self.rounds(worker).count() as u64;
            let one_more = self.unknown.contains(&worker) && found.distinct > reports * metrics;
            let due = self.due(worker, u64::from(one_more));
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

    /// What must be stored of a worker when `more` of its reports were taken than acknowledged.
    fn due(&self, worker: u32, more: u64) -> Holding {
        let last_phase = self.phases.last();
        let following =
            last_phase.map_or(0, |phase| phase.first_round + phase.reports[worker as usize]);
        let mut holding = Holding::default();
        // Of each metric, the sum of every series that followed another.
        let mut sums: Vec<BTreeMap<u64, i128>> =
            vec![BTreeMap::new(); self.content.metrics().len()];
        for round in self.rounds(worker).chain(following..following + more) {
            if holding.samples == 0 {
                holding.first_us = self.time_us(round);
            }
            holding.last_us = self.time_us(round);
            let samples = self.content.samples(worker, round);
            for ((_, eighths), (index, generation)) in
                samples.zip(self.content.series(worker, round))
            {
                holding.samples += 1;
                *sums[index].entry(generation).or_default() += i128::from(eighths);
            }
        }
        holding.distinct = holding.samples;
        for sum in self.order.iter().flat_map(|index| sums[*index].values()) {
            holding.series += 1;
            holding.sum_eighths += sum;
            holding.weighted_eighths += sum * i128::from(holding.series);
        }
        holding
    }

    fn time_us(&self, round: u64) -> i64 {
        (self.plan.timestamp_ms(round) * 1_000).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;
    use crate::plan::{Amount, PlanRequest, Shape};

    fn lane(acknowledged: Vec<u64>, unknown: Range<u32>) -> LaneOutcome {
        LaneOutcome {
            first_worker: 0,
            requests: acknowledged.iter().sum(),
            acknowledged,
            unknown,
            retries: 0,
            unsent: 0,
            latencies: Latencies::new().unwrap(),
            last_ack: None,
            failure: None,
        }
    }

    fn plan(shape: Shape) -> Arc<Plan> {
        Arc::new(
            Plan::new(PlanRequest {
                metrics: 5,
                shape,
                ..PlanRequest::closed(4, Amount::Samples(1_000))
            })
            .unwrap(),
        )
    }

    fn ledger(unknown: Range<u32>) -> Ledger {
        Ledger::new(&plan(Shape::Noetl), &[lane(vec![3, 3, 2, 0], unknown)])
    }

    fn check(ledger: &Ledger, change: impl Fn(&mut Vec<Holding>)) -> Exactness {
        let mut holdings: Vec<Holding> = (0..4).map(|worker| ledger.due(worker, 0)).collect();
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
        assert_eq!(check(&ledger, |h| h[1].weighted_eighths += 1).altered_components, 1);
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
        let stored = check(&ledger, |h| h[2] = ledger.due(2, 1));
        assert!(stored.holds() && stored.acknowledged == 45, "{stored:?}");
        assert!(check(&ledger, |_| {}).holds());
        assert!(!check(&ledger, |h| h[2] = ledger.due(2, 2)).holds());
    }

    #[test]
    fn the_last_report_of_a_connection() {
        let ledger = ledger(0..0);
        assert_eq!(ledger.last_reports(), [(ledger.name(1), ledger.time_us(2))]);
    }

    #[test]
    fn phases_are_added_and_what_lies_between_them_is_not_due() {
        let plan = plan(Shape::Noetl);
        let mut ledger = Ledger::new(&plan, &[lane(vec![3, 2, 2, 2], 0..0)]);
        assert_eq!(ledger.next_round(), 3);
        let alone = [0, 1].map(|worker| ledger.due(worker, 0));
        let later = plan.phase(3, Amount::Samples(100), None).unwrap();
        ledger.add_phase(&later, &[lane(vec![1, 1, 0, 0], 2..3)]);
        assert_eq!((ledger.samples(), ledger.next_round()), (55, 5));
        let both = [0, 1].map(|worker| ledger.due(worker, 0));
        assert_eq!(both.map(|holding| holding.samples), [20, 15]);
        assert_eq!(both[1].last_us, ledger.time_us(3));
        assert_eq!(both[1].sum_eighths - alone[1].sum_eighths, {
            ledger.content.samples(1, 3).map(|(_, eighths)| i128::from(eighths)).sum()
        });
        assert_eq!(ledger.due(2, 1).last_us, ledger.time_us(3));
        assert_eq!(ledger.last_reports(), [(ledger.name(1), ledger.time_us(3))]);
    }

    #[test]
    fn series_of_all_shapes_are_counted() {
        let check = |shape, series: u64| {
            let ledger = Ledger::new(&plan(shape), &[lane(vec![40, 0, 0, 0], 0..0)]);
            let due = ledger.due(0, 0);
            assert_eq!((due.samples, due.series), (200, series), "{shape:?}");
        };
        check(Shape::Noetl, 5);
        check(Shape::Sparse, 10);
        check(Shape::Cardinality, 5);
        // 20 % of 5 series, after each tenth of 40 reports.
        check(Shape::Churn { percent: 20, every: 10 }, 8);
    }

    #[test]
    fn a_value_under_another_series_is_found() {
        let ledger = ledger(0..0);
        let due = ledger.due(0, 0);
        let sums = |order: &[usize]| -> i128 {
            (1..)
                .zip(order)
                .map(|(place, index)| {
                    let of_metric = |round| ledger.content.samples(0, round).nth(*index).unwrap().1;
                    place * (0..3).map(of_metric).map(i128::from).sum::<i128>()
                })
                .sum()
        };
        assert_eq!(due.weighted_eighths, sums(&ledger.order));
        let mut swapped = ledger.order.clone();
        swapped.swap(0, 1);
        assert_ne!(due.weighted_eighths, sums(&swapped));
    }
}
