//! A disk in memory that knows what was synced, for tests: it crashes, fills up and fails.
//!
//! It models what the log relies on, and nothing better. A sector of 512 bytes is written whole or
//! not at all. What was not synced survives a crash in any subset of sectors, each as any of the
//! writes since the last sync left it; so does a file's length. Directory changes that were not
//! synced survive in any subset, in their order. After a failed sync the system takes the pages
//! for clean: they are read as they were written, no later sync writes them, and a crash loses
//! them.
//!
//! What goes wrong when is decided by whoever sets [`Fates`], operation by operation.

mod content;
mod directory;
mod faults;
mod file;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use content::Content;
use directory::{Change, Directory, Names};
pub(crate) use faults::{Call, Fate, Fates, Operation};
use faults::{Faults, Verdict};
use file::MemoryFile;

/// What is written whole or not at all.
const SECTOR_BYTES: usize = 512;

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    directory: Mutex<Directory>,
    faults: Faults,
    /// Numbers what is not synced, over all files and the directory.
    serial: AtomicU64,
    /// Numbers files.
    inode: AtomicU64,
}

impl State {
    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}

/// What a crash leaves of what was not synced.
pub(crate) enum Survival<'a> {
    /// All that was written before the change of this number: a disk that keeps the order. Of the
    /// write of this number itself, so many sectors.
    Prefix { serial: u64, sectors: usize },
    /// Asked with a number for the place whether an unsynced state of it survives, the last one
    /// first.
    Subset(&'a mut dyn FnMut(usize) -> bool),
}

impl MemoryDisk {
    /// What a machine finds after a crash at this moment. `keep` is asked, with a number for the
    /// place, whether an unsynced state of a sector and a change of the directory survives.
    pub(crate) fn crash(&self, keep: &mut dyn FnMut(usize) -> bool) -> Self {
        self.survivor(&mut Survival::Subset(keep))
    }

    /// What a machine finds after a crash at this moment.
    pub(crate) fn survivor(&self, survival: &mut Survival<'_>) -> Self {
        let names = self.state.directory.lock().after_crash(survival);
        let mut files: Vec<_> = names.into_iter().collect();
        // Names may be random; numbers are not, and whoever is asked wants to repeat itself.
        files.sort_by_key(|(_, content)| content.inode());
        let survived = files.into_iter().map(|(name, content)| {
            let survivor = Content::synced(content.inode(), content.after_crash(survival));
            (name, Arc::new(survivor))
        });
        let disk = Self::default();
        *disk.state.directory.lock() = Directory::new(survived.collect());
        let inode = self.state.inode.load(Ordering::Relaxed);
        disk.state.inode.store(inode, Ordering::Relaxed);
        disk
    }

    /// The number that the next unsynced change will have.
    pub(crate) fn serial(&self) -> u64 {
        self.state.serial.load(Ordering::Relaxed)
    }

    /// What a process finds after another one was killed: all that was written, synced or not.
    pub(crate) fn after_kill(&self) -> Self {
        self.state.faults.revive();
        self.clone()
    }

    /// The bytes of a file as written.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.content(name).expect("the file exists").written()
    }

    /// Changes bytes of a file behind the log's back, on stable storage too.
    pub(crate) fn damage(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        self.content(name).expect("the file exists").damage(&change);
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.directory.lock().names().keys().cloned().collect()
    }

    /// The lengths of all files whose name `counts`, added up.
    pub(crate) fn bytes_of(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let directory = self.state.directory.lock();
        let counted = directory.names().iter().filter(|(name, _)| counts(name));
        counted.map(|(_, content)| content.bytes()).sum()
    }

    /// Decides from now on about each operation.
    pub(crate) fn set_fates(&self, fates: Option<Arc<Fates>>) {
        self.state.faults.set_fates(fates);
    }

    /// Whether the process that used it has ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.state.faults.is_dead()
    }

    /// From now on every sync of a segment fails, or none.
    pub(crate) fn set_sync_fails(&self, fails: bool) {
        self.state.faults.set(|switches| switches.sync_fails = fails);
    }

    /// Lets only so many further syncs of segments return; `None` takes that back.
    pub(crate) fn permit_syncs(&self, permits: Option<usize>) {
        self.state.faults.set(|switches| switches.sync_permits = permits);
    }

    /// Whether a sync waits for its permit.
    pub(crate) fn holds_a_sync(&self) -> bool {
        self.state.faults.holds_a_sync()
    }

    /// From now on no file can grow, or every file can.
    pub(crate) fn set_full(&self, full: bool) {
        self.state.faults.set(|switches| switches.full = full);
    }

    /// From now on a write takes at most so many bytes.
    pub(crate) fn set_write_bytes_max(&self, bytes: usize) {
        self.state.faults.set(|switches| switches.write_bytes_max = Some(bytes));
    }

    fn content(&self, name: &str) -> io::Result<Arc<Content>> {
        let directory = self.state.directory.lock();
        directory.names().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, name: &str, content: Arc<Content>) -> Box<dyn DiskFile> {
        Box::new(MemoryFile::new(name, content, Arc::clone(&self.state)))
    }

    /// Does a change of the directory as its fate has it.
    fn change(
        &self,
        operation: Operation,
        name: &str,
        change: impl FnOnce(&Names, u64) -> io::Result<Change>,
    ) -> io::Result<()> {
        let call = Call { operation, name, bytes: 0, grows: false };
        let verdict = self.state.faults.verdict(&call);
        self.state.carry_out(verdict, || {
            let mut directory = self.state.directory.lock();
            let change = change(directory.names(), self.state.next_serial())?;
            directory.change(change);
            Ok(())
        })
    }
}

impl State {
    /// Does what is asked if it is to be done, and answers what is to be answered.
    fn carry_out<T>(
        &self,
        verdict: Verdict,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if verdict.done {
            let done = work();
            verdict.error.map_or(done, Err)
        } else {
            Err(verdict.error.expect("what is not done fails"))
        }
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
        let call = Call { operation: Operation::List, name: "", bytes: 0, grows: false };
        let verdict = self.state.faults.verdict(&call);
        self.state.carry_out(verdict, || {
            let directory = self.state.directory.lock();
            let mut files: Vec<_> = directory.names().iter().collect();
            files.sort_by_key(|(_, content)| content.inode());
            Ok(files.into_iter().map(|(name, _)| name.clone()).collect())
        })
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let content = Arc::new(Content::new(self.state.inode.fetch_add(1, Ordering::Relaxed)));
        self.change(Operation::Create, name, |names, serial| {
            if names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let link = Some((name.to_owned(), Arc::clone(&content)));
            Ok(Change { serial, unlink: None, link })
        })?;
        Ok(self.file(name, content))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let call = Call { operation: Operation::Open, name, bytes: 0, grows: false };
        let verdict = self.state.faults.verdict(&call);
        self.state.carry_out(verdict, || Ok(self.file(name, self.content(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(Operation::Rename, to, |names, serial| {
            let content = names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
            let (unlink, link) = (Some(from.to_owned()), Some((to.to_owned(), content)));
            Ok(Change { serial, unlink, link })
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Operation::Remove, name, |names, serial| match names.contains_key(name) {
            true => Ok(Change { serial, unlink: Some(name.to_owned()), link: None }),
            false => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        let call = Call { operation: Operation::SyncDir, name: "", bytes: 0, grows: false };
        let verdict = self.state.faults.verdict(&call);
        self.state.carry_out(verdict, || {
            self.state.directory.lock().sync();
            Ok(())
        })
    }
}
