//! What happens to a batch that the sink refuses for its content: the records that it does not
//! take are found, one by one, and set aside, so that they stop nothing behind them.
//!
//! The batch is read from the log again, in runs that are halved at every refusal and doubled
//! at every success. So a refused record costs a number of commits that is logarithmic in the
//! batch's records, and the memory of one further batch.

use std::mem::take;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::flusher::{Answer, FlushError, Flusher, Step};
use super::{Batch, BatcherError, RefusedRecord, Sink};
use crate::log::Readers;
use crate::model::{LogPosition, NodeNumber, PartitionInterval};

/// The log that batches are read from again.
pub(super) struct Source {
    pub(super) readers: Readers,
    pub(super) node: NodeNumber,
    pub(super) interval: PartitionInterval,
}

impl Source {
    /// The run of at most `records_max` records from `from` on, none of them at or above `end`,
    /// and the payload of the first.
    fn read(
        &self,
        from: LogPosition,
        end: LogPosition,
        records_max: usize,
    ) -> Result<(Batch, Vec<u8>), BatcherError> {
        let mut reader = self.readers.reader(from)?;
        let mut run = Batch::at(reader.start(), self.node, self.interval);
        let mut first = Vec::new();
        while run.to < end && run.records() < records_max {
            let Some(record) = reader.next()? else { break };
            if run.is_empty() {
                first = record.payload.to_vec();
            }
            run.add(&record)?;
        }
        run.finish();
        Ok((run, first))
    }
}

/// Has the other tasks of the thread go on elsewhere where there is an elsewhere.
fn reading_files<T>(read: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => read(),
        _ => block_in_place(read),
    }
}

impl<S: Sink> Flusher<S> {
    /// Stores all of a refused batch but the records that are themselves refused.
    pub(super) async fn store_in_pieces(
        &mut self,
        refused: &Batch,
        source: &Source,
    ) -> Result<(), FlushError> {
        let mut at = refused.from;
        let mut records_max = refused.records() / 2;
        while at < refused.to {
            let (mut run, payload) =
                reading_files(|| source.read(at, refused.to, records_max.max(1)))?;
            match self.take(Step::Commit(&run)).await? {
                Answer::Taken => {
                    self.stored(&run).await?;
                    records_max = run.records().saturating_mul(2);
                }
                Answer::Refused(_) if run.records() > 1 => {
                    records_max = run.records() / 2;
                    continue;
                }
                Answer::Refused(reason) => {
                    at = run.to;
                    self.set_aside(RefusedRecord {
                        from: run.start(),
                        to: run.end(),
                        reason,
                        payload,
                        components: take(&mut run.components),
                        series: take(&mut run.series),
                    })
                    .await?;
                    continue;
                }
            }
            at = run.to;
        }
        Ok(())
    }

    async fn set_aside(&mut self, record: RefusedRecord) -> Result<(), FlushError> {
        if let Answer::Refused(reason) = self.take(Step::SetAside(&record)).await? {
            return Err(FlushError::Permanent(format!(
                "the record at position {} can neither be stored ({}) nor be set aside ({reason})",
                record.from.position, record.reason
            )));
        }
        let (from, to) = (record.from.position, record.to.position);
        let rows = to.get() - from.get();
        tracing::error!(
            position = from.get(),
            rows,
            reason = record.reason,
            "PostgreSQL refuses a report for its content; it was set aside in noetl.quarantine"
        );
        self.telemetry.flush.quarantined_rows.inc_by(rows);
        self.progress.set_flushed(to);
        let components: Vec<_> = record.components.iter().map(|one| &one.key).collect();
        self.learn_runtime_ids(&components).await
    }
}
