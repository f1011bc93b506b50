//! What is encoded is decoded, and nothing else is.

use proptest::prelude::*;

use super::*;
use crate::model::{LogPosition, NodeNumber};

fn group() -> GroupId {
    GroupId::new(NodeNumber::new(3).unwrap(), 17)
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn head(present: u64) -> RowHead {
    RowHead { group: group(), timestamp: time(5), received_at: time(6), present }
}

fn component() -> Component<'static> {
    Component {
        runtime_id: RuntimeId::from_raw(-4),
        component_type: "worker_pool",
        name: "knoten-ü",
        first_seen: time(1),
    }
}

fn series() -> SeriesSlot<'static> {
    SeriesSlot {
        group: group(),
        slot: Slot::new(63).unwrap(),
        component_type: "worker_pool",
        name: "knoten-ü",
        definition: b"definition",
    }
}

fn key() -> Key<'static> {
    Key { received_at: time(7), key: b"retry-1", body_digest: [9; 16], answer: b"{}" }
}

fn hole() -> Hole {
    Hole { given_up_at: time(8), from: LogPosition::new(5), to: LogPosition::new(9) }
}

/// One entry of each kind.
fn sample_payload() -> Vec<u8> {
    let mut payload = Vec::new();
    encode_component(&mut payload, &component());
    encode_series(&mut payload, &series());
    encode_row(&mut payload, &head(0b101), &[1.5, f64::INFINITY], None);
    encode_row(&mut payload, &head(1 << 63 | 1), &[0.0, -0.0], Some(&[0, 999_999]));
    encode_key(&mut payload, &key());
    encode_hole(&mut payload, &hole());
    payload
}

