use super::*;
use crate::model::NodeNumber;
use crate::model::series::gauge;

fn definition(name: &str, help: &str) -> (Vec<u8>, usize) {
    gauge(name, &[("k", "v")], help, "")
}

fn group() -> GroupId {
    GroupId::new(NodeNumber::new(1).unwrap(), 1)
}

fn insert(table: &mut SeriesTable, bytes: &[u8], identity: usize, slot: u8) -> Option<usize> {
    let slot = Slot::new(slot).unwrap();
    table.insert(bytes, identity, group(), slot, &Descriptors::default())
}

fn table(names: &[&str]) -> SeriesTable {
    let mut table = SeriesTable::default();
    for (at, name) in names.iter().enumerate() {
        let (bytes, identity) = definition(name, "help");
        assert_eq!(insert(&mut table, &bytes, identity, at as u8), Some(at));
    }
    table
}

#[test]
fn a_series_is_found_in_order_out_of_order_and_by_identity() {
    let mut table = table(&["a", "b", "c"]);
    for (nth, name) in [(0, "a"), (1, "b"), (2, "c"), (0, "c"), (5, "a"), (0, "c"), (5, "a")] {
        let (bytes, identity) = definition(name, "help");
        let expected = usize::from(name.as_bytes()[0] - b'a');
        assert_eq!(table.find(nth, &bytes, identity), Found::Same(expected), "{name} at {nth}");
        assert_eq!(table.get(&bytes[..identity]), Some(expected));
    }
    let (bytes, identity) = definition("d", "help");
    assert_eq!(table.find(0, &bytes, identity), Found::Nothing);
}

#[test]
fn changed_metadata_is_told_apart_and_taken_over() {
    let mut table = table(&["a", "b"]);
    let (bytes, identity) = definition("a", "another help");
    assert_eq!(table.find(0, &bytes, identity), Found::OtherMetadata(0));
    for round in 0..50 {
        let (bytes, identity) = definition("a", &format!("help of round {round}"));
        table.change_metadata(0, &bytes, identity, &Descriptors::default());
        assert_eq!(table.find(0, &bytes, identity), Found::Same(0));
    }
    let (bytes, identity) = definition("b", "help");
    assert_eq!(table.find(1, &bytes, identity), Found::Same(1));
}

#[test]
fn values_in_common_are_kept_once_and_views_have_all_of_them() {
    let mut table = SeriesTable::default();
    let definitions: Vec<_> = (0..10)
        .map(|n| {
            let own = format!("own value {n}");
            gauge("name", &[("host", "node-1"), ("of", &own)], "help", "unit")
        })
        .collect();
    for (nth, (bytes, identity)) in definitions.iter().enumerate() {
        assert_eq!(insert(&mut table, bytes, *identity, nth as u8), Some(nth));
    }
    let once = 2 + "node-1".len() + 10 * (2 + "own value 0".len());
    assert_eq!(table.values.len(), once);
    let check = |table: &SeriesTable, definitions: &[(Vec<u8>, usize)]| {
        for (at, (bytes, _)) in definitions.iter().enumerate() {
            assert_eq!(&table.view(at).definition(), bytes);
            assert_eq!(size_of_val(&table.entries[at]), 64);
        }
    };
    check(&table, &definitions);
    table.truncate(7);
    assert_eq!(table.values.len(), once - 3 * (2 + "own value 0".len()));
    check(&table, &definitions[..7]);
    for at in [1, 3, 5] {
        table.touch(at, 1);
    }
    assert_eq!(table.keep(|series| series.seen_s > 0), 4);
    let kept: Vec<_> = [1, 3, 5].map(|at| definitions[at].clone()).into();
    check(&table, &kept);
    assert_eq!(table.get(&kept[2].0[..kept[2].1]), Some(2));
}

#[test]
fn truncating_takes_back_what_was_inserted_last() {
    let mut table = table(&["a", "b", "c"]);
    let (c, identity) = definition("c", "help");
    assert_eq!(table.find(0, &c, identity), Found::Same(2));
    table.truncate(1);
    assert_eq!((table.len(), table.find(0, &c, identity)), (1, Found::Nothing));
    assert_eq!(insert(&mut table, &c, identity, 1), Some(1));
    assert_eq!(table.find(0, &c, identity), Found::Same(1));
}

#[test]
fn keeping_some_renumbers_them_with_their_values() {
    let mut table = table(&["a", "b", "c"]);
    let last = LastValue { timestamp: Timestamp::from_micros(5).unwrap(), value: 1.5 };
    table.set_last(2, last, 77);
    assert_eq!(table.keep(|view| view.seen_s > 0), 2);
    let (c, identity) = definition("c", "help");
    assert_eq!(table.find(0, &c, identity), Found::Same(0));
    assert_eq!((table.view(0).newest, table.view(0).slot.get()), (Some(last), 2));
}

#[test]
fn a_late_sample_is_the_last_and_not_the_newest() {
    let mut table = table(&["a"]);
    let sample =
        |micros, value| LastValue { timestamp: Timestamp::from_micros(micros).unwrap(), value };
    table.set_last(0, sample(50, 1.0), 1);
    table.set_last(0, sample(20, 2.0), 2);
    assert_eq!(table.view(0).newest, Some(sample(50, 1.0)));
    assert!(table.is_repeat(0, sample(20, 2.0).timestamp, 2.0));
    table.set_last(0, sample(50, 3.0), 3);
    assert_eq!(table.view(0).newest, Some(sample(50, 3.0)), "a correction of the same time shows");
}

#[test]
fn a_repeat_is_the_same_time_and_the_same_bits() {
    let at = Timestamp::from_micros(5).unwrap();
    let nan = LastValue { timestamp: at, value: f64::NAN };
    assert!(nan.is_repeated_by(at, f64::NAN));
    let zero = LastValue { timestamp: at, value: 0.0 };
    assert!(!zero.is_repeated_by(at, -0.0));
    assert!(!zero.is_repeated_by(Timestamp::MIN, 0.0));
}
