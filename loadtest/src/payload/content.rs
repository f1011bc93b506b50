//! What a worker reports, and what must be stored of it: which series a report holds, with which
//! labels and values. Everything follows from seed, worker and the report's number.

use crate::payload::catalogue::{self, Metric, Numbering};
use crate::payload::value::{mix, random_bits};
use crate::plan::{PlanRequest, Shape};

/// Sparse reports hold one of so many selections of the series.
const SELECTIONS: u32 = 16;

/// The content of all reports of a run.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    shape: Shape,
    seed: u64,
    reported: usize,
    metrics: Vec<Metric>,
}

/// A series of one worker: the index of its metric, and how often it was replaced before.
pub(crate) type SeriesKey = (usize, u64);

impl Content {
    /// The content of a run.
    pub(crate) fn new(request: &PlanRequest) -> Self {
        let count = request.metrics;
        let metrics = match request.shape {
            Shape::Noetl => catalogue::catalogue(count),
            Shape::Sparse => catalogue::catalogue(count * 2),
            Shape::Churn { .. } => catalogue::replaceable(count),
            Shape::Cardinality => catalogue::many_labels(count),
        };
        Self { shape: request.shape, seed: request.seed, reported: count as usize, metrics }
    }

    /// All metrics that a worker ever reports.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// How many selections of metrics there are.
    pub(crate) fn selections(&self) -> u32 {
        if self.shape == Shape::Sparse { SELECTIONS } else { 1 }
    }

    /// Which selection a report holds.
    pub(crate) fn selection(&self, worker: u32, round: u64) -> u32 {
        if self.shape == Shape::Sparse {
            (mix((u64::from(worker) << 40) ^ round) >> 32) as u32 % SELECTIONS
        } else {
            0
        }
    }

    /// The metrics of a selection, by index and rising. A sparse one has one of each pair.
    pub(crate) fn selected(&self, selection: u32) -> impl Iterator<Item = usize> {
        let is_sparse = self.shape == Shape::Sparse;
        (0..self.reported).map(move |slot| {
            if is_sparse {
                let bits = mix((u64::from(selection) << 32) | slot as u64);
                slot * 2 + (bits & 1) as usize
            } else {
                slot
            }
        })
    }

    /// Index and value, in eighths, of each metric of a report, in their order.
    pub(crate) fn samples(&self, worker: u32, round: u64) -> impl Iterator<Item = (usize, u64)> {
        self.selected(self.selection(worker, round))
            .zip(random_bits(self.seed, worker, round))
            .map(move |(index, random)| (index, self.metrics[index].value.eighths(round, random)))
    }

    /// The number in a label of a metric.
    pub(crate) fn number(
        &self,
        numbering: Numbering,
        worker: u32,
        round: u64,
        index: usize,
    ) -> u64 {
        let task = u64::from(worker) * self.reported as u64 + index as u64;
        match numbering {
            Numbering::Generation => self.generation(index, round),
            Numbering::Task => task,
            Numbering::Tenant => mix(task) % 1_000,
        }
    }

    /// The series of each sample of a report.
    pub(crate) fn series(&self, worker: u32, round: u64) -> impl Iterator<Item = SeriesKey> {
        self.selected(self.selection(worker, round))
            .map(move |index| (index, self.generation(index, round)))
    }

    /// All metrics in the order of their series' names and labels in the database: of labels as
    /// `jsonb` shows them, shorter names first. It is the same for all workers.
    pub(crate) fn stored_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.metrics.len()).collect();
        order.sort_by_cached_key(|index| {
            let metric = &self.metrics[*index];
            let mut labels: Vec<(usize, &str, String)> = metric
                .labels
                .iter()
                .map(|(name, value)| {
                    let number = value.number.map(|n| self.number(n, 0, 0, *index));
                    let digits = number.map_or_else(String::new, |n| format!("{n:08}"));
                    (name.len(), *name, format!("{}{digits}", value.text))
                })
                .collect();
            labels.sort_unstable();
            (metric.name, labels)
        });
        order
    }

    /// How often a metric's series was replaced before report `round`. In turn, one after the
    /// other: the share that is due is made of whole series over the course of time.
    fn generation(&self, index: usize, round: u64) -> u64 {
        let Shape::Churn { percent, every } = self.shape else { return 0 };
        let metrics = self.reported as u64;
        let replaced = round / u64::from(every) * metrics * u64::from(percent) / 100;
        (replaced + metrics - 1 - index as u64) / metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Amount;
    use std::collections::HashSet;

    fn content(shape: Shape) -> Content {
        Content::new(&PlanRequest {
            metrics: 20,
            shape,
            ..PlanRequest::closed(1, Amount::Samples(1))
        })
    }

    #[test]
    fn values_depend_on_seed_worker_and_round_only() {
        let request = PlanRequest::closed(10, Amount::Samples(1));
        let values = |seed, worker, round| -> Vec<(usize, u64)> {
            Content::new(&PlanRequest { seed, ..request }).samples(worker, round).collect()
        };
        assert_eq!(values(1, 2, 3), values(1, 2, 3));
        assert_ne!(values(1, 2, 3), values(2, 2, 3));
        assert_ne!(values(1, 2, 3), values(1, 3, 3));
        assert_ne!(values(1, 2, 3), values(1, 2, 4));
    }

    #[test]
    fn sparse_reports_hold_a_changing_half() {
        let content = content(Shape::Sparse);
        assert_eq!(content.metrics().len(), 40);
        let reports: HashSet<Vec<usize>> = (0..50)
            .map(|round| content.samples(7, round).map(|(index, _)| index).collect())
            .collect();
        assert!(reports.len() > 8, "{} different reports", reports.len());
        assert!(reports.iter().all(|report| report.len() == 20 && report.is_sorted()));
        let all: HashSet<usize> = reports.into_iter().flatten().collect();
        assert_eq!(all.len(), 40);
    }

    #[test]
    fn churn_replaces_its_share_in_turn() {
        let check = |percent, every, rounds: u64, expected: usize| {
            let content = content(Shape::Churn { percent, every });
            let all: HashSet<SeriesKey> = (0..rounds)
                .flat_map(|round| content.series(3, round).collect::<Vec<_>>())
                .collect();
            assert_eq!(all.len(), expected, "{percent} % every {every}");
        };
        check(10, 5, 5, 20);
        check(10, 5, 6, 22);
        check(10, 5, 51, 40);
        check(100, 1, 10, 200);
        // Less than one series at a time is one after some time.
        check(1, 1, 5, 20);
        check(1, 1, 6, 21);
    }

    #[test]
    fn every_label_of_high_cardinality_is_seen_once() {
        let content = content(Shape::Cardinality);
        let tasks: HashSet<u64> = (0..50)
            .flat_map(|worker| (0..20).map(move |index| (worker, index)))
            .map(|(worker, index)| content.number(Numbering::Task, worker, 9, index))
            .collect();
        assert_eq!(tasks.len(), 1_000);
        let names: HashSet<&str> = content.metrics().iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn the_stored_order_is_by_name_and_then_by_short_labels() {
        let content = content(Shape::Noetl);
        let order = content.stored_order();
        let names: Vec<&str> = order.iter().map(|index| content.metrics()[*index].name).collect();
        assert!(names.is_sorted());
        let phases: Vec<&str> = order
            .iter()
            .filter_map(|index| content.metrics()[*index].labels.get(1))
            .map(|(_, value)| value.text.as_str())
            .collect();
        assert!(phases.is_sorted() && phases.len() == 8, "{phases:?}");
    }
}
