//! The database at the start: started or reached, migrated, and this server registered in it.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::AppError;
use crate::config::{Database, Settings};
use crate::log::{Disk, Identity};
use crate::postgres::embedded::{Embedded, EmbeddedSettings};
use crate::postgres::schema::SchemaError;
use crate::postgres::{connect, node, schema};

/// The wait between two attempts to reach a database that this server needs for its first start.
const RETRY: Duration = Duration::from_secs(2);
/// How long the embedded PostgreSQL may take to start: it may have its own log to recover.
const EMBEDDED_START: Duration = Duration::from_secs(300);

/// The database as the start found it.
pub(super) struct StartedDatabase {
    pub(super) options: PgConnectOptions,
    /// Present when this server runs its own.
    pub(super) embedded: Option<Embedded>,
    /// How a person reaches it with psql.
    pub(super) psql: String,
}

impl StartedDatabase {
    /// Starts the embedded PostgreSQL, or reads where the external one is.
    pub(super) async fn start(settings: &Settings) -> Result<Self, AppError> {
        match &settings.database_url {
            Database::External(url) => {
                let options = connect::parse(url.as_str())?;
                let psql = connect::describe(&options);
                Ok(Self { options, embedded: None, psql })
            }
            Database::Embedded => {
                let mut wanted = EmbeddedSettings::new(&settings.data_dir);
                wanted.bin_dir.clone_from(&settings.postgres_bin_dir);
                wanted.start_timeout = EMBEDDED_START;
                let embedded = Embedded::start(wanted).await?;
                let url = embedded.url();
                let options = connect::parse(&url)?;
                Ok(Self { options, embedded: Some(embedded), psql: format!("psql '{url}'") })
            }
        }
    }

    /// A connection to the migrated database, with this server registered; `None` when the
    /// database is away and this server, registered before, can go on without.
    pub(super) async fn prepare(
        &self,
        identity: &mut Identity,
        disk: &dyn Disk,
    ) -> Result<Option<PgConnection>, AppError> {
        loop {
            let error = match self.connect(identity, disk).await {
                Ok(conn) => return Ok(Some(conn)),
                Err(AppError::Schema(SchemaError::Connect(error)) | AppError::Connect(error)) => {
                    error
                }
                Err(error) => return Err(error),
            };
            if self.embedded.is_some() {
                return Err(error.into());
            }
            if identity.node().is_some() {
                tracing::warn!(%error, "PostgreSQL is away; reports are taken into the log meanwhile");
                return Ok(None);
            }
            tracing::warn!(%error, "waiting for PostgreSQL: the first start of a server needs it once");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn connect(
        &self,
        identity: &mut Identity,
        disk: &dyn Disk,
    ) -> Result<PgConnection, AppError> {
        schema::migrate(&self.options).await?;
        let mut conn = connect::connect(&self.options).await?;
        if identity.node().is_none() {
            let number = node::register(&mut conn, identity.log_id()).await?;
            identity.register_node(disk, number)?;
        }
        Ok(conn)
    }
}
