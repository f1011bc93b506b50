//! The staging buffer: where records wait for the next sync.
//!
//! An appender copies its record in under a short lock; the writer swaps the whole buffer out,
//! so the next batch gathers while the disk works. The lock also decides each record's position
//! and segment, so that a record which was taken always has its place on the disk prepared: a
//! full disk or a spent budget refuses records and never strands one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::LogPosition;
use super::batch::{Batch, Ticket};
use super::crowd::{self, Expected, Synced};
use super::error::{AppendError, LogFailed};
use super::progress::Progress;
use super::record::{frame_bytes, stage};

/// What [`Intake`] must know of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntakeBounds {
    /// Bytes of records that a prepared segment holds.
    pub(super) segment_room: u64,
    /// Bytes that wait for a sync at most.
    pub(super) staging_bytes_max: usize,
    /// For the message of [`AppendError::OverBudget`].
    pub(super) budget_bytes: u64,
}

/// Why no spare segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// It is being prepared.
    Preparing,
    /// The budget is spent.
    Budget,
    /// The disk is full.
    Disk,
}

/// What [`Intake::admit`] answers, readable without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Gate {
    Open,
    /// Until the writer takes what is staged.
    StagingFull,
    /// Until a spare is offered, like the next two.
    Preparing,
    OverBudget,
    DiskFull,
    Failed,
    Closed,
}

enum Phase {
    Running,
    Closed,
    Failed(LogFailed),
}

struct Staging {
    bytes: Vec<u8>,
    /// Offsets into `bytes` at which a new segment begins.
    cuts: Vec<usize>,
    /// In `bytes`.
    records: usize,
    /// With how many records the writer goes on that gathers; 0 while it does not.
    awaited: usize,
    /// The position of the next record.
    next: LogPosition,
    /// Bytes left in the segment that the next record goes to.
    room: u64,
    /// Prepared segments that no record has been given to yet.
    spares: u32,
    shortage: Shortage,
    /// Of the records in `bytes`.
    batch: Arc<Batch>,
    /// Of the records that the writer is at.
    in_flight: Option<Arc<Batch>>,
    phase: Phase,
}

/// What the writer took; its buffers go back and forth.
#[derive(Default)]
pub(super) struct Work {
    pub(super) bytes: Vec<u8>,
    pub(super) cuts: Vec<usize>,
    pub(super) records: usize,
    pub(super) batch: Arc<Batch>,
}

/// The staging buffer, shared by all appenders, the writer and the preparer.
pub(super) struct Intake {
    staging: Mutex<Staging>,
    work: Condvar,
    gate: AtomicU8,
    bounds: IntakeBounds,
    progress: Arc<Progress>,
}

impl Intake {
    /// An intake whose next record goes to `next`, into a segment with `room` bytes left.
    pub(super) fn new(
        bounds: IntakeBounds,
        next: LogPosition,
        room: u64,
        progress: Arc<Progress>,
    ) -> Self {
        let staging = Staging {
            bytes: Vec::new(),
            cuts: Vec::new(),
            records: 0,
            awaited: 0,
            next,
            room,
            spares: 0,
            shortage: Shortage::Preparing,
            batch: Arc::default(),
            in_flight: None,
            phase: Phase::Running,
        };
        Self {
            staging: Mutex::new(staging),
            work: Condvar::new(),
            gate: AtomicU8::new(Gate::Open as u8),
            bounds,
            progress,
        }
    }

    /// See [`super::Appender::admit`].
    pub(super) fn admit(&self) -> Result<(), AppendError> {
        if self.gate.load(Ordering::Relaxed) == Gate::Open as u8 {
            return Ok(());
        }
        let staging = self.staging.lock();
        match &staging.phase {
            Phase::Closed => return Err(AppendError::Closed),
            Phase::Failed(failed) => return Err(failed.clone().into()),
            Phase::Running => {}
        }
        // The gate only changes under the lock, so this is what it stands at.
        match self.gate.load(Ordering::Relaxed) {
            gate if gate == Gate::Open as u8 => Ok(()),
            gate if gate == Gate::OverBudget as u8 => Err(self.over_budget()),
            gate if gate == Gate::DiskFull as u8 => Err(AppendError::DiskFull),
            _ => Err(AppendError::StagingFull),
        }
    }

