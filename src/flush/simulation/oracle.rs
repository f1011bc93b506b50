//! What must hold at a world's end, when everything in the log is in the database.

use std::collections::HashMap;

use super::world::{Report, State, origin_of};
use crate::flush::memory_sink::Database;
use crate::model::SeriesDefinition;

/// Panics when a promise was broken.
pub(super) fn ask(reports: &[Report], database: &Database) {
    let samples = database.samples();
    let mut stored: HashMap<u64, usize> = HashMap::new();
    for (component, definition, _, value) in &samples {
        let (serial, slot) = origin_of(*value);
        let series = SeriesDefinition::parse(definition).unwrap();
        let report = &reports[serial];
        assert_eq!(component.name(), format!("c{}", report.component), "of {value}");
        assert_eq!(series.name(), format!("s{slot}"), "of {value}");
        *stored.entry(value.to_bits()).or_default() += 1;
    }
    for (serial, report) in reports.iter().enumerate() {
        let times: Vec<usize> = report
            .samples
            .iter()
            .map(|(_, value)| stored.get(&value.to_bits()).copied().unwrap_or(0))
            .collect();
        let whole = times.iter().all(|count| *count == times[0]);
        assert!(whole, "report {serial} is stored in part: {times:?}");
        match report.state {
            State::Acknowledged => assert_eq!(times[0], 1, "report {serial} was acknowledged"),
            State::Waiting | State::GivenUp => {
                assert!(times[0] <= 1, "report {serial} was given up");
            }
        }
    }
    in_order(reports, database);
}

/// Rows stand in the order of their positions, each once, and those of a component in the order
/// in which its client got its answers.
fn in_order(reports: &[Report], database: &Database) {
    let ids: Vec<i64> = database.rows.iter().map(|row| row.integers[3]).collect();
    let mut by_batch = ids.clone();
    by_batch.sort_unstable();
    by_batch.dedup();
    assert_eq!(by_batch.len(), ids.len(), "a row stands twice");
    let mut rows: Vec<_> = database.rows.iter().collect();
    rows.sort_by_key(|row| row.integers[3]);
    let mut last: HashMap<usize, usize> = HashMap::new();
    for row in rows {
        let value = row.values.iter().flatten().next().unwrap();
        let (serial, _) = origin_of(*value);
        let report = &reports[serial];
        if report.alone {
            let before = last.insert(report.component, serial);
            assert!(before.is_none_or(|before| before <= serial), "{before:?} before {serial}");
        }
    }
}
