//! What a survey finds, and what a log is after a segment was set aside.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::log::entry::{Entries, Entry};
use crate::log::mend::{LostPositions, MendError, Mended, Resolve, set_aside};
use crate::log::record::frame_bytes;
use crate::log::segment::segment_name;
use crate::log::survey::{Finding, Survey, Trouble, survey};
use crate::model::Timestamp;

/// Payloads that are no entries are found, so these are: a key each.
fn payload(n: u8, bytes: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let key = entry::Key {
        received_at: Timestamp::from_micros(5).unwrap(),
        key: &[n; 16],
        body_digest: [n; 16],
        answer: &vec![n; bytes],
    };
    entry::encode_key(&mut payload, &key);
    payload
}

/// Three complete segments of two records and an active one with one, each record of 3 rows.
fn log_of_seven() -> (MemoryDisk, Vec<Read>, u64) {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    let written: Vec<_> = (0..7).map(|n| append_synced(&log, &payload(n, 5900), 3)).collect();
    log.close().unwrap();
    let frame = frame_bytes(written[0].2.len()) as u64;
    (disk, written, frame)
}

fn look(disk: &MemoryDisk) -> (Survey, Vec<Finding>) {
    let mut findings = Vec::new();
    let survey = survey(disk, &mut |finding| findings.push(finding)).unwrap();
    assert_eq!(survey.findings, findings.len() as u64);
    (survey, findings)
}

fn mend(disk: &MemoryDisk, segment: u64) -> Mended {
    let now = Timestamp::from_micros(9).unwrap();
    let before = disk.names();
    let proposed = set_aside(disk, segment, Resolve::Propose, now).unwrap();
    assert_eq!(disk.names(), before, "a proposal changes nothing");
    let performed = set_aside(disk, segment, Resolve::Perform, now).unwrap();
    assert_eq!(Mended { kept_as: None, ..performed }, proposed);
    performed
}

/// What is read after the records of `lost` were given up: the others, and a hole for each run.
fn assert_reads(disk: &MemoryDisk, written: &[Read], lost: &[usize]) {
    let (log, read) = open(&disk.crash(&mut |_| false));
    let mut expected = written.iter().enumerate();
    let mut at = 0;
    for (position, rows, payload) in &read {
        assert_eq!(*position, at, "positions go on");
        at += u64::from(*rows);
        let Some(Ok(Entry::Hole(hole))) = Entries::new(payload).next() else {
            let (_, next) = expected.find(|(nth, _)| !lost.contains(nth)).unwrap();
            assert_eq!((*position, *rows, payload), (next.0, next.1, &next.2));
            continue;
        };
        assert_eq!((hole.from.get(), hole.to.get()), (*position, at));
    }
    assert!(expected.all(|(nth, _)| lost.contains(&nth)), "a readable record is gone");
    assert_eq!(at, 21);
    assert_eq!(append_synced(&log, b"", 1).0, 21, "the log goes on");
}

fn lost(from: u64, to: u64, count: u64) -> Option<LostPositions> {
    Some(LostPositions { from: LogPosition::new(from), to: LogPosition::new(to), count })
}

#[test]
fn a_sound_log_has_no_findings_and_no_segment_of_it_is_touched() {
    let (disk, written, frame) = log_of_seven();
    let (survey, findings) = look(&disk);
    assert!(findings.is_empty(), "{findings:?}");
    let of = |nth: usize| {
        let one = &survey.segments[nth];
        (one.number, one.active, one.first.get(), one.end.get(), one.records, one.used_bytes)
    };
    assert_eq!(of(0), (0, false, 0, 6, 2, RECORDS_START + 2 * frame));
    assert_eq!(of(3), (3, true, 18, 21, 1, RECORDS_START + frame));
    assert_eq!(survey.segments.len(), 4);
    for segment in 0..4 {
        let mended = mend(&disk, segment);
        assert_eq!((mended.places, mended.lost), (0, None));
    }
    assert!(disk.names().iter().all(|name| !name.ends_with(".damaged")));
    assert_reads(&disk, &written, &[]);
    let none = set_aside(&disk, 4, Resolve::Propose, Timestamp::MIN);
    assert!(matches!(none, Err(MendError::NoSuch { first: 0, last: 3, .. })), "{none:?}");
    assert!(survey_of_nothing().to_string().contains("no write-ahead log"));
}

