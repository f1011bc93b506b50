//! Changes the log of a stopped server so that it can go on after damage.
//!
//! Nothing is ever deleted: the damaged segment stays beside the log under another name, and what
//! stands in its place says itself which positions were given up. A crash half-way leaves a log
//! that is refused as before; ask again then.

mod draft;

use std::io;

use uuid::Uuid;

use super::disk::{Disk, DiskFile};
use super::entry::Hole;
use super::error::OpenError;
use super::identity::{Identity, IdentityError};
use super::scan;
use super::segment::{Segment, SegmentHeader, random_identity, segment_name};
use super::survey::walk::{Piece, Unreadable, walk};
use super::survey::{Opened, open};
use crate::model::{LogPosition, Timestamp};
use draft::Draft;

/// Whether a change is to be made, or only to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// Say what would be done.
    Propose,
    /// Do it.
    Perform,
}

/// What was done for a segment, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Records that are kept.
    pub records_kept: u64,
    /// Rows in them.
    pub rows_kept: u64,
    /// Places in the file that cannot be read.
    pub places: u64,
    /// How many records are lost at least.
    pub records_lost_min: u64,
    /// The first and the last position that is lost, and how many are.
    pub lost: Option<LostPositions>,
    /// Nothing of the newest segment can be read, so nobody knows how much it held.
    pub end_unknown: bool,
    /// The name under which the segment is kept as it was, once that is done.
    pub kept_as: Option<String>,
}

/// Positions that are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostPositions {
    /// The first.
    pub from: LogPosition,
    /// The first behind the last.
    pub to: LogPosition,
    /// How many of those between are lost.
    pub count: u64,
}

/// Why a segment cannot be set aside.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// The log cannot be looked at.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The identity is unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log has no such segment.
    #[error("the log has no segment {number}, it has {first} to {last}")]
    NoSuch {
        /// What was asked for.
        number: u64,
        /// The oldest there is.
        first: u64,
        /// The newest there is.
        last: u64,
    },
    /// It cannot be told where the segment begins or ends, for its neighbour cannot be read.
    #[error("segment {neighbour} cannot be read either; set that one aside first")]
    Neighbour {
        /// The one to begin with.
        neighbour: u64,
    },
    /// The only segment says nothing at all.
    #[error(
        "nothing in {} can be read and there is no other segment; restore the log directory from a \
         backup, or start with an empty one, which becomes a new node", segment_name(*.0)
    )]
    NothingReadable(u64),
    /// The operating system refused.
    #[error("{doing}: {source}; nothing was given up, check the disk and try again")]
    Io {
        /// A verb phrase.
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl MendError {
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The segment as it is, and where its neighbours say that it begins and ends.
struct Place {
    source: Option<Segment>,
    /// The header of the source had to be made again.
    rebuilt: bool,
    start: LogPosition,
    /// `None` for the active segment.
    end: Option<LogPosition>,
    end_unknown: bool,
}

/// The name of the segment's file while it is made.
const DRAFT_NAME: &str = "mend.new";
/// The name of the damaged one while it is copied.
const COPY_NAME: &str = "damaged.new";
/// Bytes that are copied or written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Puts a readable segment in the place of a damaged or missing one: it holds the records that
/// can be read, and holes for those that cannot.
///
/// A segment without damage is left alone, whatever `resolve` says.
pub fn set_aside(
    disk: &dyn Disk,
    number: u64,
    resolve: Resolve,
    now: Timestamp,
) -> Result<Mended, MendError> {
    let Some(mut identity) = Identity::load(disk)? else {
        return Err(OpenError::NoLog { location: disk.location() }.into());
    };
    let log_id = identity.log_id();
    let names = disk.list().map_err(MendError::io("list the log directory"))?;
    let place = place(disk, log_id, number, &names)?;
    let mut mended = Mended { end_unknown: place.end_unknown, ..Mended::default() };
    rewrite(&place, &mut mended, now, None)?;
    let as_it_should_be = names.contains(&segment_name(number))
        && place.source.is_some()
        && !place.end_unknown
        && mended.places == 0;
    if as_it_should_be || resolve == Resolve::Propose {
        return Ok(mended);
    }
    let before = place.source.as_ref().and_then(|segment| segment.header.before);
    let identity_of_segment = random_identity();
    let header =
        SegmentHeader { log_id, identity: identity_of_segment, number, first: place.start, before };
    mended = Mended { end_unknown: place.end_unknown, ..Mended::default() };
    let writing = || MendError::io(format!("write {DRAFT_NAME}"));
    let mut draft = Draft::create(disk, DRAFT_NAME, header).map_err(writing())?;
    rewrite(&place, &mut mended, now, Some(&mut draft))?;
    draft.finish(disk).map_err(writing())?;
    // What was lost may have given slots out.
    identity.close_groups(disk, None)?;
    mended.kept_as = exchange(disk, number, &names)
        .map_err(MendError::io(format!("put another {} in place", segment_name(number))))?;
    Ok(mended)
}

/// The name under which a segment is kept, free of those of earlier times.
fn free_name(number: u64, names: &[String]) -> String {
    let nth = |nth: u32| match nth {
        1 => format!("{number:016}.damaged"),
        _ => format!("{number:016}-{nth}.damaged"),
    };
    (1..).map(nth).find(|name| !names.contains(name)).expect("a directory is finite")
}

/// Keeps the segment as it is and gives its name to the draft. Whenever a crash comes, the name
/// leads to one of the two: were there no segment for a moment, and it the newest, the next start
/// would not miss it.
fn exchange(disk: &dyn Disk, number: u64, names: &[String]) -> io::Result<Option<String>> {
    let name = segment_name(number);
    let kept_as = names.contains(&name).then(|| free_name(number, names));
    if let Some(kept_as) = &kept_as {
        disk.remove_if_there(COPY_NAME)?;
        copy(&*disk.open(&name)?, &*disk.create(COPY_NAME)?)?;
        disk.rename(COPY_NAME, kept_as)?;
        disk.sync_dir()?;
    }
    disk.rename(DRAFT_NAME, &name)?;
    disk.sync_dir()?;
    Ok(kept_as)
}

fn copy(from: &dyn DiskFile, to: &dyn DiskFile) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    loop {
        match from.read_full_at(&mut chunk, offset)? {
            0 => return to.sync_data(),
            read => to.write_all_at(&chunk[..read], offset)?,
        }
        offset += CHUNK_BYTES as u64;
    }
}

fn place(disk: &dyn Disk, log_id: Uuid, number: u64, names: &[String]) -> Result<Place, MendError> {
    let numbers = scan::numbers(names);
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        return Err(OpenError::NoLog { location: disk.location() }.into());
    };
    if !(first..=last).contains(&number) {
        return Err(MendError::NoSuch { number, first, last });
    }
    let (source, rebuilt) = if numbers.contains(&number) {
        match open(disk, log_id, number)? {
            Opened::Sound(segment) => (Some(segment), false),
            Opened::Rebuilt(segment) => (Some(segment), true),
            Opened::Unreadable | Opened::Foreign => (None, false),
        }
    } else {
        (None, false)
    };
    let next = numbers.iter().copied().find(|other| *other > number);
    let end = match next {
        None => None,
        Some(next) => {
            let first = open(disk, log_id, next)?.first();
            Some(first.ok_or(MendError::Neighbour { neighbour: next })?)
        }
    };
    let start = match &source {
        Some(segment) => segment.header.first,
        None => match (before(disk, log_id, number, &numbers)?, end) {
            (Some(end_before), _) => end_before,
            (None, Some(end)) => end,
            (None, None) => return Err(MendError::NothingReadable(number)),
        },
    };
    let end_unknown = source.is_none() && end.is_none();
    Ok(Place { source, rebuilt, start, end: end.map(|end| end.max(start)), end_unknown })
}

