//! Has a log and a database fit together again, after one of them went back in time.
//!
//! What is missing between them is missing whatever this does; a person says with `--yes` that it is
//! to be so. What could put a report into the tables twice is refused.

mod render;

use std::io::Write;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::AppError;
use super::super::database::StartedDatabase;
use super::{CommandError, Outcome, open};
use crate::clock::{Clock, SystemClock};
use crate::config::{Consent, Settings};
use crate::flush::{FlushError, reader_at};
use crate::log::entry::{Hole, encode_hole};
use crate::log::{
    Access, AppendError, Disk, Identity, IdentityError, Log, LogFailed, LogSettings, OpenError,
    ReadError, Record,
};
use crate::model::{LogPlace, LogPosition, NodeNumber};
use crate::postgres::embedded::EmbeddedError;
use crate::postgres::node::{self, NodeError};
use crate::postgres::{StatementError, connect, schema};
use crate::telemetry::Telemetry;

/// Why a log and a database cannot be made to fit.
#[derive(Debug, thiserror::Error)]
pub enum GapError {
    /// The database cannot be reached.
    #[error(transparent)]
    Database(Box<AppError>),
    /// It cannot be stopped again.
    #[error(transparent)]
    Stop(#[from] EmbeddedError),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be added to.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A write or sync failed.
    #[error(transparent)]
    Failed(#[from] LogFailed),
    /// The histories differ.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// The position cannot be read or moved.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The log was never registered.
    #[error("this log was never registered in a database, so there is no gap; start the server")]
    Unregistered,
    /// Another log has taken over the number.
    #[error(
        "noetl.ingest_node has given the number {} of this log to another log, {owner}: ids of the \
         two would be the same. Start the server with an empty data directory, which becomes a new \
         node, and keep this one: examples/read_log.py prints what it holds", node.get()
    )]
    NumberTaken {
        /// The number.
        node: NodeNumber,
        /// Whose it is now.
        owner: Uuid,
    },
}

/// What has to be done.
enum Plan {
    /// Nothing: they fit.
    Fits { stored: LogPlace },
    /// The database lacks what the log no longer has.
    Skip { stored: LogPlace, to: LogPlace },
    /// The log lacks what the database has.
    Extend { stored: LogPlace },
    /// The database does not know the log. It has rows up to `stored`, and none of those behind
    /// `at`.
    Register { at: LogPlace, stored: LogPosition },
}

/// Says what is missing and, with consent, goes on without it.
pub(super) async fn run(
    settings: &Settings,
    consent: Consent,
    out: &mut impl Write,
) -> Result<Outcome, CommandError> {
    let disk: Arc<dyn Disk> = Arc::new(open(settings, Access::Write)?);
    let Some(identity) = Identity::load(&*disk).map_err(GapError::from)? else {
        return Err(OpenError::NoLog { location: disk.location() }.into());
    };
    let number = identity.node().ok_or(GapError::Unregistered)?;
    let mut database = StartedDatabase::start(settings, false).await.map_err(failed)?;
    let gap = Gap { disk, identity, number };
    let done = gap.close(&database, consent, out).await;
    if let Some(embedded) = database.embedded.take() {
        embedded.stop().await.map_err(GapError::from)?;
    }
    done
}

fn failed(error: impl Into<AppError>) -> GapError {
    GapError::Database(Box::new(error.into()))
}

/// The log that a database does not fit to.
struct Gap {
    disk: Arc<dyn Disk>,
    identity: Identity,
    number: NodeNumber,
}

impl Gap {
    async fn close(
        mut self,
        database: &StartedDatabase,
        consent: Consent,
        out: &mut impl Write,
    ) -> Result<Outcome, CommandError> {
        schema::migrate(&database.options).await.map_err(failed)?;
        let mut conn = connect::connect(&database.options).await.map_err(failed)?;
        let log = self.open_log()?;
        let plan = self.plan(&mut conn, &log).await?;
        render::plan(&plan, log.first(), log.progress().synced(), out)?;
        if let Plan::Fits { .. } = plan {
            return Ok(Outcome::Done);
        }
        if consent == Consent::Asked {
            writeln!(out, "Nothing was changed. To go on so: noetl-metrics log accept-gap --yes")?;
            return Ok(Outcome::Done);
        }
        let last_group = node::last_group(&mut conn, self.number).await.map_err(GapError::from)?;
        self.identity.close_groups(&*self.disk, last_group).map_err(GapError::from)?;
        self.perform(&mut conn, log, &plan).await?;
        writeln!(out, "Done. Start the server.")?;
        Ok(Outcome::Done)
    }

