//! The seam to the database: what the flush asks of it, and how it may fail.

use std::future::Future;

use super::Batch;
use crate::model::{ComponentKey, LogPlace, RuntimeId};
use crate::postgres::definitions::{ComponentDefinition, SeriesSlotDefinition};

/// Where batches go. What is taken and the position after it are taken together or not at all.
///
/// After an error of [`Sink::commit`] or [`Sink::set_aside`] it may have been taken all the same
/// (the answer may be what was lost): [`Sink::position`] tells.
pub trait Sink: Send + 'static {
    /// The position up to which this log is in the sink.
    fn position(&mut self) -> impl Future<Output = Result<LogPlace, SinkError>> + Send;

    /// Takes the batch, which begins at the sink's position, and moves the position to its end.
    fn commit(&mut self, batch: &Batch) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Keeps a record that it refused apart from the others, and moves the position over it.
    /// Takes the record's definitions all the same, unless it refuses those: later records go on
    /// with the groups that they began.
    fn set_aside(
        &mut self,
        record: &RefusedRecord,
    ) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// The ids that those of the components which the sink has have there.
    fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> impl Future<Output = Result<Vec<(ComponentKey, RuntimeId)>, SinkError>> + Send;
}

/// A record that a sink will not take, ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Where it begins.
    pub from: LogPlace,
    /// Where it ends.
    pub to: LogPlace,
    /// What the sink said.
    pub reason: String,
    /// The record as the log holds it.
    pub payload: Vec<u8>,
    /// The components that it defines.
    pub components: Vec<ComponentDefinition>,
    /// The series that it defines.
    pub series: Vec<SeriesSlotDefinition>,
}

/// Why a sink did not answer, or did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may work later: away, busy, full, restarting.
    #[error("{0}")]
    Temporary(String),
    /// Something in the batch cannot be stored, and never will be; the rest can.
    #[error("{0}")]
    Refused(String),
    /// It will not work without a person.
    #[error("{0}")]
    Permanent(String),
}
