//! Looks at the log of a stopped server without changing anything: what is there, and what of it
//! is damaged.
//!
//! Recovery stops at the first damage, for a person has to decide; a survey goes on behind it, so
//! that the person knows what the decision is about.

mod keys;
mod opened;
pub(super) mod walk;

use std::io;

use super::disk::Disk;
use super::entry::{Entries, Entry, EntryError};
use super::error::{Damage, OpenError};
use super::identity::{Identity, IdentityError};
use super::record::Flaw;
use super::scan;
use super::segment::{Segment, is_spare_name, segment_name};
use crate::model::LogPosition;

pub use keys::KeysSurvey;
use opened::log_id_of;
pub(super) use opened::{Opened, open};
pub use walk::Lost;
use walk::{Piece, Unreadable, Walked, walk};

/// What a log directory holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Who the log is; `None` where the file is missing or damaged.
    pub identity: Option<Identity>,
    /// The segments that are there, oldest first.
    pub segments: Vec<SegmentSurvey>,
    /// The key files, oldest first.
    pub keys: Vec<KeysSurvey>,
    /// Prepared files.
    pub spares: Vec<FileSize>,
    /// Segments as they were before they were set aside.
    pub set_aside: Vec<FileSize>,
    /// How much was found that should not be so.
    pub findings: u64,
}

/// A file of which only the size matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSize {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentSurvey {
    /// Its number.
    pub number: u64,
    /// Whether it is the one that records are written to.
    pub active: bool,
    /// The length of the file.
    pub bytes: u64,
    /// Where the records end in it.
    pub used_bytes: u64,
    /// Its identity; `None` where no part of its header can be told.
    pub identity: Option<u64>,
    /// The position of its first record.
    pub first: LogPosition,
    /// The position after its last one.
    pub end: LogPosition,
    /// Records that can be read.
    pub records: u64,
    /// Rows in them.
    pub rows: u64,
    /// Positions that were given up earlier.
    pub given_up: u64,
    /// Positions that were synced and cannot be read.
    pub lost: u64,
    /// Whether a crash left something behind the end that was never acknowledged.
    pub torn_tail: bool,
}

/// Something that should not be so.
#[derive(Debug)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where in it, if it is there.
    pub offset: Option<u64>,
    /// What it is.
    pub trouble: Trouble,
}

/// What is wrong with a file of the log.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Synced records cannot be read.
    #[error(
        "damage: {damage}; positions {from} to {to} are lost, {positions} rows in at least {records_min} reports",
        damage = .0.damage, from = .0.from, to = .0.to, records_min = .0.records_min,
        positions = .0.to.get() - .0.from.get()
    )]
    Lost(Lost),
    /// The header is damaged; the records may be sound.
    #[error("damage: {0}")]
    Header(Damage),
    /// The file is missing.
    #[error("missing, and so are all up to {}", segment_name(*.0))]
    Missing(u64),
    /// It is another log's.
    #[error("damage: it belongs to another log")]
    Foreign,
    /// A record that is sound makes no sense.
    #[error("the record at position {position} was written by another program: {error}")]
    Entry {
        /// The record's position.
        position: LogPosition,
        /// What is wrong with it.
        error: EntryError,
    },
    /// Idempotency keys cannot be read; reports are not affected.
    #[error("damage: idempotency keys are lost from here on: {0}")]
    Keys(Flaw),
    /// The identity is missing or damaged.
    #[error("damage: it is missing or no identity")]
    Identity,
    /// The operating system refused.
    #[error("an error of the disk, which says nothing about the data: {0}")]
    Io(io::Error),
}

