//! A torn tail is cut, damage is refused with its place; neither is taken for the other.

use proptest::prelude::*;

use super::*;
use crate::log::record::{HEADER_BYTES, frame_bytes};
use crate::log::segment::segment_name;

/// A log of one segment whose records were each synced alone, and where each starts.
fn log_of(payloads: &[&[u8]]) -> (MemoryDisk, Vec<Read>, Vec<u64>) {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let mut offset = RECORDS_START;
    let mut offsets = Vec::new();
    let written = payloads
        .iter()
        .map(|payload| {
            offsets.push(offset);
            offset += frame_bytes(payload.len()) as u64;
            append_synced(&log, payload, 2)
        })
        .collect();
    log.close().unwrap();
    (disk, written, offsets)
}

fn copy(disk: &MemoryDisk) -> MemoryDisk {
    disk.crash(&mut |_| true)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_log_goes_on() {
    let (disk, written, offsets) = log_of(&[b"one", b"two", b"the record that is torn"]);
    let last = offsets[2] as usize;
    let frame = frame_bytes(written[2].2.len());
    let name = segment_name(0);
    for torn_at in last..last + frame {
        for reversed in [false, true] {
            let disk = copy(&disk);
            // Either the start of the record arrived, or its end.
            let lost = match reversed {
                false => torn_at..last + frame,
                true => last..torn_at + 1,
            };
            let whole = disk.bytes(&name);
            disk.damage(&name, |bytes| bytes[lost.clone()].fill(0));
            if disk.bytes(&name) == whole {
                // What was lost was zero anyway, such as padding.
                continue;
            }
            let (log, read) = open(&disk);
            assert_eq!(read, written[..2], "torn at {torn_at}");
            let more = append_synced(&log, b"x", 1);
            assert_eq!(more.0, 4);
            log.close().unwrap();
            let expected = [&written[..2], &[more]].concat();
            assert_eq!(open(&copy(&disk)).1, expected, "torn at {torn_at}");
        }
    }
}

#[test]
fn a_bad_record_before_one_that_saw_it_synced_is_damage() {
    let (disk, written, offsets) = log_of(&[b"one", b"two", b"three"]);
    for record in 0..2 {
        let start = offsets[record] as usize;
        for at in start..start + HEADER_BYTES + written[record].2.len() {
            let disk = copy(&disk);
            disk.damage(&segment_name(0), |bytes| bytes[at] ^= 0x10);
            let refused = try_open(&disk).err();
            let Some(OpenError::Corrupt { segment: 0, offset, damage: Damage::Record(_) }) =
                refused
            else {
                panic!("byte {at}: {refused:?}");
            };
            assert_eq!(offset, offsets[record], "byte {at}");
        }
    }
}

#[test]
fn unsynced_records_behind_a_lost_one_are_neither_read_nor_damage() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let first = append_synced(&log, b"first", 1);
    disk.permit_syncs(Some(0));
    drop(append(&log, b"alone", 1));
    wait_until("the writer syncs", || disk.holds_a_sync());
    // These four go into one batch; its second sector arrives, its first does not.
    for n in 0..4 {
        drop(append(&log, &[n; 400], 1));
    }
    disk.permit_syncs(Some(1));
    wait_until("the batch is written", || {
        disk.holds_a_sync() && log.progress().synced() == LogPosition::new(2)
    });
    let crashed = disk.crash(&mut |sector| sector != RECORDS_START as usize / 512);
    disk.permit_syncs(None);
    log.close().unwrap();

    let (log, read) = open(&crashed);
    assert_eq!(read, [first, (1, 1, b"alone".to_vec())]);
    // Records as long as the lost ones: were a stale one left behind, it would be read.
    let more = append_synced(&log, &[9; 400], 1);
    log.close().unwrap();
    assert_eq!(open(&crashed).1.last(), Some(&more));
    assert_eq!(open(&crashed).1.len(), 3);
}