    fn open_log(&self) -> Result<Log, GapError> {
        let settings = LogSettings::as_it_is(&*self.disk)?;
        let telemetry = Arc::new(Telemetry::new());
        Ok(Log::open(Arc::clone(&self.disk), settings, telemetry, &mut |_| {})?)
    }

    async fn plan(&self, conn: &mut PgConnection, log: &Log) -> Result<Plan, GapError> {
        let stored = match node::place(conn, self.number, self.identity.log_id()).await {
            Ok(stored) => stored,
            Err(NodeError::Unregistered { .. }) => return self.register(conn, log).await,
            Err(error) => return Err(error.into()),
        };
        match reader_at(&log.readers(), stored) {
            Ok(_) => Ok(Plan::Fits { stored }),
            Err(FlushError::Gap(ReadError::Gone { first, .. })) => {
                Ok(Plan::Skip { stored, to: log.reader(first)?.start() })
            }
            Err(FlushError::Gap(ReadError::Beyond { .. })) => Ok(Plan::Extend { stored }),
            Err(error) => Err(error.into()),
        }
    }

    /// Batches are committed whole and in the order of the log. So nothing behind the last row that
    /// is in the tables was ever there, and all before it was.
    async fn register(&self, conn: &mut PgConnection, log: &Log) -> Result<Plan, GapError> {
        if let Some(owner) = node::owner(conn, self.number).await? {
            return Err(GapError::NumberTaken { node: self.number, owner });
        }
        let last = node::last_row(conn, self.number).await?;
        let stored = last.map_or(LogPosition::ZERO, |last| last.advance(1));
        let (first, end) = (log.first(), log.progress().synced());
        let at = match last {
            Some(last) if last >= end => stored.into(),
            Some(last) if last >= first => {
                let mut reader = log.reader(last)?;
                reader.next()?.map_or(stored.into(), |record| record.end_place())
            }
            _ => log.reader(first)?.start(),
        };
        Ok(Plan::Register { at, stored })
    }

    async fn perform(
        &self,
        conn: &mut PgConnection,
        log: Log,
        plan: &Plan,
    ) -> Result<(), GapError> {
        let (number, log_id) = (self.number, self.identity.log_id());
        match *plan {
            Plan::Fits { .. } => {}
            Plan::Skip { stored, to } => node::advance(conn, number, log_id, stored, to).await?,
            Plan::Extend { stored } => {
                let to = extend(&log, stored.position).await?;
                // From here on the other history is not this log's any more.
                node::advance(conn, number, log_id, stored, to).await?;
            }
            Plan::Register { at, .. } => {
                extend(&log, at.position).await?;
                node::register_again(conn, number, log_id, at).await?;
            }
        }
        log.close()?;
        Ok(())
    }
}

/// Fills the log up with holes to position `to`, if it does not reach that far, so that it gives out
/// no position that was given out before. The place behind them has a mark of its own, which no
/// copy of the log has.
async fn extend(log: &Log, to: LogPosition) -> Result<LogPlace, GapError> {
    let end = log.progress().synced();
    let mut place = LogPlace::from(end);
    for hole in Hole::split(SystemClock.now(), end, to) {
        let mut payload = Vec::new();
        encode_hole(&mut payload, &hole);
        let rows = hole.positions();
        let ticket = log.appender().append(&payload, rows)?;
        let record = Record { position: hole.from, rows, payload: &payload };
        place = LogPlace { position: record.end(), mark: Some(record.mark()) };
        ticket.await?;
    }
    Ok(place)
}
