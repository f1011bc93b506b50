//! Opens a segment whatever its header is worth.

use uuid::Uuid;

use super::super::cursor::Cursor;
use super::super::disk::Disk;
use super::super::error::OpenError;
use super::super::identity::Identity;
use super::super::record::{HEADER_BYTES, Header};
use super::super::scan;
use super::super::segment::{RECORDS_START, Segment, SegmentHeader, segment_name};
use crate::model::LogPosition;

/// A segment as far as it could be opened.
pub(in crate::log) enum Opened {
    /// Its header is sound.
    Sound(Segment),
    /// Its header is not, and was made again from the first record.
    Rebuilt(Segment),
    /// Its header is not, nor is its first record.
    Unreadable,
    /// It is another log's.
    Foreign,
}

impl Opened {
    /// Where it begins, as far as it says.
    pub(in crate::log) fn first(&self) -> Option<LogPosition> {
        match self {
            Self::Sound(segment) | Self::Rebuilt(segment) => Some(segment.header.first),
            Self::Unreadable | Self::Foreign => None,
        }
    }
}

/// Opens the segment of `number`.
pub(in crate::log) fn open(
    disk: &dyn Disk,
    log_id: Uuid,
    number: u64,
) -> Result<Opened, OpenError> {
    let name = &*segment_name(number);
    match scan::open_segment(disk, log_id, number) {
        Ok(segment) => Ok(Opened::Sound(segment)),
        Err(OpenError::Foreign { .. }) => Ok(Opened::Foreign),
        Err(OpenError::Corrupt { .. }) => rebuild(disk, log_id, number, name)
            .map_err(OpenError::io(format!("read {name}")))
            .map(|segment| segment.map_or(Opened::Unreadable, Opened::Rebuilt)),
        Err(error) => Err(error),
    }
}

/// The first record says the identity and the position that the header should say, and its
/// checksum says that it is a record.
fn rebuild(
    disk: &dyn Disk,
    log_id: Uuid,
    number: u64,
    name: &str,
) -> std::io::Result<Option<Segment>> {
    let file = disk.open(name)?;
    let file_bytes = file.bytes()?;
    let mut bytes = [0; HEADER_BYTES];
    file.read_full_at(&mut bytes, RECORDS_START)?;
    let Some(record) = Header::read(&bytes).filter(|record| record.segment != 0) else {
        return Ok(None);
    };
    let (identity, first) = (record.segment, record.position);
    let header = SegmentHeader { log_id, identity, number, first, before: None };
    let segment = Segment::new(header, file, file_bytes.max(RECORDS_START), RECORDS_START);
    let verified = Cursor::new(first).verified(&segment, segment.bytes)?;
    Ok(verified.is_ok().then_some(segment))
}

/// The id of the log: what the identity says or, where there is none, the first sound segment.
pub(in crate::log) fn log_id_of(
    disk: &dyn Disk,
    identity: Option<&Identity>,
    numbers: &[u64],
) -> Result<Uuid, OpenError> {
    if let Some(identity) = identity {
        return Ok(identity.log_id());
    }
    for number in numbers {
        match scan::read_header(disk, *number, &segment_name(*number)) {
            Ok((header, _)) => return Ok(header.log_id),
            Err(OpenError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Uuid::nil())
}
