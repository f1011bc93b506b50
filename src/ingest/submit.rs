//! One report, from its bytes to the log, without waiting for anything.

use std::sync::Arc;

use super::over_budget;
use super::record::{Record, Taken};
use super::workspace::Workspace;
use super::{IngestError, IngestParts, IngestSettings, Logged};
use crate::access::Caller;
use crate::model::component::DEFAULT_COMPONENT_TYPE;
use crate::model::{ComponentKey, Reject, RejectKind, SampleBatch, Timestamp};
use crate::protocol::answer::{self, Accepted};
use crate::protocol::report::REJECT_TEXTS_MAX;
use crate::protocol::{ComponentRef, ReportError};
use crate::registry::{
    AdmittedSpan, BodyDigest, Component, ComponentState, Interned, KeyDigest, LastValue,
    LoadOutcome, LookupKey, Mark, PartitionWindow,
};

/// An answer longer than this is not kept with its key; the retry is told the numbers alone.
const KEPT_ANSWER_BYTES_MAX: usize = 4096;

/// What came of an attempt.
pub(super) enum Step {
    /// The report is in the log.
    Logged(Logged),
    /// The component must be loaded before this can be decided.
    Load(LookupKey),
}

/// One attempt to bring a report into the log.
pub(super) struct Attempt<'a> {
    pub(super) parts: &'a IngestParts,
    pub(super) settings: &'a IngestSettings,
    pub(super) now: Timestamp,
    pub(super) document: &'a [u8],
    pub(super) key: Option<(KeyDigest, BodyDigest)>,
    pub(super) caller: &'a Caller,
}

