//! The write-ahead log: what is synced here is acknowledged, and what is acknowledged is here.
//!
//! Owns a directory of segments and the identity of the log. Guarantees that a record whose
//! [`Ticket`] resolved is read back whole, in its place and once, whatever the process or the
//! machine does next; that a record is never readable in part, nor before it is synced; that a
//! torn tail, damage and an I/O error are never taken for each other; and that memory and disk
//! stay within [`LogSettings`]. Refuses to know HTTP, SQL and what a row means.
//!
//! A record travels: [`Appender::append`] stages it (`intake`), the writer thread writes and
//! syncs all that is staged at once (`writer`) and settles their tickets (`batch`); a
//! [`Reader`] follows; once [`Progress::set_flushed`] has passed a segment, the preparer thread
//! reuses it (`preparer`). `scan` reads it all again at the next start. While no server runs, `survey`
//! looks at it and `mend` changes it. The format is in
//! `docs/format/log.md`.

mod appender;
mod batch;
#[cfg(test)]
pub(crate) mod by_hand;
mod catalog;
mod crowd;
mod cursor;
pub mod disk;
mod drain;
pub mod entry;
mod error;
mod identity;
mod intake;
mod keys;
#[cfg(test)]
pub(crate) mod memory_disk;
pub mod mend;
mod preparer;
mod progress;
mod reader;
mod record;
mod scan;
mod segment;
pub mod survey;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use appender::Appender;
pub use batch::Ticket;
pub use disk::{Access, Disk, DiskFile, RealDisk};
pub use drain::Drain;
pub use error::{AppendError, Damage, LogFailed, OpenError, ReadError};
pub use identity::{GROUP_BLOCK_GROUPS, Identity, IdentityError};
pub use progress::Progress;
pub use reader::{Reader, Record};
pub use record::Flaw;

use crate::model::LogPosition;
use crate::telemetry::Telemetry;
use catalog::Catalog;
use intake::{Intake, IntakeBounds};
use keys::KeyFiles;
use preparer::{Preparer, Spares};
use segment::{RECORDS_START, Segment, SegmentHeader, random_identity};
use writer::{Writer, activate};

/// The bounds of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes of a segment file, a multiple of 4096; also bounds a record. Segments written under
    /// another setting stay as they are.
    pub segment_bytes: u64,
    /// Bytes that all segments, the spare one and the key files may take; at least three segments.
    pub budget_bytes: u64,
    /// Bytes that wait for a sync at most; the writer holds as many again while it writes them.
    pub staging_bytes_max: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { segment_bytes: 128 << 20, budget_bytes: 8 << 30, staging_bytes_max: 64 << 20 }
    }
}

impl LogSettings {
    /// The smallest segment: its header and one page of records.
    const SEGMENT_BYTES_MIN: u64 = 2 * RECORDS_START;
    /// The active segment, the complete one that is kept, and the spare.
    const SEGMENTS_MIN: u64 = 3;

    /// Settings under which the log on `disk` is opened for a moment, whatever the server's are:
    /// segments as long as its longest, and a budget that holds them all.
    pub fn as_it_is(disk: &dyn Disk) -> Result<Self, OpenError> {
        let names = disk.list().map_err(OpenError::io("list the log directory"))?;
        let mut segment_bytes = Self::SEGMENT_BYTES_MIN;
        for number in scan::numbers(&names) {
            let name = segment::segment_name(number);
            let bytes = disk.open(&name).and_then(|file| file.bytes());
            segment_bytes =
                segment_bytes.max(bytes.map_err(OpenError::io(format!("read {name}")))?);
        }
        let segment_bytes = segment_bytes.next_multiple_of(RECORDS_START);
        Ok(Self { segment_bytes, budget_bytes: u64::MAX / 2, ..Self::default() })
    }

