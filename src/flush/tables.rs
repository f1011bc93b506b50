//! Where the rows of a batch go, and how they get there: shared by the flush and by those who try
//! again what was set aside.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::verdict::{content, temporary};
use super::{Batch, SinkError};
use crate::model::{PartitionInterval, PartitionStart, Timestamp};
use crate::postgres::copy::CopyBuffer;
use crate::postgres::partitions::late_writes;
use crate::postgres::{definitions, partitions, report};

/// The parent table: rows whose interval is covered by several partitions go through it.
const PARENT: &str = "report";

/// Tables that are remembered; past that the memory begins anew.
const TABLES_MAX: usize = 1024;

/// The table that each interval's rows are copied to, as far as known.
pub(super) struct Tables {
    interval: PartitionInterval,
    known: HashMap<PartitionStart, String>,
}

/// The rows of a batch, each run with its table.
pub(super) type Copies<'a> = Vec<(String, &'a CopyBuffer)>;

impl Tables {
    /// Nothing known yet.
    pub(super) fn new(interval: PartitionInterval) -> Self {
        Self { interval, known: HashMap::new() }
    }

    /// Has partitions that were dropped meanwhile looked for again.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The tables for the rows of `batch`, made now if need be, outside of any transaction.
    pub(super) async fn of<'a>(
        &mut self,
        conn: &mut PgConnection,
        batch: &'a Batch,
    ) -> Result<Copies<'a>, SinkError> {
        let mut copies = Vec::new();
        for partition in batch.partitions() {
            let table = self.table(conn, partition.start, partition.end).await?;
            copies.push((table, partition.rows));
        }
        Ok(copies)
    }

    /// The table for the rows of the interval from `start` to `end`.
    async fn table(
        &mut self,
        conn: &mut PgConnection,
        start: PartitionStart,
        end: Timestamp,
    ) -> Result<String, SinkError> {
        if let Some(table) = self.known.get(&start) {
            return Ok(table.clone());
        }
        let first = partitions::ensure(conn, self.interval, start.timestamp()).await?;
        let mut covered = first.to;
        while covered < end {
            covered = partitions::ensure(conn, self.interval, covered).await?.to;
        }
        let table = if first.from <= start.timestamp() && first.to >= end {
            first.name
        } else {
            PARENT.to_owned()
        };
        if self.known.len() >= TABLES_MAX {
            self.known.clear();
        }
        self.known.insert(start, table.clone());
        Ok(table)
    }
}

/// Writes definitions and rows in the transaction that `conn` is in.
pub(super) async fn write(
    conn: &mut PgConnection,
    batch: &Batch,
    copies: &Copies<'_>,
) -> Result<(), SinkError> {
    definitions::upsert_components(conn, &batch.components).await?;
    definitions::upsert_series(conn, &batch.series).await?;
    let mut pace = batch.pace();
    for (table, rows) in copies {
        report::copy_rows(conn, table, rows, || pace.next()).await.map_err(content)?;
    }
    let spans: Vec<_> = batch.partitions().map(|rows| (rows.start.timestamp(), rows.end)).collect();
    late_writes::note(conn, &spans).await.map_err(temporary)?;
    let tables = copies.iter().map(|(table, _)| table.as_str());
    let partitions: Vec<&str> = tables.filter(|table| *table != PARENT).collect();
    match partitions::first_detached(conn, &partitions).await.map_err(temporary)? {
        None => Ok(()),
        Some(table) => Err(temporary(format!("noetl.{table} is no longer part of noetl.report"))),
    }
}