fn survey_of_nothing() -> OpenError {
    survey(&MemoryDisk::default(), &mut |_| {}).unwrap_err()
}

#[test]
fn a_flipped_bit_anywhere_costs_the_record_that_it_is_in() {
    let (sound, written, frame) = log_of_seven();
    let offset = |nth: usize| RECORDS_START + (nth as u64 % 2) * frame;
    // The very last record is not among them: there damage looks like a torn tail.
    for nth in 0..6 {
        for within in [0, 4, 9, 16, 25, 28, 32, 2000, frame - 9] {
            let disk = sound.crash(&mut |_| false);
            let name = segment_name(nth as u64 / 2);
            let at = (offset(nth) + within) as usize;
            disk.damage(&name, |bytes| bytes[at] ^= 0x20);
            assert!(try_open(&disk).is_err(), "record {nth}, byte {within}");
            let (survey, findings) = look(&disk);
            let [Finding { file, offset: Some(found_at), trouble: Trouble::Lost(found) }] =
                &findings[..]
            else {
                panic!("record {nth}, byte {within}: {findings:?}");
            };
            assert_eq!((file, *found_at), (&name, offset(nth)));
            let first = written[nth].0;
            assert_eq!((found.from.get(), found.to.get()), (first, first + 3));
            assert_eq!(survey.segments[nth / 2].lost, 3);
            let mended = mend(&disk, nth as u64 / 2);
            assert_eq!(mended.lost, lost(first, first + 3, 3), "record {nth}, byte {within}");
            assert_eq!((mended.places, mended.records_lost_min, mended.records_kept), (1, 1, 1));
            assert_eq!(mended.kept_as, Some(format!("{:016}.damaged", nth / 2)));
            assert!(look(&disk).1.is_empty());
            assert_reads(&disk, &written, &[nth]);
        }
    }
}

#[test]
fn the_active_segment_keeps_what_follows_damage_and_a_torn_tail_is_none() {
    let disk = MemoryDisk::default();
    let (log, _) = open(&disk);
    for n in 0..4 {
        append_synced(&log, &payload(n, 100), 3);
    }
    log.close().unwrap();
    let frame = frame_bytes(payload(0, 100).len());
    let start = RECORDS_START as usize;
    // The last record: its sync was the last, so it may never have been acknowledged.
    let torn = disk.crash(&mut |_| false);
    torn.damage(&segment_name(0), |bytes| bytes[start + 3 * frame + 50] ^= 1);
    let (survey, findings) = look(&torn);
    assert!(findings.is_empty() && survey.segments[0].torn_tail, "{findings:?}");
    assert_eq!(survey.segments[0].end.get(), 9);
    assert_eq!(mend(&torn, 0).places, 0);
    assert_eq!(open(&torn).1.len(), 3);
    // Two in the middle.
    disk.damage(&segment_name(0), |bytes| bytes[start + frame..][..2 * frame].fill(0xff));
    let mended = mend(&disk, 0);
    assert_eq!((mended.lost, mended.records_kept), (lost(3, 9, 6), 2));
    let (log, read) = open(&disk);
    assert_eq!(read.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [(0, 3), (3, 6), (9, 3)]);
    assert_eq!(append_synced(&log, b"", 1).0, 12);
}

#[test]
fn a_damaged_header_costs_nothing_and_a_missing_segment_all_that_it_held() {
    let (sound, written, _) = log_of_seven();
    for segment in 0..4 {
        let disk = sound.crash(&mut |_| false);
        disk.damage(&segment_name(segment), |bytes| bytes[40] ^= 1);
        assert!(try_open(&disk).is_err());
        let (_, findings) = look(&disk);
        assert!(matches!(findings[0].trouble, Trouble::Header(_)), "{findings:?}");
        let mended = mend(&disk, segment);
        assert_eq!((mended.lost, mended.places), (None, 1), "segment {segment}");
        assert_reads(&disk, &written, &[]);
    }
    for segment in 1..3 {
        let disk = sound.crash(&mut |_| false);
        disk.remove(&segment_name(segment)).unwrap();
        disk.sync_dir().unwrap();
        let (_, findings) = look(&disk);
        assert!(matches!(findings[0].trouble, Trouble::Missing(last) if last == segment));
        let mended = mend(&disk, segment);
        let first = 6 * segment;
        assert_eq!((mended.lost, mended.kept_as), (lost(first, first + 6, 6), None));
        assert_reads(&disk, &written, &[2 * segment as usize, 2 * segment as usize + 1]);
    }
}

