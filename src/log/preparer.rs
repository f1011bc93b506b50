//! The thread that keeps a segment ready ahead of the writer and deletes what is flushed.
//!
//! A sync into blocks that were filled before takes half the time of one into fresh blocks (see
//! the log's format page), so a spare is filled with zeros, or is a deleted segment as it is: the
//! identity in its new header keeps the old records from being read.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::LogSettings;
use super::catalog::Catalog;
use super::disk::{Disk, DiskFile};
use super::error::LogFailed;
use super::intake::{Intake, Shortage};
use super::keys::KeyFiles;
use super::progress::Progress;
use super::segment::{Segment, fresh_spare_name};

/// Segments kept ready.
const SPARES_KEPT: usize = 1;
/// How often a full disk is asked again.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);
/// Zeros that are written between two syncs, so that filling a segment does not stall the log's
/// own syncs for long.
const FILL_BYTES: usize = 4 << 20;

/// A prepared file and its name.
pub(super) type Spare = (String, Box<dyn DiskFile>);

/// Prepared segments, in the order in which they were offered.
#[derive(Default)]
pub(super) struct Spares {
    waiting: Mutex<VecDeque<Spare>>,
    /// Whether the writer has one that the catalog does not know yet. It takes its bytes.
    in_hand: AtomicBool,
}

impl Spares {
    /// The next spare. Records are only given to spares that were put here before.
    pub(super) fn take(&self) -> Spare {
        let mut waiting = self.waiting.lock();
        self.in_hand.store(true, Ordering::SeqCst);
        waiting.pop_front().expect("a record is never given to a spare that is not there")
    }

    /// Says that the spare which was taken is in the catalog.
    pub(super) fn placed(&self) {
        self.in_hand.store(false, Ordering::SeqCst);
    }

    fn put(&self, spare: Spare) {
        self.waiting.lock().push_back(spare);
    }

    fn count(&self) -> usize {
        self.waiting.lock().len()
    }
}

/// What the thread owns.
pub(super) struct Preparer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: LogSettings,
    pub(super) intake: Arc<Intake>,
    pub(super) spares: Arc<Spares>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) progress: Arc<Progress>,
    pub(super) keys: KeyFiles,
    /// Spares that an earlier process left, not yet offered.
    pub(super) inherited: Vec<String>,
}

impl Preparer {
    /// Runs until the log is closed or fails.
    pub(super) fn run(mut self) {
        while !self.progress.is_closed() {
            let Ok(pause) = self.keep_up_or_fail() else { return };
            // Whether it is wanted or only time: there may be something to do.
            self.progress.wait_upkeep(pause);
        }
    }

    /// Does what there is to do and says after which time to look again, if nobody asks for it
    /// before. Fails the log where that has failed.
    pub(super) fn keep_up_or_fail(&mut self) -> Result<Option<Duration>, LogFailed> {
        match self.keep_up() {
            Ok(()) => Ok(None),
            Err(error) if is_disk_full(&error) => {
                self.intake.set_shortage(Shortage::Disk);
                Ok(Some(DISK_FULL_PAUSE))
            }
            Err(error) => {
                let failed = LogFailed::new("prepare a segment", &error);
                self.intake.fail(&failed);
                Err(failed)
            }
        }
    }

    /// Deletes what is flushed and fills up the spares.
    fn keep_up(&mut self) -> io::Result<()> {
        self.take_inherited()?;
        while let Some(segment) = self.catalog.release(self.progress.flushed()) {
            self.keep_keys(&segment)?;
            self.retire(segment)?;
        }
        if let Some(position) = self.catalog.release_at() {
            self.progress.set_release_at(position);
        }
        while self.spares.count() < SPARES_KEPT {
            if self.bytes() + self.settings.segment_bytes > self.settings.budget_bytes {
                self.intake.set_shortage(Shortage::Budget);
                return Ok(());
            }
            self.offer(prepare(&*self.disk, self.settings.segment_bytes)?);
        }
        Ok(())
    }

    /// Offers a spare that an earlier process left, where it fits, and removes the others before
    /// anything else is made: nobody counts them.
    fn take_inherited(&mut self) -> io::Result<()> {
        let bytes = self.settings.segment_bytes;
        while let Some(name) = self.inherited.pop() {
            let file = self.disk.open(&name)?;
            if self.spares.count() < SPARES_KEPT
                && file.bytes()? == bytes
                && self.bytes() + bytes <= self.settings.budget_bytes
            {
                self.offer((name, file));
            } else {
                self.disk.remove(&name)?;
            }
        }
        Ok(())
    }

    /// What the log takes on the disk, but for spares that wait.
    fn bytes(&self) -> u64 {
        // In this order: counted twice, it is only looked at again once it is in the catalog.
        let in_hand = self.spares.in_hand.load(Ordering::SeqCst);
        let taken = if in_hand { self.settings.segment_bytes } else { 0 };
        taken + self.catalog.bytes() + self.keys.bytes()
    }

    /// Keeps what a restart must know of a released segment. A full disk must not keep the segment
    /// itself, whose space is what is wanted.
    fn keep_keys(&mut self, segment: &Segment) -> io::Result<()> {
        match self.keys.keep(&*self.disk, segment) {
            Err(error) if is_disk_full(&error) => {
                tracing::error!(
                    segment = segment.name(),
                    "no space for the idempotency keys of a segment that goes; a restart within \
                     ten minutes would take retries of its reports for new ones: free some space"
                );
                Ok(())
            }
            kept => kept,
        }
    }

    fn offer(&self, spare: Spare) {
        self.spares.put(spare);
        self.intake.offer_spare();
    }

    /// Makes a released segment a spare, or deletes it where no spare is wanted, where its length
    /// is an older setting's, or where a reader still has it open.
    fn retire(&self, segment: Arc<Segment>) -> io::Result<()> {
        let name = segment.name();
        match Arc::try_unwrap(segment) {
            Ok(segment)
                if self.spares.count() < SPARES_KEPT
                    && segment.bytes == self.settings.segment_bytes
                    // Its keys have come to the log's bytes meanwhile.
                    && self.bytes() + segment.bytes <= self.settings.budget_bytes =>
            {
                let spare_name = fresh_spare_name();
                self.disk.rename(&name, &spare_name)?;
                // Were this rename to survive a crash and an earlier one not, the row of segments
                // would have a hole; and before it is synced the file must not be written.
                self.disk.sync_dir()?;
                self.offer((spare_name, segment.file));
                Ok(())
            }
            Ok(_) | Err(_) => {
                self.disk.remove(&name)?;
                self.disk.sync_dir()
            }
        }
    }
}

/// A new file of `bytes` zeros, synced; nothing is left of it when that fails.
pub(super) fn prepare(disk: &dyn Disk, bytes: u64) -> io::Result<Spare> {
    let name = fresh_spare_name();
    let file = disk.create(&name)?;
    match fill(&*file, 0, bytes) {
        Ok(()) => {
            disk.sync_dir()?;
            Ok((name, file))
        }
        Err(error) => {
            disk.remove(&name)?;
            Err(error)
        }
    }
}

/// Writes zeros over `from..to` and syncs them.
fn fill(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    file.allocate_all(to)?;
    zero(file, from, to)
}

/// Overwrites `from..to` with zeros and syncs them.
pub(super) fn zero(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES.min(usize::try_from(to - from).unwrap_or(FILL_BYTES))];
    while from < to {
        let step = (to - from).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], from)?;
        file.sync_data()?;
        from += step;
    }
    Ok(())
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
