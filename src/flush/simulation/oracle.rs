//! What must hold at a world's end, when everything in the log is in the database.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::clients::{Clients, Report, State, origin_of};
use crate::flush::memory_sink::Database;
use crate::log::entry::{Entries, Entry};
use crate::model::SeriesDefinition;

/// Microseconds from 1970 to 2000, from which PostgreSQL counts.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Where the samples of a report are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places {
    stored: usize,
    aside: usize,
}

/// Panics when a promise was broken.
pub(super) fn ask(clients: &Clients, database: &Database) {
    let reports = &clients.reports;
    let mut places: HashMap<u64, Places> = HashMap::new();
    for (component, definition, at, value) in database.samples() {
        let (serial, slot) = origin_of(value);
        let series = SeriesDefinition::parse(&definition).unwrap();
        let report = &reports[serial];
        assert_eq!(component.name(), format!("c{}", report.component), "of {value}");
        assert_eq!(series.name(), format!("s{slot}"), "of {value}");
        assert_eq!(at + POSTGRES_EPOCH, report.timestamp, "of {value}");
        places.entry(value.to_bits()).or_default().stored += 1;
    }
    for record in &database.aside {
        for entry in Entries::new(&record.payload) {
            let Entry::Row(row) = entry.unwrap() else { continue };
            for value in row.values() {
                places.entry(value.to_bits()).or_default().aside += 1;
            }
        }
    }
    for (serial, report) in reports.iter().enumerate() {
        check(serial, report, &places);
    }
    in_order(reports, database);
}

fn check(serial: usize, report: &Report, places: &HashMap<u64, Places>) {
    let place = |value: f64| places.get(&value.to_bits()).copied().unwrap_or_default();
    let all: Vec<Places> = report.samples.iter().map(|(_, value)| place(*value)).collect();
    assert!(all.iter().all(|one| *one == all[0]), "report {serial} is stored in part: {all:?}");
    let Places { stored, aside } = all[0];
    let (right, wrong) = if report.poisoned { (aside, stored) } else { (stored, aside) };
    assert_eq!(wrong, 0, "report {serial}, poisoned {}: {all:?}", report.poisoned);
    match report.state {
        State::Acknowledged => assert_eq!(right, 1, "report {serial} was acknowledged"),
        State::GivenUp if report.may_be_stored => {
            assert!(right <= 1, "report {serial} was given up and stands {right} times");
        }
        State::GivenUp => assert_eq!(right, 0, "report {serial} was refused"),
        State::Waiting | State::Asking => panic!("report {serial} has no answer"),
    }
}

/// Ids are given once. The rows of a group come in their order, and whatever was acknowledged
/// before another report of its component was sent stands before it.
fn in_order(reports: &[Report], database: &Database) {
    let ids: Vec<i64> = database.rows.iter().map(|row| row.integers[3]).collect();
    let unique: HashSet<i64> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an id stands twice");
    for aside in &database.aside {
        let (from, to) = (aside.from.position.get(), aside.to.position.get());
        let range = from.cast_signed()..to.cast_signed();
        assert!(!ids.iter().any(|id| range.contains(id)), "a record aside is stored as well");
    }
    let mut last_of_group: HashMap<(i64, i64), i64> = HashMap::new();
    let mut of_component: BTreeMap<usize, Vec<(i64, &Report)>> = BTreeMap::new();
    for row in &database.rows {
        let [group, at, _, id] = row.integers;
        // A batch goes partition by partition.
        let day = at.div_euclid(86_400_000_000);
        let before = last_of_group.insert((group, day), id);
        assert!(before.is_none_or(|before| before < id), "group {group}: {before:?}, then {id}");
        let value = row.values.iter().flatten().next().unwrap();
        let report = &reports[origin_of(*value).0];
        of_component.entry(report.component).or_default().push((id, report));
    }
    for rows in of_component.values_mut() {
        rows.sort_by_key(|(id, _)| *id);
        for (nth, (id, report)) in rows.iter().enumerate() {
            for (later_id, later) in &rows[nth + 1..] {
                let overtaken = later.acknowledged.is_some_and(|turn| turn < report.first_sent);
                assert!(!overtaken, "{later_id} was acknowledged before {id} was sent");
            }
        }
    }
}
