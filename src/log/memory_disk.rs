//! A disk in memory that knows what was synced, for tests: it crashes, fills up and fails.
//!
//! It models what the log relies on. A sector of 512 bytes is written whole or not at all; what
//! was not synced survives a crash in any subset of sectors. Directory changes survive in the
//! order in which they were made, up to some point after the last sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::disk::{Disk, DiskFile};

const SECTOR_BYTES: usize = 512;
/// How long a sync waits for its permit before it fails.
const HELD_SYNC_MAX: Duration = Duration::from_secs(30);

type Names = BTreeMap<String, Arc<Content>>;

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    directory: Mutex<Directory>,
    faults: Mutex<Faults>,
    faults_changed: Condvar,
}

#[derive(Default)]
struct Directory {
    names: Names,
    /// What the directory was at its last sync and after each change since.
    history: Vec<Names>,
}

#[derive(Default)]
struct Faults {
    /// Whether syncs of segments fail.
    sync_fails: bool,
    /// Where it is some, a sync of a segment waits until it can take one of so many permits.
    sync_permits: Option<usize>,
    /// Syncs that wait for a permit.
    syncs_waiting: usize,
    full: bool,
    write_bytes_max: Option<usize>,
}

#[derive(Default)]
struct Content {
    written: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
}

struct MemoryFile {
    content: Arc<Content>,
    state: Arc<State>,
}

impl MemoryDisk {
    /// What a machine finds after a crash at this moment. `keep` is asked, with a number for the
    /// place, whether each unsynced sector and each unsynced change of the directory survives.
    pub(crate) fn crash(&self, keep: &mut dyn FnMut(usize) -> bool) -> Self {
        let directory = self.state.directory.lock();
        let mut names = directory.history.first().unwrap_or(&directory.names).clone();
        for (nth, later) in directory.history.iter().enumerate().skip(1) {
            if !keep(nth) {
                break;
            }
            names.clone_from(later);
        }
        let survivor = Self::default();
        let survived = names.into_iter().map(|(name, content)| {
            let bytes = content.after_crash(keep);
            let content = Content { written: Mutex::new(bytes.clone()), synced: Mutex::new(bytes) };
            (name, Arc::new(content))
        });
        survivor.state.directory.lock().names = survived.collect();
        survivor
    }

    /// The bytes of a file as written.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.content(name).expect("the file exists").written.lock().clone()
    }

    /// Changes bytes of a file behind the log's back, on stable storage too.
    pub(crate) fn damage(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let content = self.content(name).expect("the file exists");
        change(&mut content.written.lock());
        change(&mut content.synced.lock());
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.directory.lock().names.keys().cloned().collect()
    }

    /// From now on every sync of a segment fails, or none.
    pub(crate) fn set_sync_fails(&self, fails: bool) {
        self.set(|faults| faults.sync_fails = fails);
    }

    /// Lets only so many further syncs of segments return; `None` takes that back.
    pub(crate) fn permit_syncs(&self, permits: Option<usize>) {
        self.set(|faults| faults.sync_permits = permits);
    }

    /// Whether a sync waits for its permit.
    pub(crate) fn holds_a_sync(&self) -> bool {
        let faults = self.state.faults.lock();
        faults.syncs_waiting > 0 && faults.sync_permits == Some(0)
    }

    /// From now on no file can grow, or every file can.
    pub(crate) fn set_full(&self, full: bool) {
        self.set(|faults| faults.full = full);
    }

    /// From now on a write takes at most so many bytes.
    pub(crate) fn set_write_bytes_max(&self, bytes: usize) {
        self.set(|faults| faults.write_bytes_max = Some(bytes));
    }

    fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.faults.lock());
        self.state.faults_changed.notify_all();
    }

    fn content(&self, name: &str) -> io::Result<Arc<Content>> {
        let directory = self.state.directory.lock();
        directory.names.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Names) -> io::Result<T>) -> io::Result<T> {
        let mut directory = self.state.directory.lock();
        if directory.history.is_empty() {
            let before = directory.names.clone();
            directory.history.push(before);
        }
        let changed = change(&mut directory.names)?;
        let after = directory.names.clone();
        directory.history.push(after);
        Ok(changed)
    }

    fn file(&self, content: Arc<Content>) -> Box<dyn DiskFile> {
        Box::new(MemoryFile { content, state: Arc::clone(&self.state) })
    }
}

impl Content {
    fn after_crash(&self, keep: &mut dyn FnMut(usize) -> bool) -> Vec<u8> {
        let written = self.written.lock();
        let mut bytes = self.synced.lock().clone();
        if bytes.len() != written.len() && keep(0) {
            bytes.resize(written.len(), 0);
        }
        let length = bytes.len();
        for start in (0..length.min(written.len())).step_by(SECTOR_BYTES) {
            let sector = start..(start + SECTOR_BYTES).min(length).min(written.len());
            if bytes[sector.clone()] != written[sector.clone()] && keep(start / SECTOR_BYTES) {
                bytes[sector.clone()].copy_from_slice(&written[sector]);
            }
        }
        bytes
    }
}

impl Disk for MemoryDisk {
    fn location(&self) -> String {
        "in memory".to_owned()
    }

    fn lock_exclusive(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let content = Arc::new(Content::default());
        self.change(|names| match names.contains_key(name) {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok(names.insert(name.to_owned(), Arc::clone(&content))),
        })?;
        Ok(self.file(content))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.content(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|names| {
            let content = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            names.insert(to.to_owned(), content);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.content(name).is_err() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(|names| Ok(names.remove(name))).map(|_| ())
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.state.directory.lock().history.clear();
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let written = self.content.written.lock();
        let from = written.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(bytes.len());
        bytes[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let faults = self.state.faults.lock();
        let count = bytes.len().min(faults.write_bytes_max.unwrap_or(usize::MAX));
        let mut written = self.content.written.lock();
        let end = offset as usize + count;
        if end > written.len() {
            if faults.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.resize(end, 0);
        }
        written[offset as usize..end].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        // What is written while the disk is at it need not be covered; here it is not.
        let written = self.content.written.lock().clone();
        // Spares that are being filled have no header: their syncs are none of a test's.
        if written.starts_with(b"NOETLLOG") {
            let mut faults = self.state.faults.lock();
            faults.syncs_waiting += 1;
            while faults.sync_permits == Some(0) {
                // A test that fails never permits it; it should fail and not hang.
                if self.state.faults_changed.wait_for(&mut faults, HELD_SYNC_MAX).timed_out() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            faults.syncs_waiting -= 1;
            faults.sync_permits = faults.sync_permits.map(|permits| permits - 1);
            if faults.sync_fails {
                return Err(io::Error::other("the disk is broken"));
            }
        }
        *self.content.synced.lock() = written;
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.content.written.lock().len() as u64)
    }

    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        match self.state.faults.lock().full {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}
