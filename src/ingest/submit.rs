//! One report, from its bytes to the log, without waiting for anything.

use std::sync::Arc;

use super::rows::RowBuilder;
use super::workspace::{REJECTED, Workspace};
use super::{IngestError, IngestParts, IngestSettings, Logged};
use crate::log::entry;
use crate::model::component::DEFAULT_COMPONENT_TYPE;
use crate::model::{ComponentKey, Reject, RejectKind, SampleBatch, Timestamp};
use crate::protocol::answer::{self, Accepted};
use crate::protocol::{ComponentRef, ReportError};
use crate::registry::{
    AdmittedSpan, BodyDigest, Component, ComponentState, Interned, KeyDigest, LastValue,
    LoadOutcome, LookupKey, Placement,
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

/// Decodes `document` and appends it as one record. `loaded` is what came of the load that an
/// earlier attempt asked for.
pub(super) fn submit(
    parts: &IngestParts,
    settings: &IngestSettings,
    workspace: &mut Workspace,
    document: &[u8],
    key: Option<(KeyDigest, BodyDigest)>,
    loaded: Option<LoadOutcome>,
) -> Result<Step, IngestError> {
    let now = parts.clock.now();
    let Workspace { decoder, document: copy, entries, rows, payload, values, offsets_us } =
        workspace;
    copy.clear();
    copy.extend_from_slice(document);
    let decoded = decoder.decode(copy, now, &settings.decode)?;
    let batch = decoded.batch;
    if batch.samples.is_empty() {
        return Err(nothing_taken(parts, batch));
    }
    let component = match find_component(parts, settings, decoded.component, loaded)? {
        Found::Component(component) => component,
        Found::Load(key) => return Ok(Step::Load(key)),
    };
    // Only now, so that a report which is refused anyway opens no past partition.
    reject_outside_window(parts, batch, now);
    let mut state = component.lock();
    if state.is_evicted() {
        // It left the registry a moment ago; loading puts it, or nothing, in its place.
        return Ok(Step::Load(lookup_key(component.key())));
    }
    if loaded.is_some() {
        // Whatever the load brought: what is still unknown is treated as new.
        state.assume_complete();
    }
    let mut report =
        Report { parts, component: &component, now, now_s: now.seconds(), payload, rows };
    let mark = state.mark();
    let Some(placed) = report.place(&mut state, batch, entries) else {
        parts.registry.roll_back(&mut state, mark);
        return Ok(Step::Load(lookup_key(component.key())));
    };
    if placed.taken == 0 {
        return Err(nothing_taken(parts, batch));
    }
    report.encode_rows(values, offsets_us);
    let answer = render_answer(&component, placed.taken, &batch.rejects);
    if let Some((key, body)) = key {
        let kept = if answer.len() <= KEPT_ANSWER_BYTES_MAX {
            &answer
        } else {
            &render_answer(&component, placed.taken, &[])
        };
        entry::encode_key(
            report.payload,
            &entry::Key {
                received_at: now,
                key: key.bytes(),
                body_digest: *body.bytes(),
                answer: kept,
            },
        );
    }
    let appended = if report.payload.is_empty() {
        parts.appender.barrier()
    } else {
        parts.appender.append(report.payload, report.rows.rows().len() as u32)
    };
    let ticket = match appended {
        Ok(ticket) => ticket,
        Err(error) => {
            parts.registry.roll_back(&mut state, mark);
            return Err(error.into());
        }
    };
    if placed.defined {
        state.definitions_logged(ticket.position().advance(1));
        parts.registry.mark_changed(&component);
    }
    report.accept(&mut state, batch, entries, &placed.redefined);
    drop(state);
    component.touch(report.now_s);
    count_rejects(parts, &batch.rejects);
    let repeated = placed.repeated;
    let rejects = std::mem::take(&mut batch.rejects);
    Ok(Step::Logged(Logged { ticket, answer, stored: placed.taken - repeated, repeated, rejects }))
}

/// The report while it is placed and encoded.
struct Report<'a> {
    parts: &'a IngestParts,
    component: &'a Arc<Component>,
    now: Timestamp,
    now_s: u32,
    payload: &'a mut Vec<u8>,
    rows: &'a mut RowBuilder,
}

#[derive(Default)]
struct Placed {
    /// Samples taken, repeats included.
    taken: usize,
    repeated: usize,
    /// The payload holds definitions.
    defined: bool,
    /// Entries with new metadata, each with the sample that brought it.
    redefined: Vec<(usize, usize)>,
}