    /// See [`super::Appender::append`].
    pub(super) fn append(&self, payload: &[u8], rows: u32) -> Result<Ticket, AppendError> {
        let frame = frame_bytes(payload.len());
        let mut staging = self.staging.lock();
        match &staging.phase {
            Phase::Running => {}
            Phase::Closed => return Err(AppendError::Closed),
            Phase::Failed(failed) => return Err(failed.clone().into()),
        }
        if frame > self.bounds.staging_bytes_max - staging.bytes.len()
            || frame as u64 > staging.room
        {
            self.make_room(&mut staging, frame)?;
        }
        staging.room -= frame as u64;
        let position = staging.next;
        staging.next = position.advance(u64::from(rows.max(1)));
        self.progress.set_appended(staging.next);
        staging.records += 1;
        let writer_waits = match staging.awaited {
            0 => staging.records == 1,
            awaited => staging.records == awaited,
        };
        stage(&mut staging.bytes, position, rows, payload);
        let batch = Arc::clone(&staging.batch);
        drop(staging);
        if writer_waits {
            self.work.notify_one();
        }
        Ok(Ticket::new(position, Some(batch)))
    }

    /// Gives the record a prepared segment, or says why it cannot be taken.
    #[cold]
    fn make_room(&self, staging: &mut Staging, frame: usize) -> Result<(), AppendError> {
        let bytes_max = self
            .bounds
            .staging_bytes_max
            .min(usize::try_from(self.bounds.segment_room).unwrap_or(usize::MAX));
        if frame > bytes_max {
            return Err(AppendError::TooLarge { bytes: frame, bytes_max });
        }
        let (gate, refusal) = if frame > self.bounds.staging_bytes_max - staging.bytes.len() {
            (Gate::StagingFull, AppendError::StagingFull)
        } else if frame as u64 <= staging.room {
            return Ok(());
        } else if staging.spares > 0 {
            staging.spares -= 1;
            staging.room = self.bounds.segment_room;
            let cut = staging.bytes.len();
            staging.cuts.push(cut);
            return Ok(());
        } else {
            match staging.shortage {
                Shortage::Preparing => (Gate::Preparing, AppendError::StagingFull),
                Shortage::Budget => (Gate::OverBudget, self.over_budget()),
                Shortage::Disk => (Gate::DiskFull, AppendError::DiskFull),
            }
        };
        self.set_gate(gate);
        // Nobody comes until the writer has taken what there is: it need not wait for a crowd.
        self.work.notify_one();
        Err(refusal)
    }

    fn over_budget(&self) -> AppendError {
        AppendError::OverBudget { budget_bytes: self.bounds.budget_bytes }
    }

    /// See [`super::Appender::barrier`].
    pub(super) fn barrier(&self) -> Result<Ticket, AppendError> {
        let staging = self.staging.lock();
        if let Phase::Failed(failed) = &staging.phase {
            return Err(failed.clone().into());
        }
        let batch = if staging.bytes.is_empty() {
            staging.in_flight.clone()
        } else {
            Some(Arc::clone(&staging.batch))
        };
        Ok(Ticket::new(staging.next, batch))
    }

    /// Waits for company, as [`crowd::expected`] says, after a sync.
    pub(super) fn gather(&self, synced: Synced) {
        let mut staging = self.staging.lock();
        let expected = crowd::expected(synced, staging.records);
        // For a single one there is [`Intake::take`].
        if expected.records > staging.records.max(1) {
            self.await_crowd(&mut staging, expected);
        }
    }

    fn await_crowd(&self, staging: &mut MutexGuard<'_, Staging>, expected: Expected) {
        let until = Instant::now() + expected.patience;
        staging.awaited = expected.records;
        while staging.records < expected.records && self.takes(staging) {
            if self.work.wait_until(staging, until).timed_out() {
                break;
            }
        }
        staging.awaited = 0;
    }

