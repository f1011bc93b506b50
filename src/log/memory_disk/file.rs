//! A file that is open.

use std::io;
use std::sync::Arc;

use super::State;
use super::content::Content;
use super::faults::{Call, Operation, Verdict};
use crate::log::disk::DiskFile;

pub(super) struct MemoryFile {
    name: String,
    content: Arc<Content>,
    state: Arc<State>,
}

impl MemoryFile {
    pub(super) fn new(name: &str, content: Arc<Content>, state: Arc<State>) -> Self {
        Self { name: name.to_owned(), content, state }
    }

    fn verdict(&self, operation: Operation, bytes: usize, grows: bool) -> Verdict {
        self.state.faults.verdict(&Call { operation, name: &self.name, bytes, grows })
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let verdict = self.verdict(Operation::Read, bytes.len(), false);
        let count = verdict.bytes;
        self.state.carry_out(verdict, || Ok(self.content.read(&mut bytes[..count], offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let grows = offset + bytes.len() as u64 > self.content.bytes();
        let verdict = self.verdict(Operation::Write, bytes.len(), grows);
        let count = verdict.bytes;
        self.state.carry_out(verdict, || {
            self.content.write(self.state.next_serial(), &bytes[..count], offset);
            Ok(count)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        // What is written while the disk is at it need not be covered; here it is not.
        let syncing = self.content.begin_sync();
        let verdict = self.verdict(Operation::Sync, 0, false);
        // Where the process ends, nothing is known to have failed.
        let failed = verdict.error.is_some() && !self.state.faults.is_dead();
        let mut header = [0; 8];
        self.content.read(&mut header, 0);
        // Spares that are being filled have no header: their syncs are none of a test's.
        let permitted =
            if &header == b"NOETLLOG" { self.state.faults.permit_sync() } else { Ok(()) };
        if let Err(error) = permitted {
            self.content.end_sync(&syncing, true);
            return Err(error);
        }
        if verdict.done {
            self.content.end_sync(&syncing, false);
        } else if failed {
            self.content.end_sync(&syncing, true);
        }
        verdict.error.map_or(Ok(()), Err)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.content.bytes())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        // A file whose space is taken asks for none, but for what tests turn off.
        let verdict = self.verdict(Operation::Allocate, 0, true);
        self.state.carry_out(verdict, || {
            self.content.lengthen(self.state.next_serial(), bytes);
            Ok(())
        })
    }
}
