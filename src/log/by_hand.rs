//! A log without threads, for tests that decide whose turn it is.
//!
//! What a turn does is what the threads do, by the same functions; what is left out is waiting.
//! Both "threads" may be given a turn while the other one is in the middle of an operation of
//! the disk, as it happens with real ones: who is at work already is passed over.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::disk::Disk;
use super::error::{LogFailed, OpenError};
use super::intake::Work;
use super::memory_disk::MemoryDisk;
use super::preparer::Preparer;
use super::reader::Record;
use super::record::{Header, verify};
use super::segment::{RECORDS_START, SEGMENT_HEADER_BYTES, SegmentHeader, segment_number};
use super::writer::Writer;
use super::{Exit, Log, LogSettings};
use crate::telemetry::Telemetry;

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There was nothing to do, or it is at work already.
    Idle,
    /// Something was done.
    Done,
    /// The thread has ended.
    Over,
}

/// A log whose threads are given their turns.
pub(crate) struct ByHand {
    pub(crate) log: Log,
    /// Whether the preparer has looked once: before, there is what an earlier process left.
    looked: AtomicBool,
    writer: Mutex<Option<WriterThread>>,
    preparer: Mutex<Option<PreparerThread>>,
}

struct WriterThread {
    writer: Writer,
    work: Work,
    stage: Stage,
    _exit: Exit,
}

/// How far the writer is with its work.
enum Stage {
    Waiting,
    Taken,
    Persisted,
}

struct PreparerThread {
    preparer: Preparer,
    /// It looks whether it is wanted or not: at first, and after a pause.
    looks: bool,
    /// For how long it leaves a full disk alone.
    pause: Option<Duration>,
    _exit: Exit,
}

impl ByHand {
    /// See [`Log::open`].
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        settings: LogSettings,
        telemetry: Arc<Telemetry>,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<Self, OpenError> {
        let (log, writer, preparer) = Log::recover(disk, settings, telemetry, visit)?;
        let writer = WriterThread {
            writer,
            work: Work::default(),
            stage: Stage::Waiting,
            _exit: log.exit(true),
        };
        let preparer =
            PreparerThread { preparer, looks: true, pause: None, _exit: log.exit(false) };
        let looked = AtomicBool::new(false);
        Ok(Self {
            log,
            looked,
            writer: Mutex::new(Some(writer)),
            preparer: Mutex::new(Some(preparer)),
        })
    }

    /// The writer takes what is staged, or syncs what it took, or acknowledges what it synced.
    pub(crate) fn write(&self) -> Turn {
        let Some(mut thread) = self.writer.try_lock() else { return Turn::Idle };
        let Some(WriterThread { writer, work, stage, .. }) = thread.as_mut() else {
            return Turn::Over;
        };
        let goes_on = match stage {
            Stage::Waiting if writer.intake.is_idle() => return Turn::Idle,
            Stage::Waiting => {
                *stage = Stage::Taken;
                writer.intake.take(work)
            }
            Stage::Taken => {
                *stage = Stage::Persisted;
                writer.persist_or_fail(work)
            }
            Stage::Persisted => {
                *stage = Stage::Waiting;
                writer.acknowledge(work);
                true
            }
        };
        if !goes_on {
            *thread = None;
        }
        Turn::Done
    }

    /// The preparer looks once, if somebody wants it to.
    pub(crate) fn prepare(&self) -> Turn {
        let Some(mut thread) = self.preparer.try_lock() else { return Turn::Idle };
        let Some(PreparerThread { preparer, looks, pause, .. }) = thread.as_mut() else {
            return Turn::Over;
        };
        let wanted = preparer.progress.wait_upkeep(Some(Duration::ZERO));
        if preparer.progress.is_closed() {
            *thread = None;
            return Turn::Done;
        }
        if !wanted && !std::mem::take(looks) {
            return Turn::Idle;
        }
        match preparer.keep_up_or_fail() {
            Ok(after) => {
                *pause = after;
                self.looked.store(true, Ordering::SeqCst);
            }
            Err(LogFailed(_)) => *thread = None,
        }
        Turn::Done
    }

    /// Has the preparer look, as after a roll.
    pub(crate) fn want_upkeep(&self) {
        self.log.progress.want_upkeep();
    }

    /// Time passes: a preparer that leaves a full disk alone looks again.
    pub(crate) fn end_pause(&self) {
        if let Some(thread) = self.preparer.lock().as_mut()
            && thread.pause.take().is_some()
        {
            thread.looks = true;
        }
    }

    /// Whether the disk holds what this log has made or taken over, and nothing else.
    pub(crate) fn has_looked(&self) -> bool {
        self.looked.load(Ordering::SeqCst)
    }

    /// Takes nothing any more, see [`Log::close`].
    pub(crate) fn close(&self) {
        self.log.intake.close();
    }

    /// How the log failed, if it did.
    pub(crate) fn failure(&self) -> Option<LogFailed> {
        self.log.intake.failure()
    }

    /// Bytes that wait for a sync.
    pub(crate) fn staged_bytes(&self) -> usize {
        self.log.intake.staged_bytes()
    }
}

/// The number of the newest segment on the disk; 0 where there is none.
pub(crate) fn newest_segment(disk: &MemoryDisk) -> u64 {
    disk.names().iter().filter_map(|name| segment_number(name)).max().unwrap_or(0)
}

/// The segments on the disk, each with the bytes of which the log can tell that they were synced:
/// of the newest one those that a later record proves.
pub(crate) fn synced_ranges(disk: &MemoryDisk) -> Vec<(u64, String, Range<usize>)> {
    let newest = newest_segment(disk);
    let names = disk.names().into_iter();
    let numbered = names.filter_map(|name| segment_number(&name).map(|number| (number, name)));
    numbered
        .map(|(number, name)| {
            let records = sound_records(&disk.bytes(&name));
            let proven = records.last().map_or(0, |(header, _)| header.synced_before());
            let counts = |header: &Header| number < newest || header.position.get() < proven;
            let last = records.iter().rfind(|(header, _)| counts(header));
            (number, name, 0..last.map_or(RECORDS_START as usize, |(_, end)| *end))
        })
        .collect()
}

/// The sound records of a segment up to the first that is not, each with where it ends.
fn sound_records(bytes: &[u8]) -> Vec<(Header, usize)> {
    let header = bytes.first_chunk::<SEGMENT_HEADER_BYTES>().expect("a segment has a header");
    let identity = SegmentHeader::decode(header).expect("the header is sound").identity;
    let mut records = Vec::new();
    let mut at = RECORDS_START as usize;
    while let Some(header) = bytes.get(at..).and_then(Header::read) {
        let end = at + header.frame_bytes();
        let sound = header.segment == identity
            && bytes.get(at..end).is_some_and(|frame| verify(&header, frame).is_ok());
        if !sound {
            break;
        }
        records.push((header, end));
        at = end;
    }
    records
}
