//! The sink that PostgreSQL is.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::time::timeout;
use uuid::Uuid;

use super::tables::{self, Tables};
use super::verdict::{content, temporary};
use super::{Batch, RefusedRecord, Sink, SinkError};
use crate::model::{ComponentKey, LogPlace, NodeNumber, PartitionInterval, RuntimeId};
use crate::postgres::definitions::{self, ComponentDefinition, SeriesSlotDefinition};
use crate::postgres::node::{self, NodeError};
use crate::postgres::schema;
use crate::postgres::{connect, quarantine};

/// How long PostgreSQL may take for a batch. Longer than a session waits for a lock, so that
/// this ends connections on which nobody listens any more, and those only.
const ANSWER_WAIT: Duration = Duration::from_secs(180);

/// Writes the log of one node, over one connection.
pub struct PostgresSink {
    options: PgConnectOptions,
    node: NodeNumber,
    log_id: Uuid,
    conn: Option<PgConnection>,
    migrated: bool,
    tables: Tables,
}

impl PostgresSink {
    /// A sink for the log `log_id` of `node`. Connects when it is first used.
    pub fn new(
        options: PgConnectOptions,
        node: NodeNumber,
        log_id: Uuid,
        interval: PartitionInterval,
    ) -> Self {
        Self { options, node, log_id, conn: None, migrated: false, tables: Tables::new(interval) }
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
        connect::connect(&self.options).await.map_err(temporary)
    }

    /// Runs `work` on the connection, which is kept only if that succeeds. A database that has
    /// vanished without a word would otherwise be waited for for ever.
    async fn on_connection<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self, &mut PgConnection) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let mut conn = self.connection().await?;
        let done = match timeout(ANSWER_WAIT, work(self, &mut conn)).await {
            Ok(done) => done,
            Err(_) => Err(SinkError::Temporary(format!("no answer within {ANSWER_WAIT:?}"))),
        };
        match done {
            Ok(_) => self.conn = Some(conn),
            // A partition that was dropped meanwhile is looked for again.
            Err(_) => self.tables.clear(),
        }
        done
    }

    async fn commit_on(&mut self, conn: &mut PgConnection, batch: &Batch) -> Result<(), SinkError> {
        let copies = self.tables.of(conn, batch).await?;
        let mut transaction = self.advance(conn, batch.start(), batch.end()).await?;
        tables::write(&mut transaction, batch, &copies).await?;
        transaction.commit().await.map_err(temporary)
    }

    async fn set_aside_on(
        &self,
        conn: &mut PgConnection,
        record: &RefusedRecord,
    ) -> Result<(), SinkError> {
        let RefusedRecord { from, to, reason, payload, components, series } = record;
        let mut transaction = self.advance(conn, *from, *to).await?;
        let mut defining = transaction.begin().await.map_err(temporary)?;
        match define(&mut defining, components, series).await {
            Ok(()) => defining.commit().await.map_err(temporary)?,
            // It may be a definition that was refused; it comes with the record's replay.
            Err(SinkError::Refused(_)) => defining.rollback().await.map_err(temporary)?,
            Err(error) => return Err(error),
        }
        quarantine::insert(&mut transaction, self.node, from.position, reason, payload)
            .await
            .map_err(content)?;
        transaction.commit().await.map_err(temporary)
    }

    /// Begins a transaction that moves the position. It begins with that, so that whoever does
    /// not own the position finds out before anything else, and so that an earlier attempt of
    /// ours that is still being committed is waited for.
    async fn advance<'c>(
        &self,
        conn: &'c mut PgConnection,
        from: LogPlace,
        to: LogPlace,
    ) -> Result<Transaction<'c, Postgres>, SinkError> {
        let mut transaction = conn.begin().await.map_err(temporary)?;
        match node::advance(&mut transaction, self.node, self.log_id, from, to).await {
            Ok(()) => Ok(transaction),
            // Whether another process moved it, or an earlier attempt of ours whose answer was
            // lost, only the position tells.
            Err(moved @ NodeError::TakenOver { .. }) => Err(temporary(moved)),
            Err(error) => Err(error.into()),
        }
    }
}

async fn define(
    conn: &mut PgConnection,
    components: &[ComponentDefinition],
    series: &[SeriesSlotDefinition],
) -> Result<(), SinkError> {
    definitions::upsert_components(conn, components).await?;
    definitions::upsert_series(conn, series).await?;
    Ok(())
}

impl Sink for PostgresSink {
    async fn position(&mut self) -> Result<LogPlace, SinkError> {
        self.on_connection(async |sink, conn| Ok(node::place(conn, sink.node, sink.log_id).await?))
            .await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.on_connection(async |sink, conn| sink.commit_on(conn, batch).await).await
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.on_connection(async |sink, conn| sink.set_aside_on(conn, record).await).await
    }

    async fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> Result<Vec<(ComponentKey, RuntimeId)>, SinkError> {
        self.on_connection(async |_, conn| {
            definitions::runtime_ids(conn, components).await.map_err(temporary)
        })
        .await
    }
}