/// Where the segment before `number` ends; `None` when that is the oldest.
fn before(
    disk: &dyn Disk,
    log_id: Uuid,
    number: u64,
    numbers: &[u64],
) -> Result<Option<LogPosition>, MendError> {
    if numbers.first().is_none_or(|first| *first >= number) {
        return Ok(None);
    }
    let neighbour = number - 1;
    if !numbers.contains(&neighbour) {
        return Err(MendError::Neighbour { neighbour });
    }
    match open(disk, log_id, neighbour)? {
        Opened::Sound(segment) | Opened::Rebuilt(segment) => {
            let walked = walk(&segment, None, &mut |_| {}).map_err(unreadable(&segment))?;
            Ok(Some(walked.end))
        }
        Opened::Unreadable | Opened::Foreign => Err(MendError::Neighbour { neighbour }),
    }
}

fn unreadable(segment: &Segment) -> impl FnOnce(Unreadable) -> MendError {
    let name = segment.name();
    move |Unreadable { offset, source }| MendError::Io {
        doing: format!("read {name} at byte {offset}"),
        source,
    }
}

/// Goes through what is there, counts it and writes it to `draft`, if there is one.
fn rewrite(
    place: &Place,
    mended: &mut Mended,
    now: Timestamp,
    mut draft: Option<&mut Draft>,
) -> Result<(), MendError> {
    let mut written = Ok(());
    let give_up = |mended: &mut Mended, from: LogPosition, to, draft: &mut Option<&mut Draft>| {
        let lost = mended.lost.get_or_insert(LostPositions { from, to, count: 0 });
        lost.count += to.get() - from.get();
        lost.to = to;
        match draft {
            Some(draft) => Hole::split(now, from, to).try_for_each(|hole| draft.hole(&hole)),
            None => Ok(()),
        }
    };
    let Some(segment) = &place.source else {
        mended.places = 1;
        mended.records_lost_min = 1;
        if let Some(end) = place.end.filter(|end| *end > place.start) {
            give_up(mended, place.start, end, &mut draft)
                .map_err(MendError::io(format!("write {DRAFT_NAME}")))?;
        }
        return Ok(());
    };
    mended.places += u64::from(place.rebuilt);
    let walked = walk(segment, place.end, &mut |piece| {
        if written.is_err() {
            return;
        }
        written = match piece {
            Piece::Record(record) => {
                mended.records_kept += 1;
                mended.rows_kept += u64::from(record.rows);
                draft.as_mut().map_or(Ok(()), |draft| draft.push(record.rows, record.payload))
            }
            Piece::Lost(lost) => {
                mended.places += 1;
                mended.records_lost_min += lost.records_min;
                if lost.from < lost.to {
                    give_up(mended, lost.from, lost.to, &mut draft)
                } else {
                    Ok(())
                }
            }
        };
    });
    walked.map_err(unreadable(segment))?;
    written.map_err(MendError::io(format!("write {DRAFT_NAME}")))
}