impl Report<'_> {
    /// Finds a place for every sample, and writes new definitions to the payload; `None` when
    /// the component must be loaded first.
    fn place(
        &mut self,
        state: &mut ComponentState,
        batch: &mut SampleBatch,
        entries: &mut Vec<u32>,
    ) -> Option<Placed> {
        self.payload.clear();
        self.rows.clear();
        entries.clear();
        let mut placed = Placed::default();
        if !state.is_announced() {
            self.encode_component();
            placed.defined = true;
        }
        let SampleBatch { arena, samples, rejects } = batch;
        for (nth, sample) in samples.iter().enumerate() {
            let definition = &arena[sample.series.start as usize..sample.series.end as usize];
            let interned = self.parts.registry.intern(
                state,
                nth,
                definition,
                sample.identity_bytes as usize,
                self.now_s,
            );
            let (entry, place) = match interned {
                Interned::Known(entry, place) => (entry, place),
                Interned::New(entry, place) | Interned::Redefined(entry, place) => {
                    self.encode_series(place, definition);
                    if matches!(interned, Interned::Redefined(..)) {
                        placed.redefined.push((entry, nth));
                    }
                    placed.defined = true;
                    (entry, place)
                }
                Interned::MaybeStored => return None,
                Interned::NoRoom => {
                    entries.push(REJECTED);
                    rejects.push(self.no_room(sample.index));
                    continue;
                }
            };
            entries.push(entry as u32);
            placed.taken += 1;
            let repeats_last = state.is_repeat(entry, sample.timestamp, sample.value);
            if repeats_last || !self.rows.push(place, sample.timestamp, sample.value) {
                placed.repeated += 1;
            }
        }
        Some(placed)
    }

    /// Makes the samples the last values of their series, and new metadata theirs.
    fn accept(
        &self,
        state: &mut ComponentState,
        batch: &SampleBatch,
        entries: &[u32],
        redefined: &[(usize, usize)],
    ) {
        for (sample, &entry) in batch.samples.iter().zip(entries) {
            if entry != REJECTED {
                let last = LastValue { timestamp: sample.timestamp, value: sample.value };
                state.accept(entry as usize, last, self.now_s);
            }
        }
        for &(entry, nth) in redefined {
            state.change_metadata(entry, batch.series_of(&batch.samples[nth]), self.now_s);
        }
    }

    fn encode_component(&mut self) {
        let key = self.component.key();
        entry::encode_component(
            self.payload,
            &entry::Component {
                runtime_id: self.component.runtime_id(),
                component_type: key.component_type(),
                name: key.name(),
                first_seen: self.now,
            },
        );
    }

    fn encode_series(&mut self, place: Placement, definition: &[u8]) {
        let key = self.component.key();
        entry::encode_series(
            self.payload,
            &entry::SeriesSlot {
                group: place.group,
                slot: place.slot,
                component_type: key.component_type(),
                name: key.name(),
                definition,
            },
        );
    }

    fn encode_rows(&mut self, values: &mut Vec<f64>, offsets_us: &mut Vec<u32>) {
        for row in self.rows.rows() {
            let has_offsets = row.pack(values, offsets_us);
            let head = entry::RowHead {
                group: row.group(),
                timestamp: row.timestamp(),
                received_at: self.now,
                present: row.present(),
            };
            entry::encode_row(self.payload, &head, values, has_offsets.then_some(offsets_us));
        }
    }

    fn no_room(&self, index: u32) -> Reject {
        let reason = format!(
            "the server holds its limit of {} series; report fewer label values, or raise series-max",
            self.parts.registry.series_max()
        );
        Reject { index, kind: RejectKind::SeriesLimit, reason }
    }
}

enum Found {
    Component(Arc<Component>),
    Load(LookupKey),
}

/// The component that the report names, made now if it may be.
fn find_component(
    parts: &IngestParts,
    settings: &IngestSettings,
    named: ComponentRef<'_>,
    loaded: Option<LoadOutcome>,
) -> Result<Found, IngestError> {
    let known = match named {
        ComponentRef::Named { component_type, name } => parts.registry.find(component_type, name),
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
            if !settings.require_registration =>
        {
            if parts.registry.is_full() {
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

fn lookup_key(key: &ComponentKey) -> LookupKey {
    LookupKey::Name { component_type: Some(key.component_type().into()), name: key.name().into() }
}

/// Moves the samples whose partition neither exists nor may be made to the rejects.
fn reject_outside_window(parts: &IngestParts, batch: &mut SampleBatch, now: Timestamp) {
    let SampleBatch { samples, rejects, .. } = batch;
    let mut span = AdmittedSpan::EMPTY;
    samples.retain(|sample| {
        if span.contains(sample.timestamp) {
            return true;
        }
        match parts.window.admit(sample.timestamp, now) {
            Some(admitted) => {
                span = admitted;
                true
            }
            None => {
                let reason = format!(
                    "timestamp: it is older than what is kept, and {} past partitions exist \
                     already, which is the limit; check the sender's clock, or raise \
                     past-partitions-max",
                    parts.window.past_max()
                );
                rejects.push(Reject { index: sample.index, kind: RejectKind::Partition, reason });
                false
            }
        }
    });
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
