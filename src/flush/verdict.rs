//! What an error of PostgreSQL means for the flush: whether it passes, is the batch's own fault,
//! or wants a person.

use super::SinkError;
use crate::postgres::StatementError;
use crate::postgres::definitions::DefinitionError;
use crate::postgres::node::NodeError;
use crate::postgres::partitions::PartitionError;
use crate::postgres::schema::SchemaError;

pub(super) fn temporary(error: impl std::fmt::Display) -> SinkError {
    SinkError::Temporary(error.to_string())
}

/// The failure of a statement that carries what clients sent.
pub(super) fn content(error: StatementError) -> SinkError {
    if error.refuses_content() { SinkError::Refused(error.to_string()) } else { temporary(error) }
}

impl From<DefinitionError> for SinkError {
    fn from(error: DefinitionError) -> Self {
        match error {
            DefinitionError::Statement(error) => content(error),
            DefinitionError::Unstorable { .. }
            | DefinitionError::UnknownComponent { .. }
            | DefinitionError::NoFreeId { .. }
            | DefinitionError::SeriesAltered { .. }
            | DefinitionError::SlotTaken { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl From<PartitionError> for SinkError {
    /// Whatever is in the way of a partition is not the rows' fault, and goes away.
    fn from(error: PartitionError) -> Self {
        temporary(error)
    }
}

impl From<NodeError> for SinkError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Statement(error) => temporary(error),
            error => Self::Permanent(error.to_string()),
        }
    }
}

impl From<SchemaError> for SinkError {
    fn from(error: SchemaError) -> Self {
        if error.is_temporary() { temporary(error) } else { Self::Permanent(error.to_string()) }
    }
}
