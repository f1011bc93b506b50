//! Tests of [`super`] by a decoder that shares nothing with the encoder.

use super::decoder::{Decoder, Row};
use super::*;
use crate::model::{LogPosition, NodeNumber};

fn head(position: u64) -> RowHead {
    let node = NodeNumber::new(3).unwrap();
    RowHead {
        group: GroupId::new(node, 5),
        ts: Timestamp::from_micros(1_704_110_400_000_001).unwrap(),
        received_at: Timestamp::from_micros(946_684_799_999_999).unwrap(),
        report: ReportId::new(node, LogPosition::new(position)),
    }
}

fn decoded(buffer: &mut CopyBuffer) -> Vec<Row> {
    buffer.finish();
    Decoder::new(&buffer.to_bytes()).rows()
}

#[test]
fn slots_stand_where_their_bits_are() {
    let check = |present: u64, values: &[f64], expected: &[Option<f64>]| {
        let mut buffer = CopyBuffer::new();
        buffer.push(head(9), present, values.iter().copied(), NO_OFFSETS);
        assert_eq!(buffer.samples(), values.len() as u64);
        let rows = decoded(&mut buffer);
        assert_eq!(rows[0].values, expected, "{present:b}");
        assert_eq!(rows[0].offsets, None);
    };
    check(0b1, &[1.5], &[Some(1.5)]);
    check(0b111, &[1.0, 2.0, 3.0], &[Some(1.0), Some(2.0), Some(3.0)]);
    check(0b1010, &[1.0, 2.0], &[None, Some(1.0), None, Some(2.0)]);
    check(0, &[], &[]);
    let all: Vec<f64> = (0..64).map(f64::from).collect();
    check(u64::MAX, &all, &all.iter().copied().map(Some).collect::<Vec<_>>());
    let mut last = vec![None; 64];
    last[63] = Some(f64::INFINITY);
    check(1 << 63, &[f64::INFINITY], &last);
}

#[test]
fn integers_and_times_are_postgres_own() {
    let mut buffer = CopyBuffer::new();
    buffer.push(head(9), 1, [0.0], NO_OFFSETS);
    let noon_2024 = 757_425_600_000_001;
    assert_eq!(decoded(&mut buffer)[0].integers, [(3 << 45) + 5, noon_2024, -1, (3 << 45) + 9]);
}

#[test]
fn offsets_stand_beside_their_values() {
    let mut buffer = CopyBuffer::new();
    buffer.push(head(1), 0b101, [f64::NEG_INFINITY, -0.0], Some([0, 999_999]));
    let rows = decoded(&mut buffer);
    assert_eq!(rows[0].values, [Some(f64::NEG_INFINITY), None, Some(0.0)]);
    assert_eq!(rows[0].offsets, Some(vec![Some(0), None, Some(999_999)]));
}

#[test]
fn nan_keeps_its_bits() {
    let mut buffer = CopyBuffer::new();
    buffer.push(head(1), 1, [f64::NAN], NO_OFFSETS);
    let rows = decoded(&mut buffer);
    assert_eq!(rows[0].values[0].map(f64::to_bits), Some(f64::NAN.to_bits()));
}

#[test]
fn finished_rows_stand_by_group_and_in_their_order_within_one() {
    let check = |groups: &[u64], expected: &[(i64, i64)]| {
        let mut buffer = CopyBuffer::new();
        assert!(buffer.is_empty());
        for (position, &group) in (0..).zip(groups) {
            let group = GroupId::new(NodeNumber::new(0).unwrap(), group);
            // Rows of different lengths.
            let present = (1 << (position % 3 + 1)) - 1;
            buffer.push(RowHead { group, ..head(position) }, present, [1.0, 2.0, 3.0], NO_OFFSETS);
        }
        assert_eq!(buffer.rows(), groups.len() as u64);
        buffer.finish();
        let bytes = buffer.to_bytes();
        buffer.finish();
        assert_eq!(buffer.to_bytes(), bytes, "a second time changes nothing");
        let rows = Decoder::new(&bytes).rows();
        let found: Vec<_> =
            rows.iter().map(|row| (row.integers[0], row.integers[3] & 0xFFFF)).collect();
        assert_eq!(found, expected, "{groups:?}");
        for row in &rows {
            let position = row.integers[3] & 0xFFFF;
            assert_eq!(i64::try_from(row.values.len()), Ok(position % 3 + 1));
        }
    };
    check(&[], &[]);
    check(&[7], &[(7, 0)]);
    check(&[1, 1, 2], &[(1, 0), (1, 1), (2, 2)]);
    check(&[2, 1, 2, 1, 3], &[(1, 1), (1, 3), (2, 0), (2, 2), (3, 4)]);
}

#[test]
fn a_row_is_never_longer_than_what_is_reserved() {
    let mut buffer = CopyBuffer::new();
    buffer.push(head(1), u64::MAX, [0.0; 64], Some([0; 64]));
    buffer.finish();
    assert_eq!(buffer.to_bytes().len(), HEADER.len() + ROW_BYTES_MAX + TRAILER.len());
}

#[test]
fn the_pieces_of_many_rows_are_all_of_them_and_short() {
    let mut buffer = CopyBuffer::new();
    for position in 0..3_000 {
        let group = GroupId::new(NodeNumber::new(0).unwrap(), position * 7 % 100);
        buffer.push(RowHead { group, ..head(position) }, u64::MAX, [1.0; 64], NO_OFFSETS);
    }
    buffer.finish();
    let (mut chunks, mut lengths) = (buffer.chunks(), Vec::new());
    while let Some(chunk) = chunks.next() {
        lengths.push(chunk.len());
    }
    let (last, others) = lengths.split_last().unwrap();
    let expected = CHUNK_BYTES..CHUNK_BYTES + ROW_BYTES_MAX;
    assert!(others.iter().all(|length| expected.contains(length)), "{lengths:?}");
    assert!((1..expected.end + TRAILER.len()).contains(last) && others.len() > 20, "{lengths:?}");
    let bytes = buffer.to_bytes();
    assert_eq!(bytes.len(), lengths.iter().sum::<usize>());
    let rows = Decoder::new(&bytes).rows();
    assert_eq!(rows.len(), 3_000);
    assert!(rows.is_sorted_by_key(|row| (row.integers[0], row.integers[3])));
}

#[test]
fn a_cleared_buffer_is_as_good_as_new_and_gives_back_what_is_far_too_much() {
    let fill = |buffer: &mut CopyBuffer, rows| {
        for position in 0..rows {
            buffer.push(head(position), 0b11, [1.0, 2.0], NO_OFFSETS);
        }
        buffer.finish();
    };
    let (mut used, mut new) = (CopyBuffer::new(), CopyBuffer::new());
    fill(&mut used, 1_000);
    let capacity = used.bytes.capacity();
    used.clear();
    assert!(used.is_empty() && used.samples() == 0);
    assert_eq!(used.bytes.capacity(), capacity, "as much will be needed again");
    fill(&mut used, 10);
    fill(&mut new, 10);
    assert_eq!((used.to_bytes(), used.samples()), (new.to_bytes(), 20));
    used.clear();
    assert!(used.bytes.capacity() < capacity / 2, "{} of {capacity}", used.bytes.capacity());
}
