//! What is committed at once: a run of the log's records, sorted by where they go.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use super::buffers::Buffers;
use super::pace::{Pace, Spread};
use crate::log::entry::{self, Entries, Entry, EntryError};
use crate::log::{Progress, Record};
use crate::model::component::InvalidComponent;
use crate::model::{
    ComponentKey, LogMark, LogPlace, LogPosition, NodeNumber, PartitionInterval, PartitionStart,
    ReportId, Timestamp,
};
use crate::postgres::copy::{CopyBuffer, RowHead};
use crate::postgres::definitions::{ComponentDefinition, SeriesSlotDefinition};

/// A run of records: everything from [`Batch::from`] up to [`Batch::to`].
#[derive(Debug)]
pub struct Batch {
    /// The position of the first record.
    pub from: LogPosition,
    /// The position after the last record.
    pub to: LogPosition,
    /// The marks of the records that end at [`Batch::from`] and at [`Batch::to`].
    marks: (Option<LogMark>, Option<LogMark>),
    /// New components, in log order.
    pub components: Vec<ComponentDefinition>,
    /// New or changed series, in log order.
    pub series: Vec<SeriesSlotDefinition>,
    records: usize,
    bytes: usize,
    lost: u64,
    partitions: BTreeMap<PartitionStart, CopyBuffer>,
    buffers: Arc<Buffers>,
    spread: Option<Spread>,
    node: NodeNumber,
    interval: PartitionInterval,
}

/// The rows of a batch that go to one partition.
#[derive(Debug)]
pub struct PartitionRows<'a> {
    /// Where the partition's interval begins.
    pub start: PartitionStart,
    /// Where it ends, exclusive.
    pub end: Timestamp,
    /// The rows, ready for COPY.
    pub rows: &'a CopyBuffer,
}

/// A record that passed its checksum and still says nothing sensible.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log's record at position {position} cannot be read: {flaw}; `noetl-metrics` of the version that wrote it can"
)]
pub struct UnreadableRecord {
    /// The record's position.
    pub position: LogPosition,
    flaw: Flaw,
}

#[derive(Debug, thiserror::Error)]
enum Flaw {
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Component(#[from] InvalidComponent),
}

impl Batch {
    /// An empty batch that begins at `from`, of the log of `node`.
    pub fn new(from: LogPosition, node: NodeNumber, interval: PartitionInterval) -> Self {
        Self {
            from,
            to: from,
            marks: (None, None),
            components: Vec::new(),
            series: Vec::new(),
            records: 0,
            bytes: 0,
            lost: 0,
            partitions: BTreeMap::new(),
            buffers: Arc::default(),
            spread: None,
            node,
            interval,
        }
    }

    /// An empty batch that begins at `start`, of which more is known than the position.
    pub fn at(start: LogPlace, node: NodeNumber, interval: PartitionInterval) -> Self {
        let mut batch = Self::new(start.position, node, interval);
        batch.marks = (start.mark, start.mark);
        batch
    }

    /// The batch, with its rows in memory from `buffers`, which get it back at its end.
    pub(super) fn within(mut self, buffers: &Arc<Buffers>) -> Self {
        self.buffers = Arc::clone(buffers);
        self
    }

    /// Where the batch begins.
    pub fn start(&self) -> LogPlace {
        LogPlace { position: self.from, mark: self.marks.0 }
    }

    /// Where the batch ends.
    pub fn end(&self) -> LogPlace {
        LogPlace { position: self.to, mark: self.marks.1 }
    }

    /// Adds the record that stands at the batch's end. After an error the batch holds a part of
    /// it, and is to be dropped.
    pub fn add(&mut self, record: &Record<'_>) -> Result<(), UnreadableRecord> {
        debug_assert_eq!(record.position, self.to, "records are added in the log's order");
        let position = record.position;
        self.add_entries(record).map_err(|flaw| UnreadableRecord { position, flaw })?;
        let end = record.end_place();
        (self.to, self.marks.1) = (end.position, end.mark);
        self.records += 1;
        self.bytes += record.payload.len();
        Ok(())
    }

    fn add_entries(&mut self, record: &Record<'_>) -> Result<(), Flaw> {
        let mut position = record.position;
        for entry in Entries::new(record.payload) {
            match entry? {
                Entry::Row(row) => {
                    self.add_row(position, &row);
                    position = position.advance(1);
                }
                Entry::Component(component) => self.components.push(ComponentDefinition {
                    key: ComponentKey::new(component.component_type, component.name)?,
                    runtime_id: component.runtime_id,
                    first_seen: component.first_seen,
                }),
                Entry::Series(series) => self.series.push(SeriesSlotDefinition {
                    group: series.group,
                    slot: series.slot,
                    component: ComponentKey::new(series.component_type, series.name)?,
                    definition: series.definition.into(),
                }),
                // Keys only matter to recovery.
                Entry::Key(_) => {}
                Entry::Hole(hole) => self.lost += u64::from(hole.positions()),
            }
        }
        Ok(())
    }

    fn add_row(&mut self, position: LogPosition, row: &entry::Row<'_>) {
        let head = RowHead {
            group: row.head.group,
            ts: row.head.timestamp,
            received_at: row.head.received_at,
            report: ReportId::new(self.node, position),
        };
        let start = self.interval.start_of(head.ts);
        let rows = self.partitions.entry(start).or_insert_with(|| self.buffers.take());
        rows.push(head, row.head.present, row.values(), row.offsets_us());
    }

    /// Has the batch go into the tables over so much time, for as long as `progress` knows nobody who waits for
    /// it.
    pub(super) fn spread(&mut self, time: Duration, progress: &Arc<Progress>) {
        self.spread = Some(Spread { time, progress: Arc::clone(progress) });
    }

    /// The pauses to make while the batch is stored, beginning now.
    pub(super) fn pace(&self) -> Pace<'_> {
        let pieces = self.partitions.values().map(CopyBuffer::pieces).sum();
        Pace::new(self.spread.as_ref(), self.from, pieces)
    }

    /// Ends the rows' COPY data; nothing can be added afterwards.
    pub fn finish(&mut self) {
        self.partitions.values_mut().for_each(CopyBuffer::finish);
    }

    /// The rows by partition, in the order of time.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionRows<'_>> {
        self.partitions.iter().map(|(start, rows)| PartitionRows {
            start: *start,
            end: self.interval.end_of(*start),
            rows,
        })
    }

    /// Rows in the batch.
    pub fn rows(&self) -> u64 {
        self.partitions.values().map(CopyBuffer::rows).sum()
    }

    /// Samples in the batch.
    pub fn samples(&self) -> u64 {
        self.partitions.values().map(CopyBuffer::samples).sum()
    }

    /// Records in the batch.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Bytes of the batch's records in the log, to which the memory it takes is proportional.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Positions in the batch that were given up: the batch moves over them.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether no record was added.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        take(&mut self.partitions).into_values().for_each(|rows| self.buffers.give(rows));
    }
}
