//! What OpenMetrics has no place for, though the older format has.
//!
//! Workers push the parts of a histogram or summary one by one, and may push nonsense. Parsers
//! of OpenMetrics refuse a whole page for one counter below zero or one histogram without its
//! last bucket, so such lines are left out of it.
//!
//! Source: OpenMetrics 1.0, "Metric Types", and its strict parser in prometheus_client.

use super::cell::{Cell, Shape, Suffix};

/// Whether a counter may have the value.
pub(super) fn counts(value: f64) -> bool {
    // Not true of NaN either.
    value >= 0.0
}

fn counts_whole(value: f64) -> bool {
    counts(value) && value.fract() == 0.0
}

/// Whether a line of a summary may stand.
pub(super) fn fits_summary(cell: &Cell, bound: f64) -> bool {
    match (cell.shape, cell.suffix) {
        (Shape::Whole, Suffix::Sum) => counts(cell.value),
        (Shape::Whole, Suffix::Count) => counts_whole(cell.value),
        (Shape::Whole, _) => {
            (0.0..=1.0).contains(&bound) && (cell.value.is_nan() || counts(cell.value))
        }
        (Shape::Boundless | Shape::Misfit, _) => false,
    }
}

/// Whether the lines of one histogram, buckets first and in the order of their bounds, make a
/// whole one.
pub(super) fn is_histogram<'a>(parts: impl Iterator<Item = (&'a Cell, f64)>) -> bool {
    let mut last: Option<(f64, f64)> = None;
    let mut first_bound = f64::INFINITY;
    let (mut sum, mut count) = (None, None);
    for (cell, bound) in parts {
        match cell.suffix {
            Suffix::Bucket => {
                let rises = last.is_none_or(|(bound_before, value_before)| {
                    bound > bound_before && cell.value >= value_before
                });
                if !rises || !counts_whole(cell.value) {
                    return false;
                }
                first_bound = first_bound.min(bound);
                last = Some((bound, cell.value));
            }
            Suffix::Sum => sum = Some(cell.value),
            Suffix::Count => count = Some(cell.value),
            Suffix::None => return false,
        }
    }
    let Some((bound, all)) = last else { return false };
    let sums = match (sum, count) {
        (None, None) => true,
        (Some(sum), Some(count)) => counts(sum) && count == all && first_bound >= 0.0,
        _ => false,
    };
    bound == f64::INFINITY && sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricType;

    fn cell(suffix: Suffix, value: f64) -> Cell {
        Cell {
            member: 0,
            entry: 0,
            name: 0,
            labels_start: 0,
            labels_bytes: 0,
            group: 0,
            seen_s: 1,
            value,
            metric_type: MetricType::Histogram,
            has_bucket: false,
            has_quantile: false,
            suffix,
            shape: Shape::Whole,
        }
    }

    #[test]
    fn a_histogram_is_whole_or_left_out() {
        let check = |parts: &[(Suffix, f64, f64)], expected: bool| {
            let cells: Vec<_> = parts
                .iter()
                .map(|(suffix, bound, value)| (cell(*suffix, *value), *bound))
                .collect();
            let whole = is_histogram(cells.iter().map(|(cell, bound)| (cell, *bound)));
            assert_eq!(whole, expected, "{parts:?}");
        };
        let (one, all) = ((Suffix::Bucket, 1.0, 3.0), (Suffix::Bucket, f64::INFINITY, 5.0));
        let sum = |value| (Suffix::Sum, f64::NAN, value);
        let count = |value| (Suffix::Count, f64::NAN, value);
        check(&[one, all, sum(1.5), count(5.0)], true);
        check(&[all], true);
        check(&[one, all], true);
        check(&[], false);
        check(&[one, sum(1.5), count(3.0)], false);
        check(&[one, all, count(5.0)], false);
        check(&[one, all, sum(1.5)], false);
        check(&[one, all, sum(1.5), count(4.0)], false);
        check(&[one, all, sum(f64::NAN), count(5.0)], false);
        check(&[one, all, sum(-1.5), count(5.0)], false);
        check(&[one, one, all], false);
        check(&[(Suffix::Bucket, 0.5, 4.0), one, all], false);
        check(&[(Suffix::Bucket, 0.5, 0.5), one, all], false);
        check(&[(Suffix::Bucket, 0.5, f64::NAN), one, all], false);
        check(&[(Suffix::Bucket, -1.0, 0.0), one, all], true);
        check(&[(Suffix::Bucket, -1.0, 0.0), one, all, sum(1.0), count(5.0)], false);
        check(&[(Suffix::Bucket, f64::INFINITY, f64::INFINITY)], false);
    }

    #[test]
    fn lines_of_a_summary_stand_for_themselves() {
        let check = |suffix, bound, value, expected| {
            assert_eq!(fits_summary(&cell(suffix, value), bound), expected, "{suffix:?} {value}");
        };
        check(Suffix::None, 0.5, 1.5, true);
        check(Suffix::None, 0.5, f64::NAN, true);
        check(Suffix::None, 0.5, -1.0, false);
        check(Suffix::None, 1.5, 1.0, false);
        check(Suffix::Sum, f64::NAN, 1.5, true);
        check(Suffix::Sum, f64::NAN, -1.5, false);
        check(Suffix::Count, f64::NAN, 2.0, true);
        check(Suffix::Count, f64::NAN, 2.5, false);
        let boundless = Cell { shape: Shape::Boundless, ..cell(Suffix::None, 1.0) };
        assert!(!fits_summary(&boundless, f64::NAN));
    }
}