#[test]
fn any_bad_byte_in_an_older_segment_is_damage() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let payload = [7; 5000];
    for _ in 0..4 {
        append_synced(&log, &payload, 1);
    }
    log.close().unwrap();
    let record = frame_bytes(payload.len()) as u64;
    let check = |at: u64, damaged_at: u64| {
        let disk = copy(&disk);
        disk.damage(&segment_name(0), |bytes| bytes[at as usize] ^= 1);
        let refused = try_open(&disk).err();
        let Some(OpenError::Corrupt { segment: 0, offset, .. }) = refused else {
            panic!("byte {at}: {refused:?}");
        };
        assert_eq!(offset, damaged_at, "byte {at}");
    };
    check(3, 0);
    check(48, 0);
    check(RECORDS_START, RECORDS_START);
    check(RECORDS_START + 4000, RECORDS_START);
    check(RECORDS_START + record, RECORDS_START + record);
    // The last record of the segment, behind which nothing stands in the file.
    check(RECORDS_START + 2 * record - 1, RECORDS_START + record);
    let message = {
        let disk = copy(&disk);
        disk.damage(&segment_name(0), |bytes| bytes[5000] ^= 1);
        try_open(&disk).err().unwrap().to_string()
    };
    assert!(message.contains("0000000000000000.log is damaged at byte 4096"), "{message}");
}

#[test]
fn a_hole_and_a_stranger_among_the_segments_are_refused() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    for _ in 0..5 {
        append_synced(&log, &[7; 5000], 1);
    }
    log.close().unwrap();
    let hole = copy(&disk);
    hole.remove(&segment_name(1)).unwrap();
    assert!(matches!(try_open(&hole).err(), Some(OpenError::Missing { segment: 1 })));

    let other = MemoryDisk::default();
    open(&other).0.close().unwrap();
    let stranger = other.bytes(&segment_name(0));
    disk.damage(&segment_name(0), |bytes| bytes.clone_from(&stranger));
    assert!(matches!(try_open(&disk).err(), Some(OpenError::Foreign { segment: 0 })));
}

/// A frame with this segment's identity and, if `sound`, a right checksum; else any header.
fn frame(identity: &[u8], fields: (u64, u32, u32), length: u32, sound: bool) -> Vec<u8> {
    let (position, unsynced_rows, rows) = fields;
    let held = (length % 64) as usize;
    let mut frame = vec![0; frame_bytes(held)];
    let claimed = if sound { held as u32 } else { length };
    frame[4..8].copy_from_slice(&claimed.to_le_bytes());
    frame[8..16].copy_from_slice(identity);
    frame[16..24].copy_from_slice(&position.to_le_bytes());
    frame[24..28].copy_from_slice(&unsynced_rows.to_le_bytes());
    frame[28..32].copy_from_slice(&rows.to_le_bytes());
    let checksum = crc32c::crc32c(&frame[4..]);
    frame[..4].copy_from_slice(&checksum.to_le_bytes());
    frame
}

proptest! {
    #[test]
    fn whatever_follows_the_records_is_read_cut_or_refused_without_panic(
        frames in proptest::collection::vec(
            (
                (prop_oneof![0..9_u64, any::<u64>()], any::<u32>(), any::<u32>()),
                any::<u32>(),
                any::<bool>(),
            ),
            1..6,
        ),
        garbage in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let (disk, written, offsets) = log_of(&[b"one", b"two"]);
        let end = offsets[1] as usize + frame_bytes(3);
        let identity = disk.bytes(&segment_name(0))[32..40].to_vec();
        let mut tail: Vec<u8> = frames
            .iter()
            .flat_map(|(fields, length, sound)| frame(&identity, *fields, *length, *sound))
            .collect();
        tail.extend(garbage);
        disk.damage(&segment_name(0), |bytes| bytes[end..end + tail.len()].copy_from_slice(&tail));
        match try_open(&disk) {
            Ok((log, read)) => {
                prop_assert_eq!(&read[..2], &written[..]);
                log.close().unwrap();
                prop_assert_eq!(open(&disk).1, read, "what was read once is read again");
            }
            Err(OpenError::Corrupt { segment: 0, offset, .. }) => {
                prop_assert!(offset >= end as u64);
            }
            Err(other) => panic!("{other}"),
        }
    }
}
