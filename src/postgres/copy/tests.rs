//! Tests of [`super`] by a decoder that shares nothing with the encoder.

use super::*;
use crate::model::{LogPosition, NodeNumber};

/// One row as the decoder reads it.
#[derive(Debug, PartialEq)]
struct Row {
    integers: [i64; 4],
    values: Vec<Option<f64>>,
    offsets: Option<Vec<Option<i32>>>,
}

/// Reads what the manual of COPY describes, field by field.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the data go on");
        self.0 = rest;
        *head
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn rows(mut self) -> Vec<Row> {
        assert_eq!(&self.take::<11>(), b"PGCOPY\n\xff\r\n\0");
        assert_eq!((self.int(), self.int()), (0, 0), "flags and extension");
        let mut rows = Vec::new();
        loop {
            match i16::from_be_bytes(self.take()) {
                -1 => break,
                columns => assert_eq!(columns, 6),
            }
            let integers = [(); 4].map(|()| {
                assert_eq!(self.int(), 8);
                i64::from_be_bytes(self.take())
            });
            let values = self.array(701, |d| f64::from_be_bytes(d.take())).expect("not NULL");
            let offsets = self.array(23, Self::int);
            rows.push(Row { integers, values, offsets });
        }
        assert_eq!(self.0, b"", "nothing follows the trailer");
        rows
    }

    fn array<T>(&mut self, oid: i32, element: fn(&mut Self) -> T) -> Option<Vec<Option<T>>> {
        let bytes = usize::try_from(self.int()).ok()?;
        let before = self.0.len();
        let (dimensions, has_null) = (self.int(), self.int());
        assert_eq!(self.int(), oid);
        let mut elements = Vec::new();
        if dimensions > 0 {
            assert_eq!(dimensions, 1);
            let length = self.int();
            assert_eq!(self.int(), 1, "lower bound");
            for _ in 0..length {
                let size = self.int();
                elements.push((size >= 0).then(|| {
                    assert_eq!(usize::try_from(size), Ok(size_of::<T>()));
                    element(self)
                }));
            }
        }
        assert_eq!(elements.iter().any(Option::is_none), has_null == 1);
        assert_eq!(before - self.0.len(), bytes, "the array's own length");
        Some(elements)
    }
}

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
    Decoder(buffer.bytes()).rows()
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
fn a_cleared_buffer_starts_again() {
    let mut buffer = CopyBuffer::new();
    assert!(buffer.is_empty());
    for position in 0..100 {
        buffer.push(head(position), 0b11, [1.0, 2.0], NO_OFFSETS);
    }
    assert_eq!((buffer.rows(), buffer.samples()), (100, 200));
    buffer.finish();
    buffer.finish();
    let first = buffer.bytes().to_vec();
    assert_eq!(Decoder(&first).rows().len(), 100);
    buffer.clear();
    assert!(buffer.is_empty());
    for position in 0..100 {
        buffer.push(head(position), 0b11, [1.0, 2.0], NO_OFFSETS);
    }
    buffer.finish();
    assert_eq!(buffer.bytes(), first);
}

#[test]
fn a_row_is_never_longer_than_what_is_reserved() {
    let mut buffer = CopyBuffer::new();
    buffer.push(head(1), u64::MAX, [0.0; 64], Some([0; 64]));
    assert_eq!(buffer.bytes().len(), HEADER.len() + ROW_BYTES_MAX);
}
