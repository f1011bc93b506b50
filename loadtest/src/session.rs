//! One fleet that is pushed in phases, and its ledger.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::task::JoinHandle;

use crate::fleet::{self, FleetOutcome, Leash, Patience};
use crate::plan::{Amount, Plan, PlanRequest};
use crate::verify::{Database, Ledger};
use crate::wire::Target;

/// As many warm up any fleet as fast as it goes.
const WARM_UP_CONNECTIONS: u32 = 64;

/// A fleet and what it has pushed up to now.
#[derive(Debug)]
pub(crate) struct Session {
    plan: Plan,
    target: Target,
    patience: Patience,
    threads: u32,
    ledger: Option<Ledger>,
}

/// What a phase has come to.
#[derive(Debug)]
pub(crate) struct Phase {
    /// What was to be pushed.
    pub(crate) plan: Arc<Plan>,
    /// What was.
    pub(crate) fleet: FleetOutcome,
}

impl Phase {
    /// Samples acknowledged.
    pub(crate) fn samples(&self) -> u64 {
        let reports: u64 = self.fleet.lanes.iter().flat_map(|lane| &lane.acknowledged).sum();
        reports * u64::from(self.plan.request.metrics)
    }

    /// An error where it was interrupted or a connection gave up.
    pub(crate) fn require_whole(&self) -> Result<()> {
        ensure!(!self.fleet.interrupted, "interrupted");
        match self.fleet.lanes.iter().find_map(|lane| lane.failure.as_ref()) {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }
}

impl Session {
    /// A fleet that has pushed nothing.
    pub(crate) fn new(
        request: PlanRequest,
        target: &Target,
        patience: Patience,
        threads: u32,
    ) -> Result<Self> {
        let plan = Plan::new(request)?;
        Ok(Self { plan, target: target.clone(), patience, threads, ledger: None })
    }

    /// Connections of the fleet.
    pub(crate) fn connections(&self) -> u32 {
        self.plan.request.connections
    }

    /// Metrics in a report.
    pub(crate) fn metrics(&self) -> u32 {
        self.plan.request.metrics
    }

    /// Has every worker send `reports` reports on a few connections, as fast as they are answered.
    pub(crate) async fn warm_up(&mut self, reports: u32) -> Result<()> {
        let request = self.plan.request;
        let all = u64::from(reports) * u64::from(request.workers) * u64::from(request.metrics);
        let plan = self.plan.phase(self.next_round(), Amount::Samples(all), None)?;
        let phase = self.perform(plan.with_connections(WARM_UP_CONNECTIONS)).await?;
        phase.require_whole().context("warm up")
    }

    /// Pushes `amount` more, at `rate` or as fast as it is answered.
    pub(crate) async fn push(&mut self, amount: Amount, rate: Option<f64>) -> Result<Phase> {
        let plan = self.plan.phase(self.next_round(), amount, rate)?;
        self.perform(plan).await
    }

    /// Begins to push `amount` more at `rate`, on a leash; what comes of it is to be accounted.
    pub(crate) fn start(
        &self,
        amount: Amount,
        rate: f64,
        leash: &Leash,
    ) -> Result<JoinHandle<Result<Phase>>> {
        let plan = Arc::new(self.plan.phase(self.next_round(), amount, Some(rate))?);
        let (target, patience, leash) = (self.target.clone(), self.patience, leash.clone());
        Ok(tokio::spawn(async move {
            let fleet = fleet::push(&plan, &target, patience, &leash).await?;
            Ok(Phase { plan, fleet })
        }))
    }

    /// Takes a phase into the ledger.
    pub(crate) fn account(&mut self, phase: &Phase) {
        match &mut self.ledger {
            Some(ledger) => ledger.add_phase(&phase.plan, &phase.fleet.lanes),
            None => self.ledger = Some(Ledger::new(&phase.plan, &phase.fleet.lanes)),
        }
    }

    async fn perform(&mut self, plan: Plan) -> Result<Phase> {
        let plan = Arc::new(plan);
        let leash = Leash::new(self.threads);
        let fleet = fleet::push(&plan, &self.target, self.patience, &leash).await?;
        let phase = Phase { plan, fleet };
        self.account(&phase);
        Ok(phase)
    }

    fn next_round(&self) -> u64 {
        self.ledger.as_ref().map_or(0, Ledger::next_round)
    }

    /// What must be stored; None before the first phase.
    pub(crate) fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Waits until all of it is in the database; false when that does not happen.
    pub(crate) async fn flushed(&self, database: &Database, patience: Duration) -> Result<bool> {
        let Some(ledger) = &self.ledger else { return Ok(true) };
        eprintln!("waiting until PostgreSQL has the last report of every connection");
        let flushed = database.wait_until_flushed(ledger, patience).await?;
        if !flushed {
            eprintln!("PostgreSQL does not have them all; what is missing counts as lost");
        }
        Ok(flushed)
    }
}
