//! From the bytes of a report to its place in the log.
//!
//! Owns what happens between a received body and its acknowledgement: decoding, the checks that
//! need the server's state, interning, dropping repeats, arranging rows, appending. Guarantees
//! that an answer is given only when the log is synced, that a report is one record and so is
//! never half stored, and that a definition precedes the first report that needs it. Refuses to
//! know HTTP and PostgreSQL: it meets the flush through the log alone.

mod error;
mod keyed;
mod known;
mod lines;
mod outlines;
mod over_budget;
mod record;
mod rows;
mod submit;
mod workspace;

use std::sync::Arc;

use tokio::task::block_in_place;

use crate::access::Caller;
use crate::clock::Clock;
use crate::log::{Appender, Ticket};
use crate::model::Reject;
use crate::protocol::DecodeSettings;
use crate::registry::{
    BodyDigest, ComponentLoader, KeyDigest, KeyMemory, LoadOutcome, PartitionWindow, Registry,
};
use crate::telemetry::Telemetry;
pub use error::IngestError;
pub use outlines::Outlines;
use submit::{Attempt, Step};
use workspace::WorkspacePool;

/// Documents from this size on are decoded where blocking is allowed, so that one of them does
/// not hold up the other connections of its thread.
const BLOCKING_BYTES: usize = 256 << 10;

/// How reports are taken.
#[derive(Clone, Debug, Default)]
pub struct IngestSettings {
    /// How bodies are decoded.
    pub decode: DecodeSettings,
    /// Whether a component that is not registered is refused instead of registered.
    pub require_registration: bool,
}

/// What the ingest works with; all of it is shared with others.
pub struct IngestParts {
    /// The series in memory.
    pub registry: Arc<Registry>,
    /// The way into the log.
    pub appender: Appender,
    /// Which timestamps are taken.
    pub window: Arc<PartitionWindow>,
    /// The idempotency keys.
    pub keys: Arc<KeyMemory>,
    /// The reports that are known but for their numbers.
    pub outlines: Arc<Outlines>,
    /// The way to components that are not in memory.
    pub loader: ComponentLoader,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where reports are counted.
    pub telemetry: Arc<Telemetry>,
}

/// Takes reports. Shared by all connections.
pub struct Ingest {
    parts: IngestParts,
    settings: IngestSettings,
    workspaces: WorkspacePool,
}

/// A report that is in the log, perhaps not synced yet; [`Ingest::synced`] waits for that.
#[must_use = "a report is answered when it is synced"]
pub struct Logged {
    ticket: Ticket,
    answer: Vec<u8>,
    /// Samples in the record.
    stored: usize,
    /// Samples that were repeats.
    repeated: usize,
    rejects: Vec<Reject>,
}

impl Ingest {
    /// An ingest over `parts`.
    pub fn new(parts: IngestParts, settings: IngestSettings) -> Self {
        Self { parts, settings, workspaces: WorkspacePool::default() }
    }

    /// Whether a report may be received at all; asked before its body is read.
    pub fn admit(&self) -> Result<(), IngestError> {
        Ok(self.parts.appender.admit()?)
    }

    /// Whether the caller has samples left to send; asked before a body is read, and again before it
    /// is decoded, for others of the same token may have come meanwhile. What is being decoded is
    /// taken whole, and paid for afterwards.
    pub fn admit_caller(&self, caller: &Caller) -> Result<(), IngestError> {
        caller.may_send().map_err(|over| {
            self.parts.telemetry.ingest.reports_over_rate.inc();
            over.into()
        })
    }

    /// Takes the report in `document` and returns the body of the answer once it is synced.
    /// `key` is the client's idempotency key, and `caller` must be allowed to be the component.
    ///
    /// The document is dropped as soon as it is in the log, for the sync is most of the time.
    ///
    /// # Errors
    /// Where nothing of it was taken, or it could not be synced.
    pub async fn report(
        &self,
        document: impl AsRef<[u8]>,
        key: Option<&[u8]>,
        caller: &Caller,
    ) -> Result<Vec<u8>, IngestError> {
        self.admit_caller(caller)?;
        let key = key.map(|key| KeyDigest::new(key, 0));
        let logged = self.log(document.as_ref(), key, caller).await?;
        drop(document);
        self.synced(logged).await
    }

    /// Brings the report into the log without waiting for anything; `None` where its component has to be
    /// loaded before, which [`Ingest::report`] does.
    ///
    /// # Errors
    /// Where nothing of it was taken.
    pub fn try_report(
        &self,
        document: &[u8],
        key: Option<&[u8]>,
        caller: &Caller,
    ) -> Result<Option<Logged>, IngestError> {
        self.admit_caller(caller)?;
        let key = key.map(|key| KeyDigest::new(key, 0));
        Ok(match self.log_now(document, key, caller, None)? {
            Step::Logged(logged) => Some(logged),
            Step::Load(_) => None,
        })
    }

    /// Waits until the report is synced, counts it and hands its answer out.
    ///
    /// # Errors
    /// Where the log has failed: nobody knows whether the report is stored.
    pub async fn synced(&self, logged: Logged) -> Result<Vec<u8>, IngestError> {
        logged.ticket.await?;
        let instruments = &self.parts.telemetry.ingest;
        instruments.reports.inc();
        instruments.samples.inc_by(logged.stored as u64);
        if logged.repeated > 0 {
            instruments.samples_repeated.inc_by(logged.repeated as u64);
        }
        Ok(logged.answer)
    }

    /// Brings one report into the log, or finds that its key is there already.
    async fn log(
        &self,
        document: &[u8],
        key: Option<KeyDigest>,
        caller: &Caller,
    ) -> Result<Logged, IngestError> {
        let mut loaded = None;
        loop {
            match self.log_now(document, key, caller, loaded)? {
                Step::Logged(logged) => return Ok(logged),
                Step::Load(component) => loaded = Some(self.parts.loader.load(component).await),
            }
        }
    }

    /// Decodes and appends.
    fn step(
        &self,
        document: &[u8],
        key: Option<(KeyDigest, BodyDigest)>,
        caller: &Caller,
        loaded: Option<LoadOutcome>,
    ) -> Result<Step, IngestError> {
        let (parts, settings) = (&self.parts, &self.settings);
        let work = || {
            let now = parts.clock.now();
            let attempt = Attempt { parts, settings, now, document, key, caller };
            let mut workspace = self.workspaces.take();
            let step = attempt.submit(&mut workspace, loaded);
            self.workspaces.put(workspace);
            step
        };
        if document.len() < BLOCKING_BYTES { work() } else { block_in_place(work) }
    }
}

#[cfg(test)]
mod tests;
