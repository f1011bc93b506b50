//! The bytes of one file: as written, and as a crash may leave them.

use parking_lot::Mutex;

use super::{SECTOR_BYTES, Survival};

/// A file's bytes.
pub(super) struct Content {
    inode: u64,
    bytes: Mutex<Bytes>,
}

#[derive(Default)]
struct Bytes {
    written: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Write>,
}

/// A write since the last sync.
struct Write {
    serial: u64,
    offset: usize,
    bytes: Vec<u8>,
}

impl Write {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }

    /// Writes what of it lies in `range` of the file.
    fn apply(&self, file: &mut [u8], range: std::ops::Range<usize>) {
        let (from, to) = (self.offset.max(range.start), self.end().min(range.end));
        if from < to {
            file[from..to].copy_from_slice(&self.bytes[from - self.offset..to - self.offset]);
        }
    }
}

impl Content {
    /// An empty file.
    pub(super) fn new(inode: u64) -> Self {
        Self { inode, bytes: Mutex::default() }
    }

    /// A file of these bytes, all synced.
    pub(super) fn synced(inode: u64, bytes: Vec<u8>) -> Self {
        let bytes = Bytes { written: bytes.clone(), synced: bytes, unsynced: Vec::new() };
        Self { inode, bytes: Mutex::new(bytes) }
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    pub(super) fn written(&self) -> Vec<u8> {
        self.bytes.lock().written.clone()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.lock().written.len() as u64
    }

    /// How many bytes were read.
    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> usize {
        let content = self.bytes.lock();
        let from = content.written.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(bytes.len());
        bytes[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(super) fn write(&self, serial: u64, bytes: &[u8], offset: u64) {
        let mut content = self.bytes.lock();
        let write = Write { serial, offset: offset as usize, bytes: bytes.to_vec() };
        if content.written.len() < write.end() {
            content.written.resize(write.end(), 0);
        }
        let all = 0..usize::MAX;
        write.apply(&mut content.written, all);
        content.unsynced.push(write);
    }

    /// Makes the file at least so long, with zeros.
    pub(super) fn lengthen(&self, serial: u64, bytes: u64) {
        let length = self.bytes() as usize;
        if length < bytes as usize {
            self.write(serial, &[], bytes);
        }
    }

    /// Makes synced what was written when this is called; returns what does so.
    pub(super) fn begin_sync(&self) -> Syncing {
        Syncing { writes: self.bytes.lock().unsynced.len() }
    }

    /// Ends a sync; where it failed, what it covered will never be synced.
    pub(super) fn end_sync(&self, syncing: &Syncing, failed: bool) {
        let content = &mut *self.bytes.lock();
        for write in content.unsynced.drain(..syncing.writes) {
            if failed {
                continue;
            }
            if content.synced.len() < write.end() {
                content.synced.resize(write.end(), 0);
            }
            write.apply(&mut content.synced, 0..usize::MAX);
        }
    }

    pub(super) fn damage(&self, change: &dyn Fn(&mut Vec<u8>)) {
        let mut content = self.bytes.lock();
        change(&mut content.written);
        change(&mut content.synced);
    }

    /// The bytes that a crash leaves.
    pub(super) fn after_crash(&self, survival: &mut Survival<'_>) -> Vec<u8> {
        let content = self.bytes.lock();
        let mut bytes = content.synced.clone();
        match survival {
            Survival::Prefix { serial, sectors } => {
                for write in content.unsynced.iter().filter(|write| write.serial <= *serial) {
                    let mut end = write.end();
                    if write.serial == *serial {
                        end = end.min((write.offset / SECTOR_BYTES + *sectors) * SECTOR_BYTES);
                    }
                    if bytes.len() < end {
                        bytes.resize(end, 0);
                    }
                    write.apply(&mut bytes, 0..end);
                }
            }
            Survival::Subset(keep) => content.subset(&mut bytes, *keep),
        }
        bytes
    }
}

/// A sync on its way.
pub(super) struct Syncing {
    /// How many of the unsynced writes it covers, from the first on.
    writes: usize,
}

impl Bytes {
    /// Each sector, and the length, as it was synced or as any later write left it.
    fn subset(&self, bytes: &mut Vec<u8>, keep: &mut dyn FnMut(usize) -> bool) {
        let length = self.unsynced.iter().rev().map(Write::end).find(|end| {
            // A write that lengthened nothing is no state of the length.
            *end > bytes.len() && keep(0)
        });
        bytes.resize(length.unwrap_or(0).max(bytes.len()), 0);
        for start in (0..bytes.len()).step_by(SECTOR_BYTES) {
            let sector = start..(start + SECTOR_BYTES).min(bytes.len());
            let touches = |write: &&Write| write.offset < sector.end && sector.start < write.end();
            let writes: Vec<_> = self.unsynced.iter().filter(touches).collect();
            let lost = writes.iter().rev().take_while(|_| !keep(start / SECTOR_BYTES)).count();
            for write in &writes[..writes.len() - lost] {
                write.apply(bytes, sector.clone());
            }
        }
    }
}
