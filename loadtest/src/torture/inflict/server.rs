//! Faults of the server's process.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{Cure, Scene, Wound};
use crate::torture::process;
use crate::torture::world::Kind;

/// Longer than the server drains, and than it takes to stop an embedded PostgreSQL.
const STOP_LIMIT: Duration = Duration::from_secs(90);

impl Scene<'_> {
    pub(super) async fn kill_server(&mut self) -> Result<Wound> {
        let server = &mut self.world.server;
        server.require_alive()?;
        let pid = server.pid()?;
        server.signal(Signal::KILL)?;
        let status = server.ended(STOP_LIMIT).await?;
        Ok(Wound::new(format!("process {pid}: {status}"), Cure::StartServer))
    }

    pub(super) async fn terminate_server(&mut self) -> Result<Wound> {
        let server = &mut self.world.server;
        server.require_alive()?;
        server.signal(Signal::TERM)?;
        let began = std::time::Instant::now();
        let status = server.ended(STOP_LIMIT).await?;
        ensure!(status.success(), "the server ended with {status} after SIGTERM");
        if self.world.kind == Kind::Embedded {
            let left = self.world.postgres.pids()?;
            ensure!(left.is_empty(), "PostgreSQL runs on after its server has ended: {left:?}");
        }
        let took_s = began.elapsed().as_secs_f64();
        Ok(Wound::new(format!("drained within {took_s:.1} s"), Cure::StartServer))
    }

    pub(super) async fn freeze_server(&mut self) -> Result<Wound> {
        let pid = self.world.server.pid()?;
        self.world.server.signal(Signal::STOP)?;
        let stopped = async |_: &mut Self| Ok((process::state(pid) == Some('T')).then_some(()));
        self.until("the server is stopped", stopped).await?;
        Ok(Wound::new(format!("process {pid} is stopped"), Cure::Continue(vec![pid])))
    }
}