    /// Checks the bounds and their relations.
    pub fn check(&self) -> Result<(), OpenError> {
        let Self { segment_bytes, budget_bytes, staging_bytes_max } = self;
        let refuse = |reason: String| Err(OpenError::Settings(reason));
        if *segment_bytes < Self::SEGMENT_BYTES_MIN || segment_bytes % RECORDS_START != 0 {
            return refuse(format!(
                "a segment of {segment_bytes} bytes is none; choose a multiple of {RECORDS_START} \
                 from {} on",
                Self::SEGMENT_BYTES_MIN
            ));
        }
        if budget_bytes / segment_bytes < Self::SEGMENTS_MIN {
            return refuse(format!(
                "a budget of {budget_bytes} bytes holds fewer than {} segments of {segment_bytes} \
                 bytes; raise the budget or choose smaller segments",
                Self::SEGMENTS_MIN
            ));
        }
        if *staging_bytes_max < 4096 || *staging_bytes_max > 1 << 30 {
            return refuse(format!(
                "staging of {staging_bytes_max} bytes is out of range; choose 4096 to 1 GiB"
            ));
        }
        Ok(())
    }
}

/// An open log and its two threads. Dropping it closes it.
pub struct Log {
    disk: Arc<dyn Disk>,
    catalog: Arc<Catalog>,
    intake: Arc<Intake>,
    progress: Arc<Progress>,
    telemetry: Arc<Telemetry>,
    threads: Vec<JoinHandle<()>>,
}

impl Log {
    /// Locks the directory, reads and checks every retained record, hands each to `visit` in
    /// order, cuts a torn tail off and starts taking records. Memory is bounded by one record.
    /// Before them it hands over what is kept of segments that are gone: records that hold
    /// idempotency keys alone.
    ///
    /// A directory without a log becomes a new one, with an identity of its own. That fills two
    /// segments with zeros, one of them before this returns.
    pub fn open(
        disk: Arc<dyn Disk>,
        settings: LogSettings,
        telemetry: Arc<Telemetry>,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<Self, OpenError> {
        let (mut log, writer, preparer) = Self::recover(disk, settings, telemetry, visit)?;
        log.spawn("log-writer", true, move || writer.run())?;
        log.spawn("log-preparer", false, move || preparer.run())?;
        Ok(log)
    }

    /// Does what [`Log::open`] does but for its threads, and returns what they are to run.
    fn recover(
        disk: Arc<dyn Disk>,
        settings: LogSettings,
        telemetry: Arc<Telemetry>,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(Self, Writer, Preparer), OpenError> {
        settings.check()?;
        let identity = Identity::load_or_create(&*disk)?;
        let keys = KeyFiles::open(&*disk, identity.log_id(), &settings, visit)?;
        let mut found = scan::scan(&*disk, identity.log_id(), visit)?;
        if found.segments.is_empty() {
            let segment = first_segment(&*disk, &identity, settings.segment_bytes)
                .map_err(OpenError::io("create the first segment"))?;
            found.segments.push_back(Arc::new(segment));
        }
        Ok(Self::assemble(disk, settings, telemetry, &identity, keys, found))
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        settings: LogSettings,
        telemetry: Arc<Telemetry>,
        identity: &Identity,
        keys: KeyFiles,
        found: scan::Found,
    ) -> (Self, Writer, Preparer) {
        let scan::Found { segments, end, mark, spares: inherited } = found;
        let active = segments.back().cloned().expect("a log has an active segment");
        let offset = active.synced_bytes();
        telemetry.log.budget_bytes.set(i64::try_from(settings.budget_bytes).unwrap_or(i64::MAX));
        telemetry.log.failed.set(0);
        let catalog = Arc::new(Catalog::new(segments, Arc::clone(&telemetry)));
        let progress = Arc::new(Progress::new(catalog.first(), end, Arc::clone(&telemetry)));
        let bounds = IntakeBounds {
            segment_room: settings.segment_bytes - RECORDS_START,
            staging_bytes_max: settings.staging_bytes_max,
            budget_bytes: settings.budget_bytes,
        };
        let room = active.bytes - offset;
        let intake = Arc::new(Intake::new(bounds, end, room, Arc::clone(&progress)));
        let spares = Arc::new(Spares::default());
        let writer = Writer {
            disk: Arc::clone(&disk),
            log_id: identity.log_id(),
            active,
            offset,
            synced: end,
            mark,
            intake: Arc::clone(&intake),
            spares: Arc::clone(&spares),
            catalog: Arc::clone(&catalog),
            progress: Arc::clone(&progress),
            telemetry: Arc::clone(&telemetry),
        };
        let preparer = Preparer {
            disk: Arc::clone(&disk),
            settings,
            intake: Arc::clone(&intake),
            spares,
            catalog: Arc::clone(&catalog),
            progress: Arc::clone(&progress),
            keys,
            inherited,
        };
        let log = Self { disk, catalog, intake, progress, telemetry, threads: Vec::new() };
        (log, writer, preparer)
    }

    /// Starts a thread whose end, if it is a panic, fails the log. With `last_word` its end
    /// closes the progress too.
    fn spawn(
        &mut self,
        name: &str,
        last_word: bool,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), OpenError> {
        let exit = self.exit(last_word);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _exit = exit;
                run();
            })
            .map_err(OpenError::io(format!("start the thread {name}")))?;
        self.threads.push(thread);
        Ok(())
    }

