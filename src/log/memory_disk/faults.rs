//! What goes wrong: decided for each operation, or by switches that a test turns.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long a sync waits for its permit before it fails.
const HELD_SYNC_MAX: Duration = Duration::from_secs(30);

/// What is asked of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Read,
    Write,
    Sync,
    Allocate,
}

/// One operation before it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    /// The file's name when it was opened; of a rename, the new one.
    pub(crate) name: &'a str,
    /// What a read or a write is asked for.
    pub(crate) bytes: usize,
    /// Whether the file would be longer afterwards.
    pub(crate) grows: bool,
}

/// How an operation goes.
#[derive(Debug)]
pub(crate) enum Fate {
    /// As it should.
    Done,
    /// A read or a write goes so far and no further, at least one byte.
    Short(usize),
    /// It fails, done or not. What a failed sync covered is never synced.
    Fails { error: io::Error, done: bool },
    /// The process ends here, with the operation done or not. No later one is done.
    Dies { done: bool },
}

/// Decides about each operation. Called without a lock, so it may use the disk itself.
pub(crate) type Fates = dyn Fn(&Call<'_>) -> Fate + Send + Sync;

/// What comes of a [`Fate`].
pub(super) struct Verdict {
    pub(super) done: bool,
    pub(super) bytes: usize,
    pub(super) error: Option<io::Error>,
}

#[derive(Default)]
pub(super) struct Faults {
    fates: Mutex<Option<Arc<Fates>>>,
    dead: AtomicBool,
    switches: Mutex<Switches>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Switches {
    /// Whether syncs of segments fail.
    pub(super) sync_fails: bool,
    /// Where it is some, a sync of a segment waits until it can take one of so many permits.
    pub(super) sync_permits: Option<usize>,
    /// Syncs that wait for a permit.
    syncs_waiting: usize,
    pub(super) full: bool,
    pub(super) write_bytes_max: Option<usize>,
}

impl Faults {
    pub(super) fn verdict(&self, call: &Call<'_>) -> Verdict {
        let fates = self.fates.lock().clone();
        let fate = match fates {
            _ if self.is_dead() => Fate::Dies { done: false },
            Some(fates) => fates(call),
            None => Fate::Done,
        };
        let verdict = |done, error| Verdict { done, bytes: call.bytes, error };
        match fate {
            // Asking may have been the end.
            _ if self.is_dead() => verdict(false, Some(dead())),
            Fate::Done => self.switched(call),
            Fate::Short(bytes) => {
                Verdict { done: true, bytes: bytes.clamp(1, call.bytes.max(1)), error: None }
            }
            Fate::Fails { error, done } => verdict(done, Some(error)),
            Fate::Dies { done } => {
                self.dead.store(true, Ordering::SeqCst);
                verdict(done, Some(dead()))
            }
        }
    }

    fn switched(&self, call: &Call<'_>) -> Verdict {
        let switches = self.switches.lock();
        let mut bytes = call.bytes;
        if call.operation == Operation::Write {
            bytes = bytes.min(switches.write_bytes_max.unwrap_or(usize::MAX));
        }
        let full = switches.full && call.grows;
        let error = full.then(|| io::ErrorKind::StorageFull.into());
        Verdict { done: !full, bytes, error }
    }

    /// Waits for the permit of a segment's sync, and says whether the sync fails.
    pub(super) fn permit_sync(&self) -> io::Result<()> {
        let mut switches = self.switches.lock();
        switches.syncs_waiting += 1;
        while switches.sync_permits == Some(0) {
            // A test that fails never permits it; it should fail and not hang.
            if self.changed.wait_for(&mut switches, HELD_SYNC_MAX).timed_out() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        switches.syncs_waiting -= 1;
        switches.sync_permits = switches.sync_permits.map(|permits| permits - 1);
        if switches.sync_fails {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(())
    }

    pub(super) fn holds_a_sync(&self) -> bool {
        let switches = self.switches.lock();
        switches.syncs_waiting > 0 && switches.sync_permits == Some(0)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches.lock());
        self.changed.notify_all();
    }

    pub(super) fn set_fates(&self, fates: Option<Arc<Fates>>) {
        *self.fates.lock() = fates;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Another process begins.
    pub(super) fn revive(&self) {
        self.set_fates(None);
        self.dead.store(false, Ordering::SeqCst);
    }
}

fn dead() -> io::Error {
    io::Error::other("the process has ended")
}
