//! Goes through a segment as far as it can be read, and over what cannot.
//!
//! What a walk calls damage is what recovery refuses to start with, and the end that it finds is
//! the one that recovery finds: both take a record by [`Cursor`], and both believe a record that
//! says how far the log was synced when it was written.

use std::io;

use super::super::cursor::Cursor;
use super::super::error::Damage;
use super::super::reader::Record;
use super::super::record::{ALIGNMENT, Flaw, Header};
use super::super::segment::Segment;
use crate::model::LogPosition;

/// Records that were synced and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where in the file they begin.
    pub offset: u64,
    /// What stands there.
    pub damage: Damage,
    /// The first position that is lost.
    pub from: LogPosition,
    /// The first position behind it.
    pub to: LogPosition,
    /// How many records they were at least, by the headers that are still to be seen.
    pub records_min: u64,
}

/// What a walk comes upon, in the order of positions.
#[derive(Clone, Copy, Debug)]
pub(in crate::log) enum Piece<'a> {
    Record(Record<'a>),
    Lost(Lost),
}

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Walked {
    /// The position after the last record, readable or lost.
    pub(in crate::log) end: LogPosition,
    /// The offset of the end.
    pub(in crate::log) offset: u64,
    /// Whether records follow that were never synced.
    pub(in crate::log) torn: bool,
}

/// The operating system did not give the bytes out, which says nothing about them.
#[derive(Debug)]
pub(in crate::log) struct Unreadable {
    pub(in crate::log) offset: u64,
    pub(in crate::log) source: io::Error,
}

/// Walks through `segment`, which ends at `end` where that is known from the one behind it.
pub(in crate::log) fn walk(
    segment: &Segment,
    end: Option<LogPosition>,
    visit: &mut dyn FnMut(Piece<'_>),
) -> Result<Walked, Unreadable> {
    let mut cursor = Cursor::new(segment.header.first);
    let mut synced = end;
    loop {
        let (offset, position) = (cursor.offset(), cursor.position());
        if end.is_some_and(|end| position >= end) {
            return Ok(Walked { end: position, offset, torn: false });
        }
        let unreadable = |source| Unreadable { offset, source };
        let damage = match cursor.next(segment, segment.bytes).map_err(unreadable)? {
            Ok((header, payload)) => {
                let record = Record { position: header.position, rows: header.rows, payload };
                match end {
                    Some(end) if record.end() > end => {
                        Damage::Start { expected: record.end(), found: end }
                    }
                    _ => {
                        visit(Piece::Record(record));
                        continue;
                    }
                }
            }
            Err(flaw) => flaw.into(),
        };
        let limit = match synced {
            Some(limit) => limit,
            None => *synced.insert(synced_beyond(segment, offset, position)?.max(position)),
        };
        cursor.rewind(offset, position);
        if end.is_none() && limit <= position {
            let torn = cursor.seek_header(segment).map_err(unreadable)?;
            return Ok(Walked { end: position, offset, torn });
        }
        let (records_min, next) = resume(segment, &mut cursor, position)?;
        let next =
            next.filter(|next| next.position < limit || end.is_none() && next.position == limit);
        let to = next.map_or(limit, |next| next.position);
        visit(Piece::Lost(Lost { offset, damage, from: position, to, records_min }));
        match next {
            Some(next) => cursor.rewind(cursor.offset(), next.position),
            None => return Ok(Walked { end: limit, offset, torn: false }),
        }
    }
}

/// Goes to the first sound record behind the one that is none, and counts the headers on the way.
fn resume(
    segment: &Segment,
    cursor: &mut Cursor,
    position: LogPosition,
) -> Result<(u64, Option<Header>), Unreadable> {
    let mut headers = 0;
    let bad_offset = cursor.offset();
    let unreadable = |offset| move |source| Unreadable { offset, source };
    while cursor.seek_header(segment).map_err(unreadable(cursor.offset()))? {
        let at = cursor.offset();
        match cursor.verified(segment, segment.bytes).map_err(unreadable(at))? {
            Ok(header) if header.position >= position && at > bad_offset => {
                return Ok((headers.max(1), Some(header)));
            }
            Ok(_) | Err(_) => {
                headers += 1;
                cursor.skip(ALIGNMENT);
            }
        }
    }
    Ok((headers.max(1), None))
}

/// Up to where the log was certainly synced, by what the records behind `offset` say.
fn synced_beyond(
    segment: &Segment,
    offset: u64,
    position: LogPosition,
) -> Result<LogPosition, Unreadable> {
    let mut ahead = Cursor::new(position);
    ahead.rewind(offset, position);
    let mut synced = 0;
    let unreadable = |offset| move |source| Unreadable { offset, source };
    while ahead.seek_header(segment).map_err(unreadable(ahead.offset()))? {
        let at = ahead.offset();
        let verified = ahead.verified(segment, segment.bytes).map_err(unreadable(at))?;
        let step = match verified {
            Ok(header) => {
                synced = header.synced_before().max(synced);
                header.frame_bytes()
            }
            Err(Flaw::Absent | Flaw::Length(_) | Flaw::Checksum | Flaw::Position { .. }) => {
                ALIGNMENT
            }
        };
        ahead.skip(step);
    }
    Ok(LogPosition::new(synced))
}
