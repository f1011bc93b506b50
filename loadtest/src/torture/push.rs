//! A fleet that pushes in the background, and its ledger.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinHandle;

use crate::fleet::{self, FleetOutcome, Leash, Patience};
use crate::plan::{Plan, PlanRequest};
use crate::verify::Ledger;
use crate::wire::Target;

/// A fleet at work.
#[derive(Debug)]
pub(crate) struct Push {
    plan: Arc<Plan>,
    leash: Leash,
    task: JoinHandle<Result<FleetOutcome>>,
}

impl Push {
    /// Starts a fleet of one thread that works until it is told to finish.
    pub(crate) fn start(request: PlanRequest, target: &Target, patience: Patience) -> Result<Self> {
        let plan = Arc::new(Plan::new(request)?);
        let leash = Leash::new(1).quiet();
        let (of_plan, of_leash, target) = (Arc::clone(&plan), leash.clone(), target.clone());
        let task =
            tokio::spawn(async move { fleet::push(&of_plan, &target, patience, &of_leash).await });
        Ok(Self { plan, leash, task })
    }

    /// Holds the fleet.
    pub(crate) fn leash(&self) -> &Leash {
        &self.leash
    }

    /// Waits until everything under way is acknowledged; what must be stored then.
    pub(crate) async fn finish(self) -> Result<Ledger> {
        self.leash.finish();
        let outcome = self.task.await.context("the fleet died")??;
        let failures: Vec<&String> =
            outcome.lanes.iter().filter_map(|lane| lane.failure.as_ref()).collect();
        ensure!(
            failures.is_empty(),
            "{} connections failed: {}",
            failures.len(),
            failures.first().map_or("", |failure| failure.as_str())
        );
        ensure!(!outcome.interrupted, "interrupted");
        Ok(Ledger::new(&self.plan, &outcome.lanes))
    }
}
