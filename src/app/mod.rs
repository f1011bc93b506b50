//! Builds the server, runs it, drains it. Every task and thread has its owner here.
//!
//! The order of the start: port, log identity, PostgreSQL, memory from PostgreSQL, memory from
//! the log, then everything at once. Meanwhile the port says which of
//! them it waits for. The order of the end: not ready any more, stop taking, answer what is in
//! progress, sync the log, flush, stop the jobs, stop PostgreSQL; past the deadline, or at a
//! second signal, say what was left in the log and go.

mod access;
pub mod agent;
mod command;
mod database;
mod drain;
pub mod log;
mod logging;
mod open_files;
mod own_row;
pub mod partitions;
pub mod push;
pub mod quarantine;
mod reload;
mod start;
mod supervisor;
mod tls;
pub mod token;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub use access::TokenFileFailed;
pub use command::Outcome;
pub use drain::Drained;
use drain::Signals;
pub use logging::init_logging;
use reload::HangUps;
use start::Running;
use supervisor::Supervisor;
pub use tls::TlsFailed;

use crate::config::Settings;
use crate::flush::FlushError;
use crate::http::BindError;
use crate::log::{IdentityError, LogFailed, OpenError};
use crate::postgres::connect::{ConnectError, InvalidDatabaseUrl};
use crate::postgres::embedded::EmbeddedError;
use crate::postgres::node::NodeError;
use crate::postgres::schema::SchemaError;

/// Runs the server until SIGTERM or SIGINT. Says on standard error when it is ready.
pub async fn serve(settings: &Settings) -> Result<Drained, AppError> {
    let mut signals = Signals::new().map_err(AppError::Signals)?;
    let supervisor = Arc::new(Supervisor::from_environment());
    let hang_ups = HangUps::new().map_err(AppError::Signals)?;
    let mut running = tokio::select! {
        started = Running::start(settings, hang_ups, &supervisor) => started?,
        () = signals.next() => return Err(AppError::Interrupted),
    };
    // A closed standard error must not end a server that works.
    drop(writeln!(io::stderr(), "{}", running.ready_line()));
    let progress = Arc::clone(&running.progress);
    running.jobs.push(tokio::spawn(Arc::clone(&supervisor).watch(progress)));
    supervisor.ready();
    running.run(&mut signals, &supervisor).await
}

/// Why the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data directory cannot be made or used.
    #[error("use the data directory {}: {source}; choose another with --data-dir", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file of tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileFailed),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsFailed),
    /// The port is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The embedded PostgreSQL does not run.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The database's URL is none.
    #[error(transparent)]
    Url(#[from] InvalidDatabaseUrl),
    /// The embedded PostgreSQL runs and does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The schema is not one that this binary can use.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// This server could not be registered.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The log's identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A write or sync of the log failed while the server ran.
    #[error(transparent)]
    LogFailed(#[from] LogFailed),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The flush cannot go on; what was acknowledged is in the log.
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// Signals cannot be received.
    #[error("listen for signals: {0}")]
    Signals(io::Error),
    /// A signal came before the server was ready.
    #[error("stopped before the server was ready")]
    Interrupted,
    /// A task died of a fault of the server.
    #[error("a task of the server died: {0}; this is a fault, please report it")]
    Died(String),
}