impl Attempt<'_> {
    /// Reads the document and appends it as one record. `loaded` is what came of the load that an
    /// earlier attempt asked for.
    pub(super) fn submit(
        &self,
        workspace: &mut Workspace,
        loaded: Option<LoadOutcome>,
    ) -> Result<Step, IngestError> {
        match self.take_known(workspace)? {
            Some(logged) => Ok(Step::Logged(logged)),
            None => {
                let mut metrics = 0;
                let step = self.decode(workspace, loaded, &mut metrics);
                // Taken or not: decoding them was the work. One that waits for its component is decoded
                // again, and counts then.
                if !matches!(step, Ok(Step::Load(_))) {
                    self.caller.charge(metrics);
                }
                step
            }
        }
    }

    /// Says in `metrics` how many there were.
    fn decode(
        &self,
        workspace: &mut Workspace,
        loaded: Option<LoadOutcome>,
        metrics: &mut usize,
    ) -> Result<Step, IngestError> {
        let parts = self.parts;
        let Workspace { decoder, document, record, .. } = workspace;
        document.clear();
        document.extend_from_slice(self.document);
        let decoded = decoder.decode(document, self.now, &self.settings.decode)?;
        let (named, batch) = (decoded.component, decoded.batch);
        *metrics = batch.samples.len() + batch.rejects.len();
        if batch.samples.is_empty() {
            return Err(nothing_taken(parts, batch));
        }
        if let ComponentRef::Named { name, .. } = named {
            self.permit(name)?;
        }
        let component = match self.find_component(named, loaded)? {
            Found::Component(component) => component,
            Found::Load(key) => return Ok(Step::Load(key)),
        };
        // Of a number the name is known only now.
        if let ComponentRef::RuntimeId(_) = named {
            self.permit(component.key().name())?;
        }
        // Only now, so that a report which is refused anyway opens no past partition.
        reject_outside_window(&parts.window, batch, self.now);
        let mut state = component.lock();
        if state.is_evicted() {
            // It left the registry a moment ago; loading puts it, or nothing, in its place.
            return Ok(Step::Load(lookup_key(component.key())));
        }
        if loaded.is_some() {
            // Whatever the load brought: what is still unknown is treated as new.
            state.assume_complete();
        }
        let (mark, is_first) = (state.mark(), state.series_count() == 0);
        let Some(redefined) = self.place(&component, &mut state, batch, record) else {
            parts.registry.roll_back(&mut state, mark);
            return Ok(Step::Load(lookup_key(component.key())));
        };
        if record.taken().is_empty() {
            return Err(nothing_taken(parts, batch));
        }
        let mut logged = self.append(&component, &mut state, mark, record, &batch.rejects)?;
        for (entry, nth) in redefined {
            let sample = &batch.samples[nth];
            let (definition, identity) = (batch.series_of(sample), sample.identity_bytes as usize);
            let now_s = self.now.seconds();
            parts.registry.change_metadata(&mut state, entry, definition, identity, now_s);
        }
        let known = if !record.defines() && self.is_worth_knowing(named, &component, batch) {
            self.known(&component, &state, batch, record.taken())
        } else {
            None
        };
        if is_first || known.is_some() {
            // Of most workers that was all.
            state.fit();
        }
        drop(state);
        if let Some(known) = known {
            parts.outlines.learn(self.document, known);
        }
        logged.rejects = std::mem::take(&mut batch.rejects);
        Ok(Step::Logged(logged))
    }

    /// Whether the caller may be that component.
    pub(super) fn permit(&self, name: &str) -> Result<(), IngestError> {
        if self.caller.may_be(name) {
            Ok(())
        } else {
            Err(IngestError::ComponentNotAllowed(name.to_owned()))
        }
    }

    /// The component that the report names, made now if it may be.
    fn find_component(
        &self,
        named: ComponentRef<'_>,
        loaded: Option<LoadOutcome>,
    ) -> Result<Found, IngestError> {
        let parts = self.parts;
        let known = match named {
            ComponentRef::Named { component_type, name } => {
                parts.registry.find(component_type, name)
            }
            ComponentRef::RuntimeId(id) => parts.registry.find_by_id(id),
        };
        if let Some(component) = known {
            return Ok(Found::Component(component));
        }
        let described = || match named {
            ComponentRef::Named { name, .. } => name.to_owned(),
            ComponentRef::RuntimeId(id) => id.to_string(),
        };
        match (loaded, named) {
            (None, ComponentRef::Named { component_type, name }) => {
                let component_type = component_type.map(Into::into);
                Ok(Found::Load(LookupKey::Name { component_type, name: name.into() }))
            }
            (None, ComponentRef::RuntimeId(id)) => Ok(Found::Load(LookupKey::Id(id))),
            (Some(_), ComponentRef::Named { component_type, name })
                if !self.settings.require_registration =>
            {
                if parts.registry.is_full() || parts.registry.is_overrun(self.now.seconds()) {
                    return Err(IngestError::RegistryFull);
                }
                let component_type = component_type.unwrap_or(DEFAULT_COMPONENT_TYPE);
                let key = ComponentKey::new(component_type, name).map_err(ReportError::from)?;
                Ok(Found::Component(parts.registry.find_or_insert(key)))
            }
            (Some(LoadOutcome::Unavailable), _) => Err(IngestError::RegistryAway(described())),
            (Some(_), _) => Err(IngestError::UnknownComponent(described())),
        }
    }

    /// Finds a place for every sample, and writes new definitions to the record; `None` when the
    /// component must be loaded first. Returns the entries with new metadata, each with the
    /// sample that brought it.
    fn place(
        &self,
        component: &Component,
        state: &mut ComponentState,
        batch: &mut SampleBatch,
        record: &mut Record,
    ) -> Option<Vec<(usize, usize)>> {
        record.clear();
        let mut redefined = Vec::new();
        if !state.is_announced() {
            record.define_component(component.key(), component.runtime_id(), self.now);
        }
        let SampleBatch { arena, samples, rejects } = batch;
        // More than fit into the budget would have room made for nothing.
        state.reserve(samples.len().min(self.parts.registry.settings().component_series_max));
        for (nth, sample) in samples.iter().enumerate() {
            let definition = &arena[sample.series.start as usize..sample.series.end as usize];
            let interned = self.parts.registry.intern(
                state,
                nth,
                definition,
                sample.identity_bytes as usize,
                self.now.seconds(),
            );
            let (entry, place) = match interned {
                Interned::Known(entry, place) => (entry, place),
                Interned::New(entry, place) => {
                    record.define_series(component.key(), place, definition);
                    (entry, place)
                }
                Interned::Redefined(entry, place) => {
                    record.define_series(component.key(), place, definition);
                    redefined.push((entry, nth));
                    (entry, place)
                }
                Interned::MaybeStored => return None,
                Interned::NoRoom(budget) => {
                    let (settings, now_s) = (self.parts.registry.settings(), self.now.seconds());
                    state.count_refused();
                    // No answer shows more.
                    let reason = if rejects.len() < REJECT_TEXTS_MAX {
                        over_budget::explain(budget, settings, state, definition, now_s)
                    } else {
                        String::new()
                    };
                    let (index, kind) = (sample.index, over_budget::kind(budget));
                    rejects.push(Reject { index, kind, reason });
                    continue;
                }
            };
            let repeats_last = state.is_repeat(entry, sample.timestamp, sample.value);
            let sample = LastValue { timestamp: sample.timestamp, value: sample.value };
            record.take(Taken { entry, sample }, place, repeats_last);
        }
        Some(redefined)
    }

    /// Appends the record to the log and makes its samples the last ones of their series; where
    /// the log does not take it, puts the component back to `mark`.
    pub(super) fn append(
        &self,
        component: &Arc<Component>,
        state: &mut ComponentState,
        mark: Mark,
        record: &mut Record,
        rejects: &[Reject],
    ) -> Result<Logged, IngestError> {
        let (parts, now_s) = (self.parts, self.now.seconds());
        let (taken, repeated) = (record.taken().len(), record.repeated());
        record.encode_rows(self.now);
        let answer = render_answer(component, taken, rejects);
        if let Some((key, body)) = self.key {
            if answer.len() <= KEPT_ANSWER_BYTES_MAX {
                record.encode_key(self.now, key, body, &answer);
            } else {
                record.encode_key(self.now, key, body, &render_answer(component, taken, &[]));
            }
        }
        let appended = if record.payload().is_empty() {
            parts.appender.barrier()
        } else {
            parts.appender.append(record.payload(), record.row_count())
        };
        let ticket = match appended {
            Ok(ticket) => ticket,
            Err(error) => {
                parts.registry.roll_back(state, mark);
                return Err(error.into());
            }
        };
        if record.defines() {
            state.definitions_logged(ticket.position().advance(1));
            parts.registry.mark_changed(component);
        }
        for taken in record.taken() {
            state.accept(taken.entry, taken.sample, now_s);
        }
        component.count_report(state);
        component.touch(now_s);
        count_rejects(parts, rejects);
        Ok(Logged { ticket, answer, stored: taken - repeated, repeated, rejects: Vec::new() })
    }
}

