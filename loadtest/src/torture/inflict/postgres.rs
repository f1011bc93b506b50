//! Faults of PostgreSQL's processes.

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use sqlx::Connection as _;

use super::{Cure, Scene, Wound};
use crate::torture::process;

impl Scene<'_> {
    /// Ends PostgreSQL by a signal to its postmaster: SIGKILL is a crash, SIGINT and SIGQUIT are
    /// what `pg_ctl stop` sends for a fast and an immediate shutdown.
    pub(super) async fn end_postgres(&mut self, signal: Signal) -> Result<Wound> {
        let pid = self.world.postgres.end_postmaster(signal).await?;
        Ok(Wound::new(format!("postmaster {pid} has ended"), Cure::StartPostgres))
    }

    /// Kills one of the server's backends. PostgreSQL then ends all sessions and recovers.
    pub(super) async fn kill_backend(&mut self) -> Result<Wound> {
        let mut witness = self.world.postgres.connect().await?;
        let backend = self
            .until("the server has a session", async |_| {
                sqlx::query_scalar::<_, i32>(
                    "select pid from pg_stat_activity where application_name = 'noetl-metrics'
                      order by backend_start limit 1",
                )
                .fetch_optional(&mut witness)
                .await
                .context("look for the server's session")
            })
            .await?;
        process::signal(backend.cast_unsigned(), Signal::KILL)?;
        self.until("PostgreSQL ends all sessions", async |_| {
            Ok(witness.ping().await.is_err().then_some(()))
        })
        .await?;
        let evidence = format!("backend {backend} was killed and all sessions ended");
        Ok(Wound::new(evidence, Cure::StartPostgres))
    }

    pub(super) async fn freeze_postgres(&mut self) -> Result<Wound> {
        let pids = self.world.postgres.freeze().await?;
        let evidence = format!("{} processes of PostgreSQL are stopped", pids.len());
        Ok(Wound::new(evidence, Cure::Continue(pids)))
    }
}
