//! The seam to the database: what the flush asks of it, and how it may fail.

use std::future::Future;

use super::Batch;
use crate::model::{ComponentKey, LogPosition, RuntimeId};

/// Where batches go. A batch and the position after it are taken together or not at all.
pub trait Sink: Send + 'static {
    /// The position up to which this log is in the sink.
    fn position(&mut self) -> impl Future<Output = Result<LogPosition, SinkError>> + Send;

    /// Takes the batch, which begins at the sink's position, and moves the position to its end.
    ///
    /// After an error the batch may have been taken all the same (the answer may be what was
    /// lost): [`Sink::position`] tells.
    fn commit(
        &mut self,
        batch: &Batch,
    ) -> impl Future<Output = Result<Committed, SinkError>> + Send;
}

/// What a commit brought to light.
#[derive(Debug, Default)]
pub struct Committed {
    /// The ids that components of the batch have in the registry.
    pub runtime_ids: Vec<(ComponentKey, RuntimeId)>,
}

/// Why a sink did not answer, or did not take a batch.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may work later: away, busy, full, restarting.
    #[error("{0}")]
    Temporary(String),
    /// It will not work without a person.
    #[error("{0}")]
    Permanent(String),
}
