//! From the bytes of a report to its place in the log.
//!
//! Owns what happens between a received body and its acknowledgement: decoding, the checks that
//! need the server's state, interning, dropping repeats, arranging rows, appending. Guarantees
//! that an answer is given only when the log is synced, that a report is one record and so is
//! never half stored, and that a definition precedes the first report that needs it. Refuses to
//! know HTTP and PostgreSQL: it meets the flush through the log alone.

mod error;
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
use crate::protocol::{DecodeSettings, answer};
use crate::registry::{
    BodyDigest, ComponentLoader, KeyDigest, KeyMemory, KeyState, LoadOutcome, PartitionWindow,
    Registry,
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

/// A report that is in the log, perhaps not synced yet.
struct Logged {
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

    /// Waits until the report is synced, counts it and hands its answer out.
    async fn synced(&self, logged: Logged) -> Result<Vec<u8>, IngestError> {
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
        let Some(key) = key else { return self.submit(document, None, caller).await };
        let body = BodyDigest::of(document);
        match self.parts.keys.claim(key, body, self.parts.clock.now().seconds()) {
            KeyState::Repeat(answer) => {
                let ticket = self.parts.appender.barrier()?;
                let repeated = answer::read_inserted(&answer);
                Ok(Logged {
                    ticket,
                    answer: answer.into(),
                    stored: 0,
                    repeated,
                    rejects: Vec::new(),
                })
            }
            KeyState::InFlight => Err(IngestError::KeyInFlight),
            KeyState::OtherBody => Err(IngestError::KeyReused),
            KeyState::First => {
                let mut claim = Claim { keys: &self.parts.keys, key, held: true };
                let logged = self.submit(document, Some((key, body)), caller).await?;
                // Time has passed meanwhile, and the clock may have been set back: what it showed
                // before would have keys forgotten that are new.
                let now_s = self.parts.clock.now().seconds();
                self.parts.keys.settle(key, body, &logged.answer, now_s);
                claim.held = false;
                Ok(logged)
            }
        }
    }

    /// Decodes and appends, having the component loaded first where that is needed.
    async fn submit(
        &self,
        document: &[u8],
        key: Option<(KeyDigest, BodyDigest)>,
        caller: &Caller,
    ) -> Result<Logged, IngestError> {
        let mut loaded = None;
        loop {
            let step = if document.len() < BLOCKING_BYTES {
                self.step(document, key, caller, loaded)
            } else {
                block_in_place(|| self.step(document, key, caller, loaded))
            };
            match step? {
                Step::Logged(logged) => return Ok(logged),
                Step::Load(component) => loaded = Some(self.parts.loader.load(component).await),
            }
        }
    }

    fn step(
        &self,
        document: &[u8],
        key: Option<(KeyDigest, BodyDigest)>,
        caller: &Caller,
        loaded: Option<LoadOutcome>,
    ) -> Result<Step, IngestError> {
        let (parts, settings) = (&self.parts, &self.settings);
        let now = parts.clock.now();
        let attempt = Attempt { parts, settings, now, document, key, caller };
        let mut workspace = self.workspaces.take();
        let step = attempt.submit(&mut workspace, loaded);
        self.workspaces.put(workspace);
        step
    }
}

/// Gives a claimed key back unless the report entered the log, also when its request is
/// cancelled while the component is loaded.
struct Claim<'a> {
    keys: &'a KeyMemory,
    key: KeyDigest,
    held: bool,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.held {
            self.keys.release(self.key);
        }
    }
}

#[cfg(test)]
mod tests;