/// Reads everything on `disk` and tells `found` of each thing that should not be so. An error when
/// there is nothing to be told, for a server runs or there is no log.
pub fn survey(disk: &dyn Disk, found: &mut dyn FnMut(Finding)) -> Result<Survey, OpenError> {
    let mut survey = Survey::default();
    let mut findings = 0;
    let mut found = |file: String, offset: Option<u64>, trouble: Trouble| {
        findings += 1;
        found(Finding { file, offset, trouble });
    };
    let identity = match Identity::load(disk) {
        Ok(identity) => identity,
        Err(IdentityError::Damaged { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut names = disk.list().map_err(OpenError::io("list the log directory"))?;
    names.sort_unstable();
    let numbers = scan::numbers(&names);
    if identity.is_none() {
        if numbers.is_empty() {
            return Err(OpenError::NoLog { location: disk.location() });
        }
        found("identity".to_owned(), None, Trouble::Identity);
    }
    let log_id = log_id_of(disk, identity.as_ref(), &numbers)?;
    for (nth, &number) in numbers.iter().enumerate() {
        let next = numbers.get(nth + 1).copied();
        let follows = match next {
            Some(next) if next == number + 1 => open(disk, log_id, next)?.first(),
            _ => None,
        };
        let mut one = segment(disk, log_id, number, follows, &mut found)?;
        one.active = next.is_none();
        survey.segments.push(one);
        if let Some(next) = next.filter(|next| *next > number + 1) {
            found(segment_name(number + 1), None, Trouble::Missing(next - 1));
        }
    }
    for name in names {
        let size = |name: &str| -> io::Result<FileSize> {
            Ok(FileSize { name: name.to_owned(), bytes: disk.open(name)?.bytes()? })
        };
        if is_spare_name(&name) {
            survey.spares.extend(size(&name));
        } else if name.ends_with(".damaged") {
            survey.set_aside.extend(size(&name));
        } else {
            survey.keys.extend(keys::survey(disk, log_id, &name, &mut found));
        }
    }
    survey.identity = identity;
    survey.findings = findings;
    Ok(survey)
}

type Found<'a> = dyn FnMut(String, Option<u64>, Trouble) + 'a;

fn segment(
    disk: &dyn Disk,
    log_id: uuid::Uuid,
    number: u64,
    follows: Option<LogPosition>,
    found: &mut Found<'_>,
) -> Result<SegmentSurvey, OpenError> {
    let name = segment_name(number);
    let mut one = SegmentSurvey { number, ..SegmentSurvey::default() };
    let segment = match open(disk, log_id, number)? {
        Opened::Sound(segment) => segment,
        Opened::Rebuilt(segment) => {
            found(name.clone(), Some(0), Trouble::Header(Damage::Header));
            segment
        }
        Opened::Foreign => {
            found(name, Some(0), Trouble::Foreign);
            return Ok(one);
        }
        Opened::Unreadable => {
            found(name, Some(0), Trouble::Header(Damage::Header));
            return Ok(one);
        }
    };
    one.bytes = segment.bytes;
    one.identity = Some(segment.header.identity);
    one.first = segment.header.first;
    match read(&segment, follows, &mut one, found) {
        Ok(Walked { end, offset, torn }) => {
            (one.end, one.used_bytes, one.torn_tail) = (end, offset, torn);
        }
        Err(Unreadable { offset, source }) => {
            found(name, Some(offset), Trouble::Io(source));
        }
    }
    Ok(one)
}

fn read(
    segment: &Segment,
    follows: Option<LogPosition>,
    one: &mut SegmentSurvey,
    found: &mut Found<'_>,
) -> Result<Walked, Unreadable> {
    walk(segment, follows, &mut |piece| match piece {
        Piece::Lost(lost) => {
            one.lost += lost.to.get() - lost.from.get();
            one.end = lost.to;
            found(segment.name(), Some(lost.offset), Trouble::Lost(lost));
        }
        Piece::Record(record) => {
            one.records += 1;
            one.end = record.end();
            for entry in Entries::new(record.payload) {
                match entry {
                    Ok(Entry::Row(_)) => one.rows += 1,
                    Ok(Entry::Hole(hole)) => one.given_up += u64::from(hole.positions()),
                    Ok(_) => {}
                    Err(error) => {
                        let position = record.position;
                        found(segment.name(), None, Trouble::Entry { position, error });
                    }
                }
            }
        }
    })
}
