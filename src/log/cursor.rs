//! Steps through the records of a segment in large reads, checking each.
//!
//! Recovery and [`super::Reader`] share it, so that a record which one of them takes is taken by
//! the other. Memory is one chunk, or one record where that is larger.

use std::io;

use super::LogPosition;
use super::disk::DiskFile;
use super::record::{self, ALIGNMENT, Flaw, HEADER_BYTES, Header};
use super::segment::{RECORDS_START, Segment};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 512 << 10;

/// A place in a segment, with the bytes that were read ahead of it.
pub(super) struct Cursor {
    /// `buffer[start..end]` are the file's bytes from `offset` on.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    /// The position that the next record must have.
    position: LogPosition,
}

impl Cursor {
    /// At the start of a segment whose first record has `position`.
    pub(super) fn new(position: LogPosition) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, offset: RECORDS_START, position }
    }

    /// Goes to the first record of the next segment.
    pub(super) fn enter_next_segment(&mut self) {
        self.rewind(RECORDS_START, self.position);
    }

    /// Goes to the record of `position` at `offset`, forgetting what was read ahead.
    pub(super) fn rewind(&mut self, offset: u64, position: LogPosition) {
        (self.start, self.end) = (0, 0);
        (self.offset, self.position) = (offset, position);
    }

    /// The file offset of the next record.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position that the next record must have.
    pub(super) fn position(&self) -> LogPosition {
        self.position
    }

    /// The record here, which must end at or below `limit`; steps over it. After a flaw the
    /// cursor has not moved.
    pub(super) fn next(
        &mut self,
        segment: &Segment,
        limit: u64,
    ) -> io::Result<Result<(Header, &[u8]), Flaw>> {
        let header = match self.verified(segment, limit)? {
            Ok(header) => header,
            Err(flaw) => return Ok(Err(flaw)),
        };
        if header.position != self.position {
            return Ok(Err(Flaw::Position { expected: self.position, found: header.position }));
        }
        self.position = header.position.advance(u64::from(header.rows.max(1)));
        let payload = self.start + HEADER_BYTES;
        self.skip(header.frame_bytes());
        Ok(Ok((header, &self.buffer[payload..payload + header.payload_bytes as usize])))
    }

    /// The header of the record here whatever its position, after checking the whole record.
    /// Does not move.
    pub(super) fn verified(
        &mut self,
        segment: &Segment,
        limit: u64,
    ) -> io::Result<Result<Header, Flaw>> {
        let ahead = self.fill(&*segment.file, HEADER_BYTES, limit)?;
        let Some(header) = Header::read(ahead) else { return Ok(Err(Flaw::Absent)) };
        if header.segment != segment.header.identity {
            return Ok(Err(Flaw::Absent));
        }
        let frame_bytes = header.frame_bytes();
        if frame_bytes as u64 > limit - self.offset {
            return Ok(Err(Flaw::Length(u64::from(header.payload_bytes))));
        }
        match self.fill(&*segment.file, frame_bytes, limit)?.get(..frame_bytes) {
            Some(frame) => Ok(record::verify(&header, frame).map(|()| header)),
            None => Ok(Err(Flaw::Length(u64::from(header.payload_bytes)))),
        }
    }

    /// Goes to the next header with this segment's identity, here or further on, sound or not;
    /// `false` when there is none.
    ///
    /// No client can plant one: it would have to know the segment's random identity.
    pub(super) fn seek_header(&mut self, segment: &Segment) -> io::Result<bool> {
        let is_identity = |word: &[u8; 8]| u64::from_le_bytes(*word) == segment.header.identity;
        loop {
            let ahead = self.fill(&*segment.file, HEADER_BYTES, segment.bytes)?;
            // The identity stands in a header's second eight bytes.
            let (words, _) = ahead.as_chunks::<ALIGNMENT>();
            if words.len() * ALIGNMENT < HEADER_BYTES {
                return Ok(false);
            }
            let candidates = &words[1..words.len() - 2];
            match candidates.iter().position(is_identity) {
                Some(at) => {
                    self.skip(at * ALIGNMENT);
                    return Ok(true);
                }
                None => {
                    let clean = candidates.len() * ALIGNMENT;
                    self.skip(clean);
                }
            }
        }
    }

    /// The bytes ahead, at least `wanted` of them unless `limit` or the file's end is nearer.
    pub(super) fn fill(
        &mut self,
        file: &dyn DiskFile,
        wanted: usize,
        limit: u64,
    ) -> io::Result<&[u8]> {
        let ahead = self.end - self.start;
        let left = usize::try_from(limit - self.offset).unwrap_or(usize::MAX);
        if ahead < wanted.min(left) {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, ahead);
            let target = wanted.max(CHUNK_BYTES).min(left);
            if self.buffer.len() < target {
                self.buffer.resize(target, 0);
            }
            let from = self.offset + ahead as u64;
            self.end += file.read_full_at(&mut self.buffer[ahead..target], from)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Steps over `bytes` that [`Cursor::fill`] has returned.
    pub(super) fn skip(&mut self, bytes: usize) {
        debug_assert!(self.start + bytes <= self.end);
        self.start += bytes;
        self.offset += bytes as u64;
    }
}
