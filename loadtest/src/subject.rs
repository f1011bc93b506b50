//! The server that is measured: one that is there, or one that is started for it.

use anyhow::{Context as _, Result};

use crate::args::SubjectArgs;
use crate::server::{Candidate, Server};
use crate::usage::Meter;
use crate::verify::Database;
use crate::wire::Target;

/// A server that is there.
#[derive(Debug)]
pub(crate) struct Subject {
    target: Target,
    database: Option<Database>,
    pids: Vec<u32>,
    server: Option<Server>,
}

impl Subject {
    /// The one that the flags name, started where they want it.
    pub(crate) async fn of(args: &SubjectArgs) -> Result<Self> {
        if let Some(candidate) = args.candidate() {
            let name = format!("noetl-loadtest-{}-{candidate}", std::process::id());
            let dir = args.parent_dir().join(name);
            eprintln!("starting {candidate} in {}", dir.display());
            return Self::started(
                Server::start(candidate, &args.binaries(), args.port, dir).await?,
            );
        }
        let database = args.database_url.as_deref().filter(|_| args.format().is_ours());
        Ok(Self {
            target: args.url.clone(),
            database: database.map(Database::new),
            pids: args.pid.clone(),
            server: None,
        })
    }

    /// One that was started, which it ends with.
    pub(crate) fn started(server: Server) -> Result<Self> {
        let database = match server.candidate() {
            Candidate::NoetlMetrics => Some(Database::new(&server.database_url()?)),
            _ => None,
        };
        let (target, pids) = (server.target().clone(), vec![server.pid()]);
        Ok(Self { target, database, pids, server: Some(server) })
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Where it stores.
    pub(crate) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Its processes, as far as they are known.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// A meter for them, which leaves out what looking into the database takes.
    pub(crate) async fn meter(&self) -> Result<Meter> {
        let watching = match &self.database {
            Some(database) => Some(database.watching().await?),
            None => None,
        };
        Meter::start(&self.pids, watching)
    }

    /// The end of what a server that was started here has said.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.server.as_ref().map(Server::last_words)
    }

    /// Stops a server that was started here; the bytes that its data takes on disk then.
    pub(crate) fn stop(self) -> Result<Option<u64>> {
        self.server.map(Server::stop).transpose()
    }
}

/// What comes of the work; `None` where SIGINT ends it before.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T>>,
) -> Result<Option<T>> {
    tokio::select! {
        done = work => done.map(Some),
        signal = tokio::signal::ctrl_c() => {
            signal.context("wait for SIGINT")?;
            eprintln!("interrupted");
            Ok(None)
        }
    }
}