    fn exit(&self, last_word: bool) -> Exit {
        Exit {
            last_word,
            intake: Arc::clone(&self.intake),
            progress: Arc::clone(&self.progress),
            telemetry: Arc::clone(&self.telemetry),
        }
    }

    /// A handle to append with; cheap, as are its clones.
    pub fn appender(&self) -> Appender {
        Appender::new(Arc::clone(&self.intake))
    }

    /// A reader whose first record is the one that holds row `from`; it follows the log as it
    /// grows.
    pub fn reader(&self, from: LogPosition) -> Result<Reader, ReadError> {
        self.readers().reader(from)
    }

    /// What makes readers without holding the log itself.
    pub fn readers(&self) -> Readers {
        Readers {
            disk: Arc::clone(&self.disk),
            catalog: Arc::clone(&self.catalog),
            progress: Arc::clone(&self.progress),
        }
    }

    /// How far the log is.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// The position of the oldest record retained.
    pub fn first(&self) -> LogPosition {
        self.catalog.first()
    }

    /// Takes nothing any more, syncs what is staged and ends the threads; the end of the log.
    /// Readers go on reading what is synced.
    pub fn close(mut self) -> Result<LogPosition, LogFailed> {
        self.stop();
        match self.intake.failure() {
            Some(failed) => Err(failed),
            None => Ok(self.progress.synced()),
        }
    }

    fn stop(&mut self) {
        self.intake.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the write-ahead log panicked");
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes readers of a log, also after it was closed.
#[derive(Clone)]
pub struct Readers {
    disk: Arc<dyn Disk>,
    catalog: Arc<Catalog>,
    progress: Arc<Progress>,
}

impl Readers {
    /// A reader whose first record is the one that holds row `from`; it follows the log as it
    /// grows.
    pub fn reader(&self, from: LogPosition) -> Result<Reader, ReadError> {
        let synced = self.progress.synced();
        Reader::open(Arc::clone(&self.disk), Arc::clone(&self.catalog), from, synced)
    }
}

/// Sees to it that nobody waits for a thread that is gone.
struct Exit {
    last_word: bool,
    intake: Arc<Intake>,
    progress: Arc<Progress>,
    telemetry: Arc<Telemetry>,
}

impl Drop for Exit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("its thread panicked");
            self.intake.fail(&LogFailed::new("serve the log", &error));
        }
        if let Some(failed) = self.intake.failure() {
            self.telemetry.log.failed.set(1);
            if self.last_word {
                tracing::error!("{failed}");
            }
        }
        if self.last_word {
            self.progress.close();
        }
    }
}

fn first_segment(disk: &dyn Disk, identity: &Identity, bytes: u64) -> io::Result<Segment> {
    let (name, file) = preparer::prepare(disk, bytes)?;
    let header = SegmentHeader {
        log_id: identity.log_id(),
        identity: random_identity(),
        number: 0,
        first: LogPosition::ZERO,
        before: None,
    };
    activate(disk, &name, file, header)
}
