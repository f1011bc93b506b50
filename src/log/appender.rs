//! The way into the log.

use std::sync::Arc;

use super::batch::Ticket;
use super::error::AppendError;
use super::intake::Intake;

/// Appends records. Clones share one log.
#[derive(Clone)]
pub struct Appender {
    intake: Arc<Intake>,
}

impl Appender {
    pub(super) fn new(intake: Arc<Intake>) -> Self {
        Self { intake }
    }

    /// Whether a record would presently be taken, as far as can be said at the cost of one atomic
    /// read: meant to be asked before any work is done for a report.
    #[inline]
    pub fn admit(&self) -> Result<(), AppendError> {
        self.intake.admit()
    }

    /// Stages `payload`, which holds `rows` rows, as one record, and gives it its position.
    /// Does no I/O. The record is durable once the ticket resolves.
    ///
    /// Records are synced in the order of their positions.
    pub fn append(&self, payload: &[u8], rows: u32) -> Result<Ticket, AppendError> {
        self.intake.append(payload, rows)
    }

    /// A ticket that resolves once everything appended before is synced: immediately where it
    /// is. Also answered when the log is closed or full.
    pub fn barrier(&self) -> Result<Ticket, AppendError> {
        self.intake.barrier()
    }
}
