//! Reads the whole log at the start, and decides what its end is.
//!
//! A crash leaves any subset of the sectors written since the last sync, so the end of the last
//! segment may hold anything. A bad record there is *torn* unless a sound record further on
//! says that the log had been synced past it when that was written: then synced data is damaged.
//! In an older segment every bad record is damage, for a segment is only started once the one
//! before it is synced.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::cursor::Cursor;
use super::disk::{Disk, DiskFile};
use super::error::{Damage, OpenError};
use super::preparer::zero;
use super::reader::Record;
use super::record::{ALIGNMENT, Flaw, HEADER_BYTES, Header};
use super::segment::{
    BadSegmentHeader, RECORDS_START, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, is_spare_name,
    segment_name, segment_number,
};
use crate::model::{LogMark, LogPosition};

/// Bytes that are written again at once.
const REWRITE_BYTES: usize = 1 << 20;

/// What stood in the directory.
pub(super) struct Found {
    /// In order; empty when the log is new. All but the last are complete.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// The position of the next record.
    pub(super) end: LogPosition,
    /// The mark of the record that ends there.
    pub(super) mark: Option<LogMark>,
    /// Names of prepared files.
    pub(super) spares: Vec<String>,
}

/// Reads every record of the log `log_id`, in order, and cuts a torn tail off.
pub(super) fn scan(
    disk: &dyn Disk,
    log_id: Uuid,
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<Found, OpenError> {
    // A process that was killed may have left names which no crash would: what is built on them
    // from now on must not lose them.
    disk.sync_dir().map_err(OpenError::io("sync the log directory"))?;
    let names = disk.list().map_err(OpenError::io("list the log directory"))?;
    let numbers = numbers(&names);
    if let Some(gap) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(OpenError::Missing { segment: gap[0] + 1 });
    }
    let segments = numbers
        .into_iter()
        .map(|number| open_segment(disk, log_id, number).map(Arc::new))
        .collect::<Result<VecDeque<_>, _>>()?;
    let mut cursor = match segments.front() {
        Some(oldest) => Cursor::new(oldest.header.first),
        None => Cursor::new(LogPosition::ZERO),
    };
    let mut mark = None;
    for (nth, segment) in segments.iter().enumerate() {
        mark = segment.header.before;
        let mut visit = |record: Record<'_>| {
            mark = Some(record.mark());
            visit(record);
        };
        cursor.enter_next_segment();
        match segments.get(nth + 1) {
            Some(next) => {
                read_complete(segment, next.header.first, &mut cursor, &mut visit)?;
                segment.complete(cursor.position());
            }
            None => read_last(segment, &mut cursor, &mut visit)?,
        }
        segment.set_synced_bytes(cursor.offset());
    }
    let spares = names.into_iter().filter(|name| is_spare_name(name)).collect();
    Ok(Found { segments, end: cursor.position(), mark, spares })
}

