//! The frame of a record: header, payload, padding; and why one may be bad.
//!
//! ```text
//!  0  u32  CRC32C of everything after this field, padding included
//!  4  u32  payload bytes
//!  8  u64  identity of the segment
//! 16  u64  position: the number of rows in the log before this record
//! 24  u32  how many rows before this position the log was known to be synced
//! 28  u32  rows
//! 32       payload, then zeros up to a multiple of 8 bytes
//! ```
//!
//! A record is staged by the one who appends it and sealed by the writer, who alone knows the
//! segment it goes to and what is synced by then.

use super::LogPosition;
use crate::model::LogMark;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 32;
/// Every record starts at a multiple of this within its segment.
pub(super) const ALIGNMENT: usize = 8;

/// The bytes that a record of `payload_bytes` takes in its segment.
pub(super) const fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

/// The header of a record. What it says is believed only once [`verify`] has seen the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) checksum: u32,
    pub(super) payload_bytes: u32,
    pub(super) segment: u64,
    pub(super) position: LogPosition,
    pub(super) unsynced_rows: u32,
    pub(super) rows: u32,
}

impl Header {
    /// Reads the first [`HEADER_BYTES`] of `bytes`; `None` when there are fewer.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let (words, _) = header.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at]);
        let double = |at: usize| u64::from(word(at)) | u64::from(word(at + 1)) << 32;
        Some(Self {
            checksum: word(0),
            payload_bytes: word(1),
            segment: double(2),
            position: LogPosition::new(double(4)),
            unsynced_rows: word(6),
            rows: word(7),
        })
    }

    /// The bytes of the whole record.
    pub(super) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// The position of the record that follows; `None` when the header is nonsense.
    pub(super) fn next_position(&self) -> Option<LogPosition> {
        self.position.get().checked_add(u64::from(self.rows.max(1))).map(LogPosition::new)
    }

    /// Up to where the log was synced when this record was written.
    pub(super) fn synced_before(&self) -> u64 {
        self.position.get().saturating_sub(u64::from(self.unsynced_rows))
    }
}

/// Why the bytes at some place are not the record that is expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Nothing of this segment starts there.
    #[error("no record of this segment starts there")]
    Absent,
    /// The length leads out of the segment.
    #[error("its length, {0} bytes, leads out of the segment")]
    Length(u64),
    /// The checksum does not match.
    #[error("its checksum does not match its bytes")]
    Checksum,
    /// It is a record of another place in the log.
    #[error("it stands at position {found} where {expected} is due")]
    Position {
        /// The position that follows from the record before.
        expected: LogPosition,
        /// The position in the record.
        found: LogPosition,
    },
}

/// Appends a record without what [`seal`] adds.
#[inline]
pub(super) fn stage(out: &mut Vec<u8>, position: LogPosition, rows: u32, payload: &[u8]) {
    let frame = frame_bytes(payload.len());
    out.reserve(frame);
    let mut header = [0; HEADER_BYTES];
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&position.get().to_le_bytes());
    header[28..32].copy_from_slice(&rows.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    let padding = frame - HEADER_BYTES - payload.len();
    out.extend_from_slice(&[0; ALIGNMENT][..padding]);
}

/// What [`seal`] went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) records: u64,
    /// The position after the last record.
    pub(super) end: LogPosition,
    /// The mark of the last record.
    pub(super) mark: Option<LogMark>,
}

/// Completes staged records for `segment`, given that the log is synced up to `synced`, which is
/// also the position of the first of them.
pub(super) fn seal(mut staged: &mut [u8], segment: u64, synced: LogPosition) -> Sealed {
    let mut sealed = Sealed { records: 0, end: synced, mark: None };
    while let Some(header) = Header::read(staged) {
        let (frame, rest) = staged.split_at_mut(header.frame_bytes());
        let unsynced_rows = header.position.get() - synced.get();
        // A batch is bounded by memory far below 2^32 rows of a few bytes each; saturation would
        // only claim more rows synced than were, so it is refused.
        let unsynced_rows = u32::try_from(unsynced_rows).expect("a batch has fewer than 2^32 rows");
        frame[8..16].copy_from_slice(&segment.to_le_bytes());
        frame[24..28].copy_from_slice(&unsynced_rows.to_le_bytes());
        let checksum = crc32c::crc32c(&frame[4..]);
        frame[..4].copy_from_slice(&checksum.to_le_bytes());
        sealed.records += 1;
        sealed.end = header.position.advance(u64::from(header.rows.max(1)));
        if rest.is_empty() {
            let payload = &frame[HEADER_BYTES..][..header.payload_bytes as usize];
            sealed.mark = Some(mark(header.position, header.rows, payload));
        }
        staged = rest;
    }
    sealed
}

/// What a record is, wherever it stands: CRC32C over its position, its rows and its payload.
pub(super) fn mark(position: LogPosition, rows: u32, payload: &[u8]) -> LogMark {
    let start = crc32c::crc32c(&position.get().to_le_bytes());
    let head = crc32c::crc32c_append(start, &rows.to_le_bytes());
    LogMark::new(crc32c::crc32c_append(head, payload))
}

/// Checks a whole record, `frame` being exactly as long as its header says.
pub(super) fn verify(header: &Header, frame: &[u8]) -> Result<(), Flaw> {
    let sound = crc32c::crc32c(&frame[4..]) == header.checksum && header.next_position().is_some();
    if sound { Ok(()) } else { Err(Flaw::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_record_says_what_it_was_given() {
        for payload_bytes in 0..40 {
            let payload = vec![7; payload_bytes];
            let mut bytes = Vec::new();
            stage(&mut bytes, LogPosition::new(90), 10, &payload);
            stage(&mut bytes, LogPosition::new(100), 0, &payload);
            let sealed = seal(&mut bytes, 42, LogPosition::new(90));
            let mark = Some(mark(LogPosition::new(100), 0, &payload));
            assert_eq!(sealed, Sealed { records: 2, end: LogPosition::new(101), mark });
            let frame = frame_bytes(payload_bytes);
            assert_eq!(bytes.len(), 2 * frame);
            let header = Header::read(&bytes[frame..]).unwrap();
            assert_eq!(verify(&header, &bytes[frame..]), Ok(()));
            assert_eq!((header.segment, header.rows, header.synced_before()), (42, 0, 90));
            assert_eq!(&bytes[frame + HEADER_BYTES..][..payload_bytes], payload);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        stage(&mut bytes, LogPosition::ZERO, 1, b"payload with padding");
        seal(&mut bytes, 42, LogPosition::ZERO);
        for at in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let header = Header::read(&damaged).unwrap();
            assert_eq!(verify(&header, &damaged), Err(Flaw::Checksum), "bit {at}");
        }
    }
}
