//! Segment files: their names, their header, and what the log remembers of each.
//!
//! A segment starts with 4096 bytes that hold its header and nothing else, so that writing
//! records never touches the header's sector.
//!
//! ```text
//!  0  8 bytes  NOETLLOG
//!  8  u32      version, 1
//! 12  u32      zero
//! 16  16 bytes the log's id
//! 32  u64      identity: a random number that every record in the segment repeats
//! 40  u64      number, as in the file's name
//! 48  u64      position of the first record
//! 56  u32      mark of the record before the first; 0: not known
//! 60  u32      CRC32C of the 60 bytes before
//! ```

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::LogPosition;
use super::disk::DiskFile;
use crate::model::LogMark;

/// Where the first record stands.
pub(super) const RECORDS_START: u64 = 4096;
/// Bytes of the header that mean something.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"NOETLLOG";
const VERSION: u32 = 1;

/// `0000000000000042.log`.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016}.log")
}

/// The number in a segment's name; `None` for any other name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    digits.parse().ok()
}

/// A name that no other spare has, such as `3f0c….spare`.
pub(super) fn fresh_spare_name() -> String {
    format!("{:016x}.spare", random_identity())
}

/// Whether `name` is that of a spare.
pub(super) fn is_spare_name(name: &str) -> bool {
    name.strip_suffix(".spare").is_some_and(|stem| stem.len() == 16)
}

/// A segment identity that nothing on the disk has and no client can guess.
pub(super) fn random_identity() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log_id: Uuid,
    pub(super) identity: u64,
    pub(super) number: u64,
    pub(super) first: LogPosition,
    /// The mark of the record before the first.
    pub(super) before: Option<LogMark>,
}

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadSegmentHeader {
    /// It is damaged.
    Damaged,
    /// It is sound and of a version that this program does not know.
    Version(u32),
}

impl SegmentHeader {
    /// The header's bytes.
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.log_id.as_bytes());
        bytes[32..40].copy_from_slice(&self.identity.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.number.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.first.get().to_le_bytes());
        // One mark in 2^32 is zero, and then not known.
        let before = self.before.map_or(0, LogMark::get);
        bytes[56..60].copy_from_slice(&before.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what [`SegmentHeader::encode`] wrote.
    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, BadSegmentHeader> {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at / 4]);
        let double = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if bytes[..8] != *MAGIC || word(60) != crc32c::crc32c(&bytes[..60]) {
            return Err(BadSegmentHeader::Damaged);
        }
        if word(8) != VERSION {
            return Err(BadSegmentHeader::Version(word(8)));
        }
        Ok(Self {
            log_id: Uuid::from_slice(&bytes[16..32]).map_err(|_| BadSegmentHeader::Damaged)?,
            identity: double(32),
            number: double(40),
            first: LogPosition::new(double(48)),
            before: Some(LogMark::new(word(56))).filter(|mark| mark.get() != 0),
        })
    }
}

/// A segment of the log, shared by the writer and by those who read it.
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) file: Box<dyn DiskFile>,
    /// The length of the file.
    pub(super) bytes: u64,
    synced_bytes: AtomicU64,
    end: OnceLock<LogPosition>,
}

impl Segment {
    /// A segment of which everything below `synced_bytes` is synced.
    pub(super) fn new(
        header: SegmentHeader,
        file: Box<dyn DiskFile>,
        bytes: u64,
        synced_bytes: u64,
    ) -> Self {
        Self {
            header,
            file,
            bytes,
            synced_bytes: AtomicU64::new(synced_bytes),
            end: OnceLock::new(),
        }
    }

    /// The file's name.
    pub(super) fn name(&self) -> String {
        segment_name(self.header.number)
    }

    /// The offset up to which the file's bytes are synced, always a record's boundary.
    pub(super) fn synced_bytes(&self) -> u64 {
        self.synced_bytes.load(Ordering::Acquire)
    }

    /// Moves the synced offset on; only the writer does.
    pub(super) fn set_synced_bytes(&self, offset: u64) {
        self.synced_bytes.store(offset, Ordering::Release);
    }

    /// The position after the last record, once no further record will be written here.
    pub(super) fn end(&self) -> Option<LogPosition> {
        self.end.get().copied()
    }

    /// Says that no further record will be written here.
    pub(super) fn complete(&self, end: LogPosition) {
        assert!(self.end.set(end).is_ok(), "a segment is completed once");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_number_and_sort_by_it() {
        let check = |name: &str, number: Option<u64>| assert_eq!(segment_number(name), number);
        check(&segment_name(42), Some(42));
        check("0000000000000042.log", Some(42));
        check("42.log", None);
        check("000000000000004x.log", None);
        check("+000000000000042.log", None);
        check("0000000000000042.spare", None);
        assert!(segment_name(9) < segment_name(10));
        assert!(is_spare_name(&fresh_spare_name()));
        assert!(!is_spare_name("identity"));
    }

    #[test]
    fn a_header_is_read_as_written_and_damage_is_noticed() {
        let header = SegmentHeader {
            log_id: Uuid::new_v4(),
            identity: random_identity(),
            number: 3,
            first: LogPosition::new(77),
            before: Some(LogMark::new(0x0102_0304)),
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(SegmentHeader::decode(&damaged), Err(BadSegmentHeader::Damaged));
        }
        let mut newer = bytes;
        newer[8] = 2;
        let checksum = crc32c::crc32c(&newer[..60]);
        newer[60..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&newer), Err(BadSegmentHeader::Version(2)));
    }
}