/// Tells which timestamps are taken, remembering the span of the last one.
pub(super) struct Admission<'a> {
    window: &'a PartitionWindow,
    now: Timestamp,
    span: AdmittedSpan,
}

impl<'a> Admission<'a> {
    pub(super) fn new(window: &'a PartitionWindow, now: Timestamp) -> Self {
        Self { window, now, span: AdmittedSpan::EMPTY }
    }

    /// Whether the partition of `timestamp` exists or may be made.
    #[inline]
    pub(super) fn admits(&mut self, timestamp: Timestamp) -> bool {
        if self.span.contains(timestamp) {
            return true;
        }
        let admitted = self.window.admit(timestamp, self.now);
        self.span = admitted.unwrap_or(AdmittedSpan::EMPTY);
        admitted.is_some()
    }
}

enum Found {
    Component(Arc<Component>),
    Load(LookupKey),
}

fn lookup_key(key: &ComponentKey) -> LookupKey {
    LookupKey::Name { component_type: Some(key.component_type().into()), name: key.name().into() }
}

/// Moves the samples whose partition neither exists nor may be made to the rejects.
fn reject_outside_window(window: &PartitionWindow, batch: &mut SampleBatch, now: Timestamp) {
    let SampleBatch { samples, rejects, .. } = batch;
    let mut admission = Admission::new(window, now);
    samples.retain(|sample| {
        let admitted = admission.admits(sample.timestamp);
        if !admitted {
            let reason = refusal(window, sample.timestamp);
            rejects.push(Reject { index: sample.index, kind: RejectKind::Partition, reason });
        }
        admitted
    });
}

/// Why the window does not admit that time.
fn refusal(window: &PartitionWindow, timestamp: Timestamp) -> String {
    if window.is_leaving(timestamp) {
        return "timestamp: it is older than what is kept, and its partition is just being \
                dropped; send it again later to have it stored for another day"
            .to_owned();
    }
    format!(
        "timestamp: it is older than what is kept, and {} past partitions exist already, which is \
         the limit; check the sender's clock, or raise past-partitions-max",
        window.past_max()
    )
}

fn nothing_taken(parts: &IngestParts, batch: &SampleBatch) -> IngestError {
    count_rejects(parts, &batch.rejects);
    let mut answer = Vec::new();
    answer::write_nothing_taken(&mut answer, &batch.rejects);
    let first_reason = batch
        .rejects
        .first()
        .map_or(String::new(), |reject| format!("metric {}: {}", reject.index, reject.reason));
    IngestError::NothingTaken { first_reason, answer }
}

fn count_rejects(parts: &IngestParts, rejects: &[Reject]) {
    for reject in rejects {
        parts.telemetry.ingest.rejected(reject.kind).inc();
    }
}

fn render_answer(component: &Component, metrics_inserted: usize, rejects: &[Reject]) -> Vec<u8> {
    let mut answer = Vec::with_capacity(96);
    let accepted =
        Accepted { runtime_id: component.runtime_id(), metrics_inserted, durable: true, rejects };
    answer::write_accepted(&mut answer, &accepted);
    answer
}