    /// Whether anybody may come.
    fn takes(&self, staging: &Staging) -> bool {
        matches!(staging.phase, Phase::Running)
            && self.gate.load(Ordering::Relaxed) == Gate::Open as u8
    }

    /// Waits for records and swaps them into `work`, which must be empty; `false` when there are
    /// none and none will come.
    pub(super) fn take(&self, work: &mut Work) -> bool {
        let mut staging = self.staging.lock();
        while staging.bytes.is_empty() {
            if !matches!(staging.phase, Phase::Running) {
                return false;
            }
            self.work.wait(&mut staging);
        }
        std::mem::swap(&mut staging.bytes, &mut work.bytes);
        std::mem::swap(&mut staging.cuts, &mut work.cuts);
        work.records = std::mem::take(&mut staging.records);
        work.batch = std::mem::take(&mut staging.batch);
        staging.in_flight = Some(Arc::clone(&work.batch));
        if self.gate.load(Ordering::Relaxed) == Gate::StagingFull as u8 {
            self.set_gate(Gate::Open);
        }
        true
    }

    /// Whether [`Intake::take`] would wait.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let staging = self.staging.lock();
        staging.bytes.is_empty() && matches!(staging.phase, Phase::Running)
    }

    /// Bytes that wait for a sync.
    #[cfg(test)]
    pub(super) fn staged_bytes(&self) -> usize {
        self.staging.lock().bytes.len()
    }

    /// Acknowledges what was taken last.
    pub(super) fn synced(&self, work: &Work) {
        self.staging.lock().in_flight = None;
        work.batch.settle(Ok(()));
    }

    /// Offers one more prepared segment to records.
    pub(super) fn offer_spare(&self) {
        let mut staging = self.staging.lock();
        staging.spares += 1;
        staging.shortage = Shortage::Preparing;
        if matches!(staging.phase, Phase::Running) {
            self.set_gate(Gate::Open);
        }
    }

    /// Says why no spare is there, for those who will need one.
    pub(super) fn set_shortage(&self, shortage: Shortage) {
        let mut staging = self.staging.lock();
        staging.shortage = shortage;
        // Those who were told the former reason should hear the present one.
        let short = [Gate::Preparing, Gate::OverBudget, Gate::DiskFull].map(|gate| gate as u8);
        if short.contains(&self.gate.load(Ordering::Relaxed)) {
            match shortage {
                Shortage::Preparing => self.set_gate(Gate::Preparing),
                Shortage::Budget => self.set_gate(Gate::OverBudget),
                Shortage::Disk => self.set_gate(Gate::DiskFull),
            }
        }
    }

    /// Takes nothing any more; what is staged will be synced.
    pub(super) fn close(&self) {
        let mut staging = self.staging.lock();
        if matches!(staging.phase, Phase::Running) {
            staging.phase = Phase::Closed;
            self.set_gate(Gate::Closed);
        }
        drop(staging);
        self.work.notify_all();
    }

    /// Takes nothing any more and fails everybody who waits. The first failure counts.
    pub(super) fn fail(&self, failed: &LogFailed) {
        let mut staging = self.staging.lock();
        if !matches!(staging.phase, Phase::Failed(_)) {
            staging.phase = Phase::Failed(failed.clone());
        }
        self.set_gate(Gate::Failed);
        staging.bytes = Vec::new();
        staging.records = 0;
        let waiting = [Some(std::mem::take(&mut staging.batch)), staging.in_flight.take()];
        drop(staging);
        self.work.notify_all();
        for batch in waiting.into_iter().flatten() {
            batch.settle(Err(failed.clone()));
        }
    }

    /// How the log failed, if it did.
    pub(super) fn failure(&self) -> Option<LogFailed> {
        match &self.staging.lock().phase {
            Phase::Failed(failed) => Some(failed.clone()),
            Phase::Running | Phase::Closed => None,
        }
    }

    fn set_gate(&self, gate: Gate) {
        self.gate.store(gate as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
