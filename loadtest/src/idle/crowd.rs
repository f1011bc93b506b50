//! The idle connections: a fleet of its own that reports seldom.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinHandle;

use crate::args::IdleArgs;
use crate::fleet::Leash;
use crate::plan::{Amount, PlanRequest};
use crate::session::{Phase, Session};
use crate::verify::Ledger;
use crate::wire::Target;

/// Reports by which all that the server remembers of a worker is there before memory is measured.
const WARM_UP_REPORTS: u32 = 3;

/// All connections are open within this.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A fleet of one worker a connection.
#[derive(Debug)]
pub(super) struct Crowd {
    session: Session,
    rate: f64,
    at_work: Option<(Leash, JoinHandle<Result<Phase>>)>,
}

impl Crowd {
    /// Nobody is connected yet.
    pub(super) fn new(args: &IdleArgs, target: &Target) -> Result<Self> {
        let rate =
            f64::from(args.idle) * f64::from(args.size.metrics) / args.interval.as_secs_f64();
        let duration = (args.duration * 2 + args.interval * 3) * args.rounds + OPEN_LIMIT;
        let request = PlanRequest {
            workers: args.idle,
            connections: args.idle,
            rate: Some(rate),
            rounds_before: u64::from(WARM_UP_REPORTS + args.rounds),
            connect_first: true,
            ..args.fleet.plan_request(&args.size, args.subject.format(), Amount::For(duration))
        };
        let session = Session::new(request, target, args.fleet.patience(), 1)?;
        Ok(Self { session, rate, at_work: None })
    }

    /// Has every worker report on a few connections, so that it is known to the server.
    pub(super) async fn warm_up(&mut self) -> Result<()> {
        self.session.warm_up(WARM_UP_REPORTS).await
    }

    /// Opens all connections, which begin to report.
    pub(super) async fn open(&mut self) -> Result<()> {
        let leash = Leash::new(1).quiet();
        let push =
            self.session.start(Amount::For(Duration::from_secs(86_400)), self.rate, &leash)?;
        let wanted = u64::from(self.session.connections());
        let deadline = Instant::now() + OPEN_LIMIT;
        while leash.connected() < wanted {
            ensure!(!push.is_finished(), "the idle connections ended early");
            let open = leash.connected();
            ensure!(Instant::now() < deadline, "only {open} of {wanted} connections are open");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        self.at_work = Some((leash, push));
        Ok(())
    }

    /// Waits until every connection has had an answer.
    pub(super) async fn wait_until_heard(&self, limit: Duration) -> Result<()> {
        let (leash, push) = self.at_work.as_ref().context("no connection is open")?;
        let wanted = u64::from(self.session.connections()) * u64::from(self.session.metrics());
        let deadline = Instant::now() + limit + OPEN_LIMIT;
        while leash.samples() < wanted {
            ensure!(!push.is_finished(), "the idle connections ended early");
            ensure!(Instant::now() < deadline, "the idle connections get no answers");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Closes all connections when they have their answers.
    pub(super) async fn close(&mut self) -> Result<()> {
        let (leash, push) = self.at_work.take().context("no connection is open")?;
        leash.finish();
        let phase = push.await.context("the idle connections died")??;
        phase.require_whole()?;
        self.session.account(&phase);
        Ok(())
    }

    /// What must be stored of it.
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.session.ledger()
    }
}