#[test]
fn a_segment_of_rubbish_becomes_a_hole_between_its_neighbours() {
    let (sound, written, _) = log_of_seven();
    for segment in 1..3 {
        let disk = sound.crash(&mut |_| false);
        disk.damage(&segment_name(segment), |bytes| bytes.fill(0xee));
        assert_eq!(mend(&disk, segment).lost, lost(6 * segment, 6 * segment + 6, 6));
        assert_reads(&disk, &written, &[2 * segment as usize, 2 * segment as usize + 1]);
    }
    // The oldest: nobody knows where it began, and nothing behind it needs to be known.
    let disk = sound.crash(&mut |_| false);
    disk.damage(&segment_name(0), |bytes| bytes.fill(0xee));
    assert_eq!(mend(&disk, 0).lost, None);
    assert_eq!(open(&disk).1, written[2..]);
    // The newest: nobody knows where it ended.
    let disk = sound.crash(&mut |_| false);
    disk.damage(&segment_name(3), |bytes| bytes.fill(0xee));
    assert!(mend(&disk, 3).end_unknown);
    assert_eq!(open(&disk).1, written[..6]);
    // Two beside each other, which takes the one that has a readable neighbour first.
    let disk = sound.crash(&mut |_| false);
    disk.damage(&segment_name(1), |bytes| bytes.fill(0xee));
    disk.damage(&segment_name(2), |bytes| bytes.fill(0xee));
    let refused = set_aside(&disk, 1, Resolve::Perform, Timestamp::MIN).unwrap_err();
    assert!(matches!(refused, MendError::Neighbour { neighbour: 2 }), "{refused}");
}

/// A disk that stops working after some changes and syncs of its directory.
struct StopsAfter {
    disk: MemoryDisk,
    steps: AtomicUsize,
}

impl StopsAfter {
    fn step(&self) -> io::Result<()> {
        let left = self.steps.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("the machine is off"))
    }
}

impl Disk for StopsAfter {
    fn location(&self) -> String {
        self.disk.location()
    }
    fn lock_exclusive(&self) -> io::Result<()> {
        self.disk.lock_exclusive()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.step().and_then(|()| self.disk.create(name))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step().and_then(|()| self.disk.rename(from, to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.step().and_then(|()| self.disk.remove(name))
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.step().and_then(|()| self.disk.sync_dir())
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_log_refused_or_mended_and_asking_again_mends_it() {
    let (damaged, written, _) = log_of_seven();
    // A middle one, and the newest, whose absence nobody would notice.
    check_crashes(&damaged, 1, &written, &[2]);
    damaged.damage(&segment_name(3), |bytes| bytes[40] ^= 1);
    check_crashes(&damaged, 3, &written, &[]);
}

/// Damages a record or only the header of the segment, and sets it aside on a machine that dies.
fn check_crashes(sound: &MemoryDisk, segment: u64, written: &[Read], lost: &[usize]) {
    let damaged = sound.crash(&mut |_| false);
    for _ in lost {
        damaged.damage(&segment_name(segment), |bytes| bytes[RECORDS_START as usize + 40] ^= 1);
    }
    let evidence = damaged.bytes(&segment_name(segment));
    let now = Timestamp::from_micros(9).unwrap();
    let mut refusals = 0;
    for steps in 0.. {
        let disk = StopsAfter { disk: damaged.crash(&mut |_| false), steps: steps.into() };
        let done = set_aside(&disk, segment, Resolve::Perform, now).is_ok();
        for survives in [false, true] {
            let crashed = disk.disk.crash(&mut |_| survives);
            if let Err(error) = try_open(&crashed) {
                assert!(!done, "after {steps} steps: {error}");
                assert!(
                    error.to_string().contains(&format!("log set-aside {segment}`")),
                    "{error}"
                );
                let again = set_aside(&crashed, segment, Resolve::Perform, now).unwrap();
                assert_eq!(again.places, 1);
                refusals += 1;
            }
            assert_reads(&crashed, written, lost);
            assert_eq!(crashed.bytes(&format!("{segment:016}.damaged")), evidence);
        }
        if done {
            break;
        }
    }
    assert!(refusals > 10, "{refusals} crashes came before the end");
}