/// The numbers of the segments among `names`, in order.
pub(super) fn numbers(names: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// Opens the segment of that number, if its header is sound.
pub(super) fn open_segment(
    disk: &dyn Disk,
    log_id: Uuid,
    number: u64,
) -> Result<Segment, OpenError> {
    let name = &*segment_name(number);
    let (header, file) = read_header(disk, number, name)?;
    if header.log_id != log_id {
        return Err(OpenError::Foreign { segment: number });
    }
    let file_bytes = file.bytes().map_err(OpenError::io(format!("read {name}")))?;
    if file_bytes < RECORDS_START {
        return Err(OpenError::Corrupt { segment: number, offset: 0, damage: Damage::Header });
    }
    Ok(Segment::new(header, file, file_bytes, RECORDS_START))
}

/// The header of segment `number` in the file `name`, whatever log it is of.
pub(super) fn read_header(
    disk: &dyn Disk,
    number: u64,
    name: &str,
) -> Result<(SegmentHeader, Box<dyn DiskFile>), OpenError> {
    let reading = || OpenError::io(format!("read {name}"));
    let file = disk.open(name).map_err(reading())?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    file.read_full_at(&mut bytes, 0).map_err(reading())?;
    match SegmentHeader::decode(&bytes) {
        Ok(header) if header.number == number => Ok((header, file)),
        Ok(_) | Err(BadSegmentHeader::Damaged) => {
            Err(OpenError::Corrupt { segment: number, offset: 0, damage: Damage::Header })
        }
        Err(BadSegmentHeader::Version(version)) => {
            Err(OpenError::Version { segment: number, version })
        }
    }
}

/// Reads a segment that must hold every position below `end`, the start of the next one.
fn read_complete(
    segment: &Segment,
    end: LogPosition,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<(), OpenError> {
    while cursor.position() < end {
        let offset = cursor.offset();
        if let Err(flaw) = step(segment, cursor, visit)? {
            return Err(corrupt(segment, offset, flaw));
        }
    }
    if cursor.position() > end {
        return Err(OpenError::Corrupt {
            segment: segment.header.number + 1,
            offset: 0,
            damage: Damage::Start { expected: cursor.position(), found: end },
        });
    }
    Ok(())
}

/// Reads the last segment up to its torn or clean end, and cleans what is behind it.
fn read_last(
    segment: &Segment,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<(), OpenError> {
    // Where the records of the last sync begin, and up to where the log was synced before it.
    let mut last_sync = (cursor.offset(), cursor.position().get());
    let flaw = loop {
        let offset = cursor.offset();
        match step(segment, cursor, visit)? {
            Ok(header) if header.synced_before() > last_sync.1 => {
                last_sync = (offset, header.synced_before());
            }
            Ok(_) => {}
            Err(flaw) => break flaw,
        }
    };
    let (offset, end) = (cursor.offset(), cursor.position());
    if let Some(dirty_end) = inspect_tail(segment, cursor, flaw)? {
        zero(&*segment.file, offset, dirty_end)
            .map_err(OpenError::io(format!("cut the torn tail of {}", segment.name())))?;
        tracing::warn!(
            segment = segment.name(),
            offset,
            "cut off the end of the log, which a crash left half written; nothing in it was \
             acknowledged"
        );
    }
    sync_again(&*segment.file, last_sync.0, offset)
        .map_err(OpenError::io(format!("sync {}", segment.name())))?;
    cursor.rewind(offset, end);
    Ok(())
}

/// Puts `from..to` onto the disk, whatever became of the sync that was to do that.
///
/// A process that was killed before its sync leaves records that nobody has synced. One whose sync
/// failed leaves records that the system takes for synced: only written again are they written.
/// From now on they count as synced, so they have to be.
fn sync_again(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let step = usize::try_from(to - from).unwrap_or(usize::MAX).min(REWRITE_BYTES);
    let mut bytes = vec![0; step];
    while from < to {
        let length = usize::try_from(to - from).unwrap_or(step).min(step);
        let read = file.read_full_at(&mut bytes[..length], from)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&bytes[..read], from)?;
        from += read as u64;
    }
    file.sync_data()
}

/// Takes the next record, if there is a sound one.
fn step(
    segment: &Segment,
    cursor: &mut Cursor,
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<Result<Header, Flaw>, OpenError> {
    let next = cursor.next(segment, segment.bytes).map_err(unreadable(segment))?;
    Ok(next.map(|(header, payload)| {
        visit(Record { position: header.position, rows: header.rows, payload });
        header
    }))
}

/// Looks for headers of this segment behind its end: `None` when there is none, else where the
/// last of them ends. An error when one of them proves the record at the end to be damaged.
fn inspect_tail(
    segment: &Segment,
    cursor: &mut Cursor,
    flaw: Flaw,
) -> Result<Option<u64>, OpenError> {
    let (bad_offset, bad_position) = (cursor.offset(), cursor.position());
    let mut dirty_end = None;
    while cursor.seek_header(segment).map_err(unreadable(segment))? {
        dirty_end = Some(cursor.offset() + HEADER_BYTES as u64);
        let step = match cursor.verified(segment, segment.bytes).map_err(unreadable(segment))? {
            Ok(header) if header.synced_before() > bad_position.get() => {
                return Err(corrupt(segment, bad_offset, flaw));
            }
            Ok(header) => header.frame_bytes(),
            Err(_) => ALIGNMENT,
        };
        cursor.skip(step);
    }
    Ok(dirty_end)
}

/// Names the segment only once there is an error: this is called for every record.
fn unreadable(segment: &Segment) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { doing: format!("read {}", segment.name()), source }
}

fn corrupt(segment: &Segment, offset: u64, flaw: Flaw) -> OpenError {
    OpenError::Corrupt { segment: segment.header.number, offset, damage: flaw.into() }
}
