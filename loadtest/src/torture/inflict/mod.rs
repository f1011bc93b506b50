//! Does a fault, waits until it shows, and takes it back. A fault that does not show is an error
//! of the torture: what was not tested must not count as passed.

mod disk;
mod network;
mod postgres;
mod server;
mod sql;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::PgConnection;
use tokio::time::sleep;

use crate::fleet::Patience;
use crate::plan::PlanRequest;
use crate::torture::chance::Chance;
use crate::torture::disk::Ballast;
use crate::torture::fault::Fault;
use crate::torture::postgres::POLL_INTERVAL;
use crate::torture::push::Push;
use crate::torture::world::{Kind, World};

/// How long a fault may take to show.
const SHOW_LIMIT: Duration = Duration::from_secs(30);
/// How long a server that is registered may take to start, whatever PostgreSQL does.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long PostgreSQL may take to come back, recovery included.
const POSTGRES_LIMIT: Duration = Duration::from_secs(60);

/// Where a fault is done.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// To whom.
    pub(crate) world: &'a mut World,
    /// Decides what is left open.
    pub(crate) chance: &'a mut Chance,
    /// The fleets at work: the lasting one, and those that a fault has called.
    pub(crate) pushes: &'a mut Vec<Push>,
    /// What a fleet is that a fault calls.
    pub(crate) burst: PlanRequest,
    /// Its patience.
    pub(crate) patience: Patience,
}

/// What a fault has left, to be taken back.
#[derive(Debug)]
pub(crate) struct Wound {
    /// What was seen of it.
    pub(crate) evidence: String,
    cure: Cure,
}

#[derive(Debug)]
enum Cure {
    /// It heals by itself.
    Nothing,
    /// The server has to be started.
    StartServer,
    /// These processes have to go on.
    Continue(Vec<u32>),
    /// PostgreSQL has to be started, unless its supervisor does.
    StartPostgres,
    /// Transactions may write again.
    AllowWriting,
    /// These sessions have to go.
    Release(Vec<PgConnection>),
    /// There is space again.
    FreeSpace(Ballast),
    /// There is space for the log again, and only later does PostgreSQL go on.
    FreeLogSpace(Ballast, Vec<u32>),
    /// Bytes have to flow.
    Flow,
}

impl Wound {
    fn new(evidence: impl Into<String>, cure: Cure) -> Self {
        Self { evidence: evidence.into(), cure }
    }

    /// Its cure waits for PostgreSQL.
    fn waits_for_postgres(&self) -> bool {
        matches!(self.cure, Cure::StartPostgres | Cure::AllowWriting | Cure::FreeSpace(_))
    }

    /// The server works again with its cure. (PostgreSQL's own processes may be meant as well; then
    /// there is nothing else that waits for them.)
    fn brings_the_server_back(&self) -> bool {
        matches!(self.cure, Cure::StartServer | Cure::Continue(_))
    }
}

impl Scene<'_> {
    /// Does a fault and waits until it shows.
    pub(crate) async fn inflict(&mut self, fault: Fault) -> Result<Wound> {
        let wound = match fault {
            Fault::ServerKill => self.kill_server().await,
            Fault::ServerTerm => self.terminate_server().await,
            Fault::ServerFreeze => self.freeze_server().await,
            Fault::PostmasterKill => self.end_postgres(rustix::process::Signal::KILL).await,
            Fault::PostgresFast => self.end_postgres(rustix::process::Signal::INT).await,
            Fault::PostgresImmediate => self.end_postgres(rustix::process::Signal::QUIT).await,
            Fault::BackendKill => self.kill_backend().await,
            Fault::PostgresFreeze => self.freeze_postgres().await,
            Fault::ReadOnly => self.forbid_writing().await,
            Fault::NoConnections => self.take_connections().await,
            Fault::CopyTerminate => self.terminate_copy().await,
            Fault::TablesDiskFull => self.fill_tables_disk().await,
            Fault::WalDiskFull => self.fill_wal_disk().await,
            Fault::LogDiskFull => self.fill_log_disk().await,
            Fault::NetworkCut
            | Fault::NetworkSlow
            | Fault::NetworkStall
            | Fault::NetworkHalfClose
            | Fault::CopyCut
            | Fault::CommitUnanswered => self.break_network(fault).await,
        };
        wound.with_context(|| format!("inflict {fault}"))
    }

    /// Takes them back, in any order that is possible.
    pub(crate) async fn heal_all(&mut self, mut wounds: Vec<Wound>) -> Result<()> {
        if self.chance.coin() {
            wounds.reverse();
        }
        // Nobody but the server starts the PostgreSQL that is its own.
        if self.world.kind == Kind::Embedded && wounds.iter().any(Wound::waits_for_postgres) {
            wounds.sort_by_key(|wound| !wound.brings_the_server_back());
        }
        // A frozen server takes nothing, however much space there is.
        wounds.sort_by_key(|wound| matches!(wound.cure, Cure::FreeLogSpace(..)));
        for wound in wounds {
            self.heal(wound).await?;
        }
        Ok(())
    }

    async fn heal(&mut self, wound: Wound) -> Result<()> {
        match wound.cure {
            Cure::Nothing => Ok(()),
            Cure::StartServer => {
                let started = self.world.server.start(START_LIMIT).await;
                started.map(drop).context("start the server again")
            }
            Cure::Continue(pids) => resume(&pids),
            Cure::StartPostgres => self.world.postgres.bring_back(POSTGRES_LIMIT).await,
            Cure::AllowWriting => self.allow_writing().await,
            Cure::Release(sessions) => {
                drop(sessions);
                Ok(())
            }
            Cure::FreeSpace(ballast) => {
                drop(ballast);
                self.world.postgres.bring_back(POSTGRES_LIMIT).await
            }
            Cure::FreeLogSpace(ballast, pids) => {
                drop(ballast);
                let acknowledged = self.acknowledged();
                let regained = self
                    .until("reports are taken again on the freed disk", async |scene| {
                        Ok((scene.acknowledged() > acknowledged).then_some(()))
                    });
                let regained = regained.await;
                resume(&pids)?;
                regained
            }
            Cure::Flow => self.let_flow(),
        }
    }

    /// Samples acknowledged to all fleets.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.pushes.iter().map(|push| push.leash().samples()).sum()
    }

    /// Calls a further fleet that pushes as fast as it is answered.
    fn call_burst(&mut self) -> Result<()> {
        let push = Push::start(self.burst, self.world.server.target(), self.patience)?;
        self.pushes.push(push);
        Ok(())
    }

    /// Tries until there is a value, at most for [`SHOW_LIMIT`].
    async fn until<T>(
        &mut self,
        what: &str,
        mut attempt: impl AsyncFnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + SHOW_LIMIT;
        loop {
            if let Some(value) = attempt(self).await? {
                return Ok(value);
            }
            ensure!(Instant::now() < deadline, "not within {SHOW_LIMIT:?}: {what}");
            sleep(POLL_INTERVAL).await;
        }
    }
}

fn resume(pids: &[u32]) -> Result<()> {
    use crate::torture::process;
    pids.iter().try_for_each(|pid| process::signal(*pid, rustix::process::Signal::CONT))
}
