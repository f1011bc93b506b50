//! Reports that are like one before but for their numbers: taken without a parser.

use std::sync::Arc;

use super::outlines::Known;
use super::record::Taken;
use super::submit::{Admission, Attempt};
use super::workspace::Workspace;
use super::{IngestError, Logged};
use crate::model::SampleBatch;
use crate::model::component::DEFAULT_COMPONENT_TYPE;
use crate::protocol::{ComponentRef, OUTLINE_DOCUMENT_BYTES_MAX, Outline};
use crate::registry::{Component, ComponentState, LastValue};

impl Attempt<'_> {
    /// Takes the report if it is a known one; `None` when it is to be decoded.
    pub(super) fn take_known(
        &self,
        workspace: &mut Workspace,
    ) -> Result<Option<Logged>, IngestError> {
        let Workspace { readings, record, .. } = workspace;
        let outlines = &self.parts.outlines;
        let mut nth = 0;
        while let Some(known) = outlines.guess(self.document, nth) {
            nth += 1;
            // Its memory is on its way while the document is read.
            let mut state = known.component.lock();
            if state.is_evicted() || state.generation() != known.generation {
                drop(state);
                outlines.forget(self.document, &known);
                return Ok(None);
            }
            state.look_ahead(known.entries.get(0));
            let decode = &self.settings.decode;
            let mut admission = Admission::new(&self.parts.window, self.now);
            if !known.outline.read(self.document, self.now, decode, readings)
                || !readings.iter().all(|reading| admission.admits(reading.timestamp))
            {
                continue;
            }
            self.permit(known.component.key().name())?;
            self.caller.charge(readings.len());
            record.clear();
            for (nth, reading) in readings.iter().enumerate() {
                let entry = known.entries.get(nth);
                let sample = LastValue { timestamp: reading.timestamp, value: reading.value };
                let repeats_last = state.is_repeat(entry, sample.timestamp, sample.value);
                record.take(Taken { entry, sample }, state.placement(entry), repeats_last);
            }
            let mark = state.mark();
            let logged = self.append(&known.component, &mut state, mark, record, &[])?;
            drop(state);
            known.used(self.now.seconds());
            self.parts.telemetry.ingest.reports_by_outline.inc();
            return Ok(Some(logged));
        }
        Ok(None)
    }

    /// Whether the report that was just taken should be known from now on: it brought nothing new,
    /// and what it names will go on to mean the same component.
    pub(super) fn is_worth_knowing(
        &self,
        named: ComponentRef<'_>,
        component: &Component,
        batch: &SampleBatch,
    ) -> bool {
        let lasting = match named {
            ComponentRef::Named { component_type: Some(_), .. } => true,
            // A component of the default type could come and take the name.
            ComponentRef::Named { component_type: None, .. } => {
                component.key().component_type() == DEFAULT_COMPONENT_TYPE
            }
            // PostgreSQL may know the component by another id.
            ComponentRef::RuntimeId(_) => false,
        };
        lasting
            && batch.rejects.is_empty()
            && self.document.len() <= OUTLINE_DOCUMENT_BYTES_MAX
            && self.parts.outlines.wants(self.document)
    }

    /// What there is to know of the report: nothing where the metadata of a series differ from
    /// those that the component has, for then each report has to be looked at.
    pub(super) fn known(
        &self,
        component: &Arc<Component>,
        state: &ComponentState,
        batch: &SampleBatch,
        taken: &[Taken],
    ) -> Option<Known> {
        let same =
            |(taken, sample): (&Taken, _)| state.defines(taken.entry, batch.series_of(sample));
        if taken.len() != batch.samples.len() || !taken.iter().zip(&batch.samples).all(same) {
            return None;
        }
        let decode = &self.settings.decode;
        let outline = Outline::learn(self.document, &batch.samples, self.now, decode)?;
        let entries: Vec<u32> = taken.iter().map(|taken| taken.entry as u32).collect();
        let component = Arc::clone(component);
        Some(Known::new(outline, component, &entries, state.generation(), self.now.seconds()))
    }
}
