//! One run against a server that is there: push, wait for the flush, check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::args::{FleetArgs, Format, RunArgs};
use crate::cpu::Meter;
use crate::fleet::{self, Leash, Patience};
use crate::plan::{Plan, PlanRequest};
use crate::report::{RunReport, write_json};
use crate::verify::{Database, Ledger, rows_inserted};
use crate::wire::Target;

/// A run and all that is measured around it.
#[derive(Debug)]
pub(crate) struct Exercise<'a> {
    /// What to push.
    pub(crate) request: PlanRequest,
    /// To whom.
    pub(crate) target: &'a Target,
    /// Where it must be found afterwards.
    pub(crate) database: Option<Database>,
    /// Processes to measure.
    pub(crate) pids: &'a [u32],
    /// Bounds of the client.
    pub(crate) fleet: &'a FleetArgs,
}

/// `loadtest run`: true when everything was acknowledged and is stored.
pub(crate) async fn run(args: &RunArgs) -> Result<bool> {
    let wants_postgres = args.format != Format::VictoriaJson;
    let database = args.database_url.as_deref().filter(|_| wants_postgres).map(Database::new);
    let exercise = Exercise {
        request: args.plan_request(),
        target: &args.url,
        database,
        pids: &args.pid,
        fleet: &args.fleet,
    };
    let report = exercise.perform().await?;
    print!("{report}");
    if let Some(path) = &args.fleet.json {
        write_json(path, &report)?;
    }
    Ok(report.succeeded())
}

impl Exercise<'_> {
    /// Pushes, waits and checks.
    pub(crate) async fn perform(&self) -> Result<RunReport> {
        let plan = Arc::new(Plan::new(self.request)?);
        let bytes_before = match &self.database {
            Some(database) => database.report_bytes().await?,
            None => 0,
        };
        let is_victoria = self.request.format == Format::VictoriaJson;
        let rows_before = if is_victoria { rows_inserted(self.target).await? } else { 0 };
        let meter = Meter::start(self.pids)?;
        let patience = Patience {
            answer: Duration::from_secs(self.fleet.timeout_seconds),
            report: Duration::from_secs(self.fleet.retry_seconds),
            pause: Duration::from_secs(self.fleet.retry_seconds),
        };
        let leash = Leash::new(self.fleet.threads);
        let fleet = fleet::push(&plan, self.target, patience, &leash).await?;
        let mut report = RunReport::new(&plan, self.target.to_string(), &fleet);
        let ledger = Ledger::new(&plan, &fleet.lanes);
        if let Some(database) = &self.database {
            eprintln!("waiting until PostgreSQL has the last report of every connection");
            let waiting = Instant::now();
            let patience = Duration::from_secs(self.fleet.flush_seconds);
            let flushed = database.wait_until_flushed(&ledger, patience).await?;
            report.flush_seconds = flushed.then(|| waiting.elapsed().as_secs_f64());
            if !flushed {
                eprintln!("PostgreSQL does not have them all; what is missing counts as lost");
            }
        }
        if !self.pids.is_empty() {
            report.set_server_cpu(meter.read()?);
        }
        if let Some(database) = &self.database {
            eprintln!("checking that every acknowledged sample is stored once");
            let exactness = database.check(&ledger).await?;
            let grown = database.report_bytes().await? - bytes_before;
            report.bytes_per_sample =
                (exactness.stored > 0).then(|| grown as f64 / exactness.stored as f64);
            report.exactness = Some(exactness);
        }
        if is_victoria {
            report.victoria_rows = Some(rows_inserted(self.target).await? - rows_before);
        }
        Ok(report)
    }
}
