//! Looks at a key file.

use uuid::Uuid;

use super::super::cursor::Cursor;
use super::super::disk::Disk;
use super::super::entry::{Entries, Entry};
use super::super::keys::keys_number;
use super::super::record::Flaw;
use super::super::scan;
use super::super::segment::Segment;
use super::{Found, OpenError, Trouble};

/// What a key file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysSurvey {
    /// The number of the segment whose keys they are.
    pub number: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Keys in it.
    pub keys: u64,
}

/// What the file of that name holds; `None` where it is no key file.
pub(super) fn survey(
    disk: &dyn Disk,
    log_id: Uuid,
    name: &str,
    found: &mut Found<'_>,
) -> Option<KeysSurvey> {
    let number = keys_number(name)?;
    let mut one = KeysSurvey { number, bytes: 0, keys: 0 };
    let (header, file) = match scan::read_header(disk, number, name) {
        Ok((header, file)) if header.log_id == log_id => (header, file),
        Err(OpenError::Io { source, .. }) => {
            found(name.to_owned(), None, Trouble::Io(source));
            return Some(one);
        }
        Ok(_) | Err(_) => {
            found(name.to_owned(), Some(0), Trouble::Keys(Flaw::Absent));
            return Some(one);
        }
    };
    one.bytes = match file.bytes() {
        Ok(bytes) => bytes,
        Err(error) => {
            found(name.to_owned(), None, Trouble::Io(error));
            return Some(one);
        }
    };
    let segment = Segment::new(header, file, one.bytes, one.bytes);
    let mut cursor = Cursor::new(header.first);
    while cursor.offset() < one.bytes {
        let offset = Some(cursor.offset());
        match cursor.next(&segment, one.bytes) {
            Ok(Ok((_, payload))) => {
                let entries = Entries::new(payload).map_while(Result::ok);
                one.keys += entries.filter(|entry| matches!(entry, Entry::Key(_))).count() as u64;
            }
            Ok(Err(flaw)) => {
                found(name.to_owned(), offset, Trouble::Keys(flaw));
                break;
            }
            Err(error) => {
                found(name.to_owned(), offset, Trouble::Io(error));
                break;
            }
        }
    }
    Some(one)
}
