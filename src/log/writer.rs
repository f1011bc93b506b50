//! The one thread that writes records: takes what is staged, writes it, syncs it, acknowledges.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use rustix::thread::set_current_timer_slack;
use uuid::Uuid;

use super::LogPosition;
use super::catalog::Catalog;
use super::crowd::Synced;
use super::disk::Disk;
use super::error::LogFailed;
use super::intake::{Intake, Work};
use super::preparer::Spares;
use super::progress::Progress;
use super::record;
use super::segment::{RECORDS_START, Segment, SegmentHeader, random_identity};
use crate::model::LogMark;
use crate::telemetry::Telemetry;

/// A buffer that a burst has grown beyond this is given back once it has been written.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// What the thread owns. Nobody else writes to the active segment.
pub(super) struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) log_id: Uuid,
    pub(super) active: Arc<Segment>,
    /// Where the next record goes in the active segment.
    pub(super) offset: u64,
    pub(super) synced: LogPosition,
    /// The mark of the record that ends there.
    pub(super) mark: Option<LogMark>,
    pub(super) intake: Arc<Intake>,
    pub(super) spares: Arc<Spares>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) progress: Arc<Progress>,
    pub(super) telemetry: Arc<Telemetry>,
}

/// How late this thread may be woken. Linux has a thread sleep longer than it asked for, 50
/// microseconds by default.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(1000).expect("1000 is not 0");

impl Writer {
    /// Runs until the log is closed and everything staged is synced, or until it fails.
    pub(super) fn run(mut self) {
        if let Err(error) = set_current_timer_slack(Some(TIMER_SLACK_NS)) {
            tracing::debug!(%error, "the log's thread sleeps longer than it would like to");
        }
        let mut work = Work::default();
        let mut synced = Synced::default();
        loop {
            self.intake.gather(synced);
            if !self.intake.take(&mut work) {
                return;
            }
            let began = Instant::now();
            if !self.persist_or_fail(&mut work) {
                return;
            }
            synced = Synced { records: work.records, took: began.elapsed() };
            self.acknowledge(&mut work);
        }
    }

    /// Brings all of `work` onto the disk; `false` when the log has failed over it.
    pub(super) fn persist_or_fail(&mut self, work: &mut Work) -> bool {
        let persisted = self.persist(work);
        if let Err(failed) = &persisted {
            // The state of what a failed sync covered is unknown, and a second sync would
            // report success without having written it: never retry, never acknowledge.
            self.intake.fail(failed);
        }
        persisted.is_ok()
    }

    /// Tells those who wait for `work` that it is synced, and makes it ready for the next.
    pub(super) fn acknowledge(&self, work: &mut Work) {
        self.intake.synced(work);
        work.bytes.clear();
        work.bytes.shrink_to(BUFFER_BYTES_KEPT);
        work.cuts.clear();
    }

    /// Writes and syncs all of `work`, segment by segment.
    fn persist(&mut self, work: &mut Work) -> Result<(), LogFailed> {
        let mut start = 0;
        let total = work.bytes.len();
        for (nth, end) in work.cuts.iter().copied().chain([total]).enumerate() {
            // Each cut is the start of a new segment; before the first one, the active goes on.
            if nth > 0 {
                self.roll()?;
            }
            if start < end {
                self.write_synced(&mut work.bytes[start..end])?;
            }
            start = end;
        }
        Ok(())
    }

    fn write_synced(&mut self, records: &mut [u8]) -> Result<(), LogFailed> {
        let sealed = record::seal(records, self.active.header.identity, self.synced);
        let started = Instant::now();
        self.active
            .file
            .write_all_at(records, self.offset)
            .map_err(|error| self.failed("write", &error))?;
        self.active.file.sync_data().map_err(|error| self.failed("sync", &error))?;
        self.telemetry.log.sync_seconds.observe(started.elapsed().as_secs_f64());
        self.telemetry.log.records.inc_by(sealed.records);
        self.telemetry.log.written_bytes.inc_by(records.len() as u64);
        self.offset += records.len() as u64;
        self.synced = sealed.end;
        self.mark = sealed.mark;
        self.active.set_synced_bytes(self.offset);
        self.progress.set_synced(self.synced);
        Ok(())
    }

    /// Makes a spare the active segment. The one before is synced to its last record by now, which
    /// is what lets recovery call a bad record in it damage.
    fn roll(&mut self) -> Result<(), LogFailed> {
        let (name, file) = self.spares.take();
        let header = SegmentHeader {
            log_id: self.log_id,
            identity: random_identity(),
            number: self.active.header.number + 1,
            first: self.synced,
            before: self.mark,
        };
        let segment = activate(&*self.disk, &name, file, header)
            .map_err(|error| LogFailed::new("start a segment", &error))?;
        self.active = Arc::new(segment);
        self.offset = RECORDS_START;
        self.catalog.roll(self.synced, Arc::clone(&self.active));
        self.spares.placed();
        self.progress.want_upkeep();
        Ok(())
    }

    fn failed(&self, verb: &str, error: &io::Error) -> LogFailed {
        LogFailed::new(&format!("{verb} {}", self.active.name()), error)
    }
}

/// Turns a spare into the segment of `header`. The header is synced before the name says that
/// this is a segment, and the name before any record is written.
pub(super) fn activate(
    disk: &dyn Disk,
    spare_name: &str,
    file: Box<dyn super::disk::DiskFile>,
    header: SegmentHeader,
) -> io::Result<Segment> {
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    let bytes = file.bytes()?;
    let segment = Segment::new(header, file, bytes, RECORDS_START);
    disk.rename(spare_name, &segment.name())?;
    disk.sync_dir()?;
    Ok(segment)
}
