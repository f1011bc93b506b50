//! Full disks.

use anyhow::{Context as _, Result, ensure};
use sqlx::PgConnection;

use super::{Cure, Scene, Wound};
use crate::torture::world::Disks;

/// Writes more than any disk here has, to be taken back with its transaction.
const WRITE_MUCH: &str = "
    create temporary table torture_much on commit drop as
    select repeat(md5(n::text), 60) as text from generate_series(1, 1000000) as n";

/// The same into PostgreSQL's own log, which has what temporary tables have not.
const LOG_MUCH: &str = "
    create table torture_much as
    select pg_logical_emit_message(false, 'torture', repeat(md5(n::text), 200)) as at
      from generate_series(1, 1000000) as n";

impl Scene<'_> {
    fn disks(&self) -> Result<&Disks> {
        self.world.disks.as_ref().context("there are no small disks")
    }

    pub(super) async fn fill_tables_disk(&mut self) -> Result<Wound> {
        let ballast = self.disks()?.tables.fill()?;
        let error = self.refused(WRITE_MUCH).await?;
        ensure!(error.contains("No space left"), "the disk is full and yet: {error}");
        Ok(Wound::new(error, Cure::FreeSpace(ballast)))
    }

    /// PostgreSQL crashes when it cannot write its own log, and may not come up again before
    /// there is space.
    pub(super) async fn fill_wal_disk(&mut self) -> Result<Wound> {
        let ballast = self.disks()?.wal.fill()?;
        let error = self.refused(LOG_MUCH).await?;
        Ok(Wound::new(error, Cure::FreeSpace(ballast)))
    }

    /// The error of a statement that must fail.
    async fn refused(&self, statement: &'static str) -> Result<String> {
        let mut session: PgConnection = self.world.postgres.connect().await?;
        let written = sqlx::query(statement).execute(&mut session).await;
        Ok(written.err().context("the disk is full and takes more")?.to_string())
    }

    /// While PostgreSQL hangs, no segment of the log is given back to be used again.
    pub(super) async fn fill_log_disk(&mut self) -> Result<Wound> {
        let ballast = self.disks()?.log.fill()?;
        let pids = self.world.postgres.freeze().await?;
        let refused = |scene: &Self| -> u64 {
            scene.pushes.iter().map(|push| push.leash().answers().unavailable).sum()
        };
        let before = refused(self);
        self.call_burst()?;
        let shown = self.until("the server answers 503", async |scene| {
            scene.world.server.require_alive()?;
            let count = refused(scene) - before;
            Ok((count > 0).then_some(count))
        });
        match shown.await {
            Ok(count) => {
                let evidence = format!("{count} reports were refused with 503");
                Ok(Wound::new(evidence, Cure::FreeLogSpace(ballast, pids)))
            }
            Err(error) => {
                super::resume(&pids)?;
                Err(error)
            }
        }
    }
}
