//! What was set aside: looked at, and tried again once its cause is gone.
//!
//! A record that is tried again is stored in the transaction that removes it from the quarantine,
//! with the ids that it would have had. So it is stored once however often and by however many
//! this is asked, and whatever dies in between.

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::tables::{self, Tables};
use super::verdict::temporary;
use super::{Batch, SinkError};
use crate::log::Record;
use crate::log::entry::{Entries, Entry};
use crate::model::PartitionInterval;
use crate::postgres::StatementError;
use crate::postgres::connect::{self, ConnectError};
use crate::postgres::quarantine::{self, Listed, Lock, SetAside};

/// Records that are listed by one statement.
const PAGE_RECORDS: u32 = 1000;

/// Why the quarantine cannot be worked on. Nothing in it has changed, or all of one record.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// PostgreSQL does not answer.
    #[error("{0}; a server with a PostgreSQL of its own must be running")]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The attempt failed for a reason that passes.
    #[error("{0}; try again")]
    Passing(String),
    /// It will not work without a person.
    #[error("{0}")]
    Permanent(String),
}

/// What came of an attempt to store a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// It is in the tables and no longer in the quarantine.
    Stored {
        /// Its rows.
        rows: u64,
        /// Values in them.
        samples: u64,
    },
    /// It stays where it is, for this reason.
    Refused(String),
    /// There is no record of that number: it was stored before, or deleted.
    Absent,
}

/// The quarantine of a database.
pub struct Quarantine {
    options: PgConnectOptions,
    /// The connection, unless something failed on the last one.
    conn: Option<PgConnection>,
    tables: Tables,
    interval: PartitionInterval,
}

impl Quarantine {
    /// Connects to the database of `options`. Partitions that are missing are made of `interval`.
    pub async fn open(
        options: PgConnectOptions,
        interval: PartitionInterval,
    ) -> Result<Self, QuarantineError> {
        let conn = Some(connect::connect(&options).await?);
        Ok(Self { options, conn, tables: Tables::new(interval), interval })
    }

    async fn connection(&mut self) -> Result<PgConnection, ConnectError> {
        match self.conn.take() {
            Some(conn) => Ok(conn),
            None => connect::connect(&self.options).await,
        }
    }

    /// The next records after number `after`, in the order in which they were set aside, which is
    /// the order to try them again in: one may need what another defines. Empty at the end.
    pub async fn page(&mut self, after: i64) -> Result<Vec<Listed>, QuarantineError> {
        let mut conn = self.connection().await?;
        let listed = quarantine::list(&mut conn, after, PAGE_RECORDS).await?;
        self.conn = Some(conn);
        Ok(listed)
    }

    /// The record of that number.
    pub async fn get(&mut self, id: i64) -> Result<Option<SetAside>, QuarantineError> {
        let mut conn = self.connection().await?;
        let record = quarantine::get(&mut conn, id, Lock::None).await?;
        self.conn = Some(conn);
        Ok(record)
    }

    /// Tries to store the record of that number.
    pub async fn replay(&mut self, id: i64) -> Result<Replayed, QuarantineError> {
        let Some(record) = self.get(id).await? else { return Ok(Replayed::Absent) };
        let batch = match self.batch(&record) {
            Ok(batch) => batch,
            Err(reason) => return Ok(Replayed::Refused(reason)),
        };
        let mut conn = self.connection().await?;
        match self.store(&mut conn, id, &batch).await {
            Ok(replayed) => {
                self.conn = Some(conn);
                Ok(replayed)
            }
            Err(SinkError::Refused(reason)) => Ok(Replayed::Refused(reason)),
            Err(SinkError::Temporary(reason)) => Err(QuarantineError::Passing(reason)),
            Err(SinkError::Permanent(reason)) => Err(QuarantineError::Permanent(reason)),
        }
    }

    fn batch(&self, record: &SetAside) -> Result<Batch, String> {
        let SetAside { node, position, payload } = record;
        let is_row = |entry: &Result<Entry<'_>, _>| matches!(entry, Ok(Entry::Row(_)));
        let rows = Entries::new(payload).filter(is_row).count() as u32;
        let mut batch = Batch::new(*position, *node, self.interval);
        batch
            .add(&Record { position: *position, rows, payload })
            .map_err(|error| error.to_string())?;
        batch.finish();
        Ok(batch)
    }

    async fn store(
        &mut self,
        conn: &mut PgConnection,
        id: i64,
        batch: &Batch,
    ) -> Result<Replayed, SinkError> {
        let copies = self.tables.of(conn, batch).await?;
        let mut transaction = conn.begin().await.map_err(temporary)?;
        let locked = quarantine::get(&mut transaction, id, Lock::ForRemoval).await;
        if locked.map_err(temporary)?.is_none() {
            return Ok(Replayed::Absent);
        }
        tables::write(&mut transaction, batch, &copies).await?;
        quarantine::remove(&mut transaction, id).await.map_err(temporary)?;
        transaction.commit().await.map_err(temporary)?;
        Ok(Replayed::Stored { rows: batch.rows(), samples: batch.samples() })
    }
}
