//! A segment that is written in one go, under a name that means nothing until it is whole.

use std::io;

use super::super::disk::{Disk, DiskFile};
use super::super::entry::{Hole, encode_hole};
use super::super::record::{seal, stage};
use super::super::segment::{RECORDS_START, SegmentHeader};
use super::CHUNK_BYTES;
use crate::model::LogPosition;

/// The file, and what of it waits to be written.
pub(super) struct Draft {
    file: Box<dyn DiskFile>,
    identity: u64,
    frames: Vec<u8>,
    frame: Vec<u8>,
    offset: u64,
    position: LogPosition,
}

impl Draft {
    /// A file of that name, which replaces one that an interrupted attempt has left.
    pub(super) fn create(disk: &dyn Disk, name: &str, header: SegmentHeader) -> io::Result<Self> {
        disk.remove_if_there(name)?;
        let file = disk.create(name)?;
        let mut page = vec![0; RECORDS_START as usize];
        let encoded = header.encode();
        page[..encoded.len()].copy_from_slice(&encoded);
        file.write_all_at(&page, 0)?;
        Ok(Self {
            file,
            identity: header.identity,
            frames: Vec::new(),
            frame: Vec::new(),
            offset: RECORDS_START,
            position: header.first,
        })
    }

    /// Adds a record. All before it count as synced, as they will be when the file has its name.
    pub(super) fn push(&mut self, rows: u32, payload: &[u8]) -> io::Result<()> {
        self.frame.clear();
        stage(&mut self.frame, self.position, rows, payload);
        self.position = seal(&mut self.frame, self.identity, self.position).end;
        self.frames.extend_from_slice(&self.frame);
        if self.frames.len() < CHUNK_BYTES { Ok(()) } else { self.write() }
    }

    /// Adds a record that is a hole.
    pub(super) fn hole(&mut self, hole: &Hole) -> io::Result<()> {
        let mut payload = Vec::new();
        encode_hole(&mut payload, hole);
        self.push(hole.positions(), &payload)
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.frames, self.offset)?;
        self.offset += self.frames.len() as u64;
        self.frames.clear();
        Ok(())
    }

    /// Syncs the file and its name.
    pub(super) fn finish(mut self, disk: &dyn Disk) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()?;
        disk.sync_dir()
    }
}