#[test]
fn every_entry_is_read_as_it_was_written() {
    let payload = sample_payload();
    let entries: Vec<_> = Entries::new(&payload).collect::<Result<_, _>>().unwrap();
    let [a, b, Entry::Row(plain), Entry::Row(with_offsets), e, f] = entries[..] else {
        panic!("six entries expected: {entries:?}");
    };
    assert_eq!(a, Entry::Component(component()));
    assert_eq!(b, Entry::Series(series()));
    assert_eq!(e, Entry::Key(key()));
    assert_eq!(f, Entry::Hole(hole()));
    assert_eq!(plain.head, head(0b101));
    assert_eq!(plain.slots().map(Slot::get).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(plain.values().collect::<Vec<_>>(), [1.5, f64::INFINITY]);
    assert!(plain.offsets_us().is_none());
    assert_eq!(with_offsets.slots().map(Slot::get).collect::<Vec<_>>(), [0, 63]);
    assert_eq!(with_offsets.offsets_us().unwrap().collect::<Vec<_>>(), [0, 999_999]);
}

#[test]
fn a_payload_that_ends_early_is_short_unless_cut_between_entries() {
    let payload = sample_payload();
    let mut boundaries = vec![0];
    let mut entries = Entries::new(&payload);
    while entries.next().is_some() {
        boundaries.push(payload.len() - entries.rest.len());
    }
    for end in 0..payload.len() {
        let last = Entries::new(&payload[..end]).last();
        let start = boundaries.iter().copied().rfind(|start| *start <= end).unwrap();
        if start == end {
            assert!(last.is_none_or(|last| last.is_ok()), "cut at {end}");
        } else {
            let short = EntryError { offset: start, flaw: EntryFlaw::Short };
            assert_eq!(last, Some(Err(short)), "cut at {end}");
        }
    }
}

#[test]
fn a_long_loss_is_several_holes_and_an_empty_one_is_none() {
    let at = LogPosition::new;
    let split = |from, to| {
        Hole::split(time(8), at(from), at(to))
            .map(|hole| (hole.from.get(), u64::from(hole.positions())))
            .collect::<Vec<_>>()
    };
    let most = u64::from(u32::MAX);
    assert_eq!(split(5, 5), []);
    assert_eq!(split(5, 6), [(5, 1)]);
    assert_eq!(split(5, 5 + most), [(5, most)]);
    assert_eq!(split(5, 7 + 2 * most), [(5, most), (5 + most, most), (5 + 2 * most, 2)]);
    for to in [5, 4, 6 + most] {
        let mut payload = Vec::new();
        encode_hole(&mut payload, &Hole { given_up_at: time(8), from: at(5), to: at(to) });
        let range = EntryError { offset: 0, flaw: EntryFlaw::Range };
        assert_eq!(Entries::new(&payload).next(), Some(Err(range)), "to {to}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let check = |at: usize, bytes: &[u8], flaw: EntryFlaw| {
        let mut payload = Vec::new();
        encode_row(&mut payload, &head(1), &[1.0], Some(&[5]));
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        let first = Entries::new(&payload).next();
        assert_eq!(first, Some(Err(EntryError { offset: 0, flaw })), "at {at}");
    };
    check(0, &[0], EntryFlaw::Tag(0));
    check(0, &[6], EntryFlaw::Tag(6));
    check(1, &(-1_i64).to_le_bytes(), EntryFlaw::Range);
    check(9, &(-1_i64).to_le_bytes(), EntryFlaw::Range);
    check(17, &i64::MAX.to_le_bytes(), EntryFlaw::Range);
    check(25, &0_u64.to_le_bytes(), EntryFlaw::Range);
    check(25, &3_u64.to_le_bytes(), EntryFlaw::Short);
    check(41, &ROW_OFFSET_US_END.to_le_bytes(), EntryFlaw::Range);

    let mut payload = Vec::new();
    encode_series(&mut payload, &series());
    payload[9] = 64;
    let range = EntryError { offset: 0, flaw: EntryFlaw::Range };
    assert_eq!(Entries::new(&payload).next(), Some(Err(range)));
    payload[9] = 63;
    payload[11] = 0xff;
    let text = EntryError { offset: 0, flaw: EntryFlaw::Text };
    assert_eq!(Entries::new(&payload).next(), Some(Err(text)));

    let mut payload = Vec::new();
    encode_key(&mut payload, &key());
    payload[25] = 129;
    assert_eq!(Entries::new(&payload).next(), Some(Err(range)));
}

proptest! {
    #[test]
    fn any_row_is_read_as_it_was_written(
        present in 1_u64..,
        seed in any::<u64>(),
        with_offsets in any::<bool>(),
    ) {
        let count = present.count_ones() as usize;
        let values: Vec<f64> =
            (0..count as u64).map(|n| f64::from_bits(seed.rotate_left(n as u32) ^ n)).collect();
        let offsets: Vec<u32> = (0..count as u32).map(|n| n * 15_000).collect();
        let mut payload = Vec::new();
        encode_row(&mut payload, &head(present), &values, with_offsets.then_some(&offsets[..]));
        let Some(Ok(Entry::Row(row))) = Entries::new(&payload).next() else {
            panic!("a row expected");
        };
        let bits = |values: &mut dyn Iterator<Item = f64>| values.map(f64::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(bits(&mut row.values()), bits(&mut values.iter().copied()));
        let mask = row.slots().fold(0_u64, |mask, slot| mask | 1 << slot.get());
        prop_assert_eq!(mask, present);
        let read = row.offsets_us().map(Iterator::collect::<Vec<_>>);
        prop_assert_eq!(read, with_offsets.then_some(offsets));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused_without_panic(
        mut payload in proptest::collection::vec(any::<u8>(), 0..300),
        tag in 0_u8..7,
    ) {
        if let Some(first) = payload.first_mut() {
            *first = tag;
        }
        let bytes = payload.len();
        let entries = Entries::new(&payload);
        let mut errors = 0;
        for entry in entries {
            match entry {
                Ok(Entry::Row(row)) => prop_assert_eq!(row.slots().count(), row.values().len()),
                Ok(_) => {}
                Err(error) => {
                    prop_assert!(error.offset < bytes);
                    errors += 1;
                }
            }
        }
        prop_assert!(errors <= 1);
    }
}
