//! The PostgreSQL under torture, whoever runs it: what is asked of it behind the server's back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{sleep, timeout};

use crate::torture::cluster::OwnCluster;
use crate::torture::process;

/// The longest wait for one answer. A server that hangs answers nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Who runs it.
#[derive(Debug)]
pub(crate) enum Runner {
    /// The server under torture, which starts it again whenever it ends.
    Server,
    /// This program, as a cluster of its own.
    Torturer(Box<OwnCluster>),
    /// Somebody else.
    Stranger,
}

/// A PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres {
    /// Where it is reached directly.
    pub(crate) url: String,
    /// Its cluster, where that is on this machine and known.
    pub(crate) data: Option<PathBuf>,
    /// Who runs it.
    pub(crate) runner: Runner,
}

impl Postgres {
    /// A new session, directly and not through the proxy.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        match timeout(ANSWER_LIMIT, PgConnection::connect(&self.url)).await {
            Ok(connection) => connection.context("connect to PostgreSQL"),
            Err(_) => bail!("PostgreSQL did not answer within {ANSWER_LIMIT:?}"),
        }
    }

    /// The sum of all positions: it grows with every batch that is flushed.
    pub(crate) async fn position(&self) -> Result<i64> {
        let asked = async {
            let mut connection = self.connect().await?;
            let position = sqlx::query_scalar(
                "select coalesce(sum(position), 0)::bigint from noetl.ingest_node",
            )
            .fetch_one(&mut connection)
            .await
            .context("read the position")?;
            connection.close().await.context("close the session")?;
            Ok(position)
        };
        match timeout(ANSWER_LIMIT, asked).await {
            Ok(position) => position,
            Err(_) => bail!("PostgreSQL did not answer within {ANSWER_LIMIT:?}"),
        }
    }

    /// Its cluster.
    pub(crate) fn data(&self) -> Result<&Path> {
        self.data.as_deref().context("the cluster is not on this machine")
    }

    /// All its processes.
    pub(crate) fn pids(&self) -> Result<Vec<u32>> {
        process::of_cluster(self.data()?)
    }

    /// Its first process.
    pub(crate) fn postmaster(&self) -> Result<u32> {
        process::postmaster(self.data()?).context("PostgreSQL does not run")
    }

    /// Stops all its processes, those included that are made meanwhile.
    pub(crate) async fn freeze(&self) -> Result<Vec<u32>> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        process::signal(self.postmaster()?, Signal::STOP)?;
        loop {
            let pids = self.pids()?;
            let runs = |pid: &&u32| process::state(**pid).is_some_and(|state| state != 'T');
            let running: Vec<u32> = pids.iter().filter(runs).copied().collect();
            if running.is_empty() && !pids.is_empty() {
                return Ok(pids);
            }
            ensure!(Instant::now() < deadline, "PostgreSQL's processes are not all stopped");
            running.iter().try_for_each(|pid| process::signal(*pid, Signal::STOP))?;
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Signals the postmaster and waits until that process has ended.
    pub(crate) async fn end_postmaster(&self, signal: Signal) -> Result<u32> {
        let pid = self.postmaster()?;
        process::signal(pid, signal)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while process::state(pid).is_some_and(|state| state != 'Z') {
            ensure!(Instant::now() < deadline, "the postmaster {pid} did not end");
            sleep(POLL_INTERVAL).await;
        }
        Ok(pid)
    }

    /// The same where nobody else starts it.
    pub(crate) async fn start_if_ours(&mut self, limit: Duration) -> Result<()> {
        if matches!(self.runner, Runner::Torturer(_)) {
            self.bring_back(limit).await?;
        }
        Ok(())
    }

    /// Starts it where that is ours to do and it does not run, and waits until it answers.
    pub(crate) async fn bring_back(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            if let Runner::Torturer(cluster) = &mut self.runner {
                cluster.run().await?;
            }
            let error = match self.connect().await {
                Ok(connection) => return connection.close().await.context("close the session"),
                Err(error) => error,
            };
            ensure!(Instant::now() < deadline, "PostgreSQL did not come back: {error:#}");
            sleep(POLL_INTERVAL).await;
        }
    }
}
