//! The database at the start: started or reached, migrated, and this server registered in it.
//!
//! A server that is registered starts whatever PostgreSQL does: it waits for it for some seconds
//! and goes on without, for the log has everything that it needs.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::AppError;
use crate::config::{Database, Settings};
use crate::log::{Disk, Identity};
use crate::model::{LogPlace, NodeNumber};
use crate::postgres::embedded::{Embedded, EmbeddedSettings};
use crate::postgres::node::{self, NodeError};
use crate::postgres::{connect, schema};

/// The wait between two attempts to reach a database that this server needs for its first start.
const RETRY: Duration = Duration::from_secs(2);
/// How long the embedded PostgreSQL may take to start: it may have its own log to recover.
const EMBEDDED_START: Duration = Duration::from_secs(300);
/// How long a registered server waits before it starts without: for an embedded PostgreSQL to be up, and
/// as long again for all that is to be done in the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database as the start found it.
pub(super) struct StartedDatabase {
    pub(super) options: PgConnectOptions,
    /// Present when this server runs its own.
    pub(super) embedded: Option<Embedded>,
    /// How a person reaches it with psql.
    pub(super) psql: String,
    /// There is no point in asking it yet.
    is_away: bool,
    /// Until when a registered server waits for its answers.
    deadline: Instant,
}

/// A start that fails, or that a signal ends, leaves no PostgreSQL behind. A start that succeeds takes it.
impl Drop for StartedDatabase {
    fn drop(&mut self) {
        if let Some(embedded) = &self.embedded {
            embedded.tell_to_stop();
        }
    }
}

impl StartedDatabase {
    /// Starts the embedded PostgreSQL, or reads where the external one is. A registered server
    /// does not wait for long.
    pub(super) async fn start(settings: &Settings, registered: bool) -> Result<Self, AppError> {
        match &settings.database_url {
            Database::External(url) => {
                let options = connect::parse(url.as_str())?;
                let psql = connect::describe(&options);
                Ok(Self { options, embedded: None, psql, is_away: false, deadline: deadline() })
            }
            Database::Embedded => {
                let mut wanted = EmbeddedSettings::new(&settings.data_dir);
                wanted.bin_dir.clone_from(&settings.postgres_bin_dir);
                wanted.start_timeout = EMBEDDED_START;
                let (embedded, is_away) = if registered {
                    let mut embedded = Embedded::open(wanted).await?;
                    let is_away = !comes_up(&mut embedded).await;
                    (embedded, is_away)
                } else {
                    (Embedded::start(wanted).await?, false)
                };
                let url = embedded.url();
                let options = connect::parse(&url)?;
                let psql = format!("psql '{url}'");
                Ok(Self { options, embedded: Some(embedded), psql, is_away, deadline: deadline() })
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
        if identity.node().is_some() {
            return self.prepare_registered(identity, disk).await;
        }
        loop {
            let error = match self.connect(identity, disk).await {
                Ok(conn) => return Ok(Some(conn)),
                Err(error) if passes(&error) => error,
                Err(error) => return Err(error),
            };
            if self.embedded.is_some() {
                return Err(error);
            }
            tracing::warn!(%error, "waiting for PostgreSQL: the first start of a server needs it once");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn prepare_registered(
        &self,
        identity: &mut Identity,
        disk: &dyn Disk,
    ) -> Result<Option<PgConnection>, AppError> {
        if self.is_away {
            return Ok(None);
        }
        match timeout_at(self.deadline, self.connect(identity, disk)).await {
            Ok(Ok(conn)) => return Ok(Some(conn)),
            Ok(Err(error)) if !passes(&error) => return Err(error),
            Ok(Err(error)) => {
                tracing::warn!(%error, "PostgreSQL is away; reports are taken into the log meanwhile");
            }
            Err(_) => tracing::warn!(
                "PostgreSQL does not answer within {PATIENCE:?}; reports are taken into the log meanwhile"
            ),
        }
        Ok(None)
    }

    /// Does what is good to have in the database but can wait.
    pub(super) async fn try_in_time<E: std::fmt::Display>(
        &self,
        what: &str,
        work: impl Future<Output = Result<(), E>>,
    ) {
        match timeout_at(self.deadline, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "{what} has to wait"),
            Err(_) => tracing::warn!("{what} has to wait: PostgreSQL does not answer in time"),
        }
    }

    /// Up to where this server's log is stored; `None` where PostgreSQL does not say in time, and the
    /// flush will find out.
    pub(super) async fn stored_place(
        &self,
        conn: &mut PgConnection,
        number: NodeNumber,
        log_id: Uuid,
    ) -> Result<Option<LogPlace>, AppError> {
        match timeout_at(self.deadline, node::place(conn, number, log_id)).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(error @ NodeError::Unregistered { .. })) => Err(error.into()),
            failed => {
                tracing::warn!(?failed, "the log's position could not be read");
                Ok(None)
            }
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

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Whether the embedded PostgreSQL is up soon. Else its supervision goes on to start it.
async fn comes_up(embedded: &mut Embedded) -> bool {
    match timeout(PATIENCE, embedded.restart()).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!(
            %error, "PostgreSQL does not start; reports are taken into the log meanwhile"
        ),
        Err(_) => tracing::warn!(
            "PostgreSQL is not up within {PATIENCE:?}; reports are taken into the log meanwhile"
        ),
    }
    false
}

/// Whether the database will be what it should be, without this server.
fn passes(error: &AppError) -> bool {
    match error {
        AppError::Schema(error) => error.is_temporary(),
        AppError::Connect(_) => true,
        _ => false,
    }
}
