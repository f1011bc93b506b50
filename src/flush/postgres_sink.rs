//! The sink that PostgreSQL is.

use std::collections::HashMap;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Batch, Committed, Sink, SinkError};
use crate::model::{LogPosition, NodeNumber, PartitionInterval, PartitionStart};
use crate::postgres::definitions::{self, DefinitionError};
use crate::postgres::node::{self, NodeError};
use crate::postgres::partitions::{self, PartitionError};
use crate::postgres::schema::{self, SchemaError};
use crate::postgres::{StatementError, connect, report};

/// The parent table: rows whose interval is covered by several partitions go through it.
const PARENT: &str = "report";

/// Writes the log of one node, over one connection.
pub struct PostgresSink {
    options: PgConnectOptions,
    node: NodeNumber,
    log_id: Uuid,
    interval: PartitionInterval,
    conn: Option<PgConnection>,
    migrated: bool,
    /// The table that each interval's rows are copied to, as far as known.
    tables: HashMap<PartitionStart, String>,
}

impl PostgresSink {
    /// A sink for the log `log_id` of `node`. Connects when it is first used.
    pub fn new(
        options: PgConnectOptions,
        node: NodeNumber,
        log_id: Uuid,
        interval: PartitionInterval,
    ) -> Self {
        Self {
            options,
            node,
            log_id,
            interval,
            conn: None,
            migrated: false,
            tables: HashMap::new(),
        }
    }

    /// The connection, made now if there is none. A failed one is never used again: what a
    /// dropped transaction left on it is unknown.
    async fn connection(&mut self) -> Result<PgConnection, SinkError> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        if !self.migrated {
            schema::migrate(&self.options).await?;
            self.migrated = true;
        }
        connect::connect(&self.options)
            .await
            .map_err(|error| SinkError::Temporary(error.to_string()))
    }

    /// The table for the rows of the interval that begins at `start`, made now if need be.
    async fn table(
        &mut self,
        conn: &mut PgConnection,
        start: PartitionStart,
    ) -> Result<String, SinkError> {
        if let Some(table) = self.tables.get(&start) {
            return Ok(table.clone());
        }
        let end = self.interval.end_of(start);
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
        self.tables.insert(start, table.clone());
        Ok(table)
    }

    async fn commit_on(
        &mut self,
        conn: &mut PgConnection,
        batch: &Batch,
    ) -> Result<Committed, SinkError> {
        let mut copies = Vec::new();
        for partition in batch.partitions() {
            copies.push((self.table(conn, partition.start).await?, partition.rows));
        }
        let temporary =
            |error: sqlx::Error| SinkError::Temporary(format!("commit a batch: {error}"));
        let mut transaction = conn.begin().await.map_err(temporary)?;
        let runtime_ids =
            definitions::upsert_components(&mut transaction, &batch.components).await?;
        definitions::upsert_series(&mut transaction, &batch.series).await?;
        for (table, rows) in copies {
            report::copy_rows(&mut transaction, &table, rows.bytes()).await?;
        }
        match node::advance(&mut transaction, self.node, self.log_id, batch.from, batch.to).await {
            // Whether another process moved it, or an earlier attempt of ours whose answer was
            // lost, only the position tells.
            Err(moved @ NodeError::TakenOver { .. }) => {
                return Err(SinkError::Temporary(moved.to_string()));
            }
            outcome => outcome?,
        }
        transaction.commit().await.map_err(temporary)?;
        Ok(Committed { runtime_ids })
    }
}

impl Sink for PostgresSink {
    async fn position(&mut self) -> Result<LogPosition, SinkError> {
        let mut conn = self.connection().await?;
        let position = node::position(&mut conn, self.node, self.log_id).await?;
        self.conn = Some(conn);
        Ok(position)
    }

    async fn commit(&mut self, batch: &Batch) -> Result<Committed, SinkError> {
        let mut conn = self.connection().await?;
        match self.commit_on(&mut conn, batch).await {
            Ok(committed) => {
                self.conn = Some(conn);
                Ok(committed)
            }
            Err(error) => {
                // A partition that was dropped meanwhile is looked for again.
                self.tables.clear();
                Err(error)
            }
        }
    }
}

impl From<StatementError> for SinkError {
    fn from(error: StatementError) -> Self {
        Self::Temporary(error.to_string())
    }
}

impl From<DefinitionError> for SinkError {
    fn from(error: DefinitionError) -> Self {
        Self::Temporary(error.to_string())
    }
}

impl From<PartitionError> for SinkError {
    fn from(error: PartitionError) -> Self {
        Self::Temporary(error.to_string())
    }
}

impl From<NodeError> for SinkError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Statement(error) => error.into(),
            error => Self::Permanent(error.to_string()),
        }
    }
}

impl From<SchemaError> for SinkError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Connect(_) | SchemaError::Busy { .. } | SchemaError::Statement(_) => {
                Self::Temporary(error.to_string())
            }
            SchemaError::ServerTooOld { .. }
            | SchemaError::Occupied { .. }
            | SchemaError::Newer { .. }
            | SchemaError::Altered { .. }
            | SchemaError::Failed { .. } => Self::Permanent(error.to_string()),
        }
    }
}
