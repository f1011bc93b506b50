//! One run against one server: push, wait for the flush, check.

use std::time::Instant;

use anyhow::Result;

use crate::args::{FleetArgs, RunArgs};
use crate::plan::PlanRequest;
use crate::report::{RunReport, write_json};
use crate::session::Session;
use crate::subject::Subject;
use crate::verify::samples_taken;

/// A run and all that is measured around it.
#[derive(Debug)]
pub(crate) struct Exercise<'a> {
    /// What to push.
    pub(crate) request: PlanRequest,
    /// Reports that each worker sends before anything is measured.
    pub(crate) warm_up: u32,
    /// To whom.
    pub(crate) subject: &'a Subject,
    /// Bounds of the client.
    pub(crate) fleet: &'a FleetArgs,
}

/// `loadtest run`: true when everything was acknowledged and is stored.
pub(crate) async fn run(args: &RunArgs) -> Result<bool> {
    let subject = Subject::of(&args.subject).await?;
    let exercise = Exercise {
        request: args.plan_request(),
        warm_up: args.warm_up,
        subject: &subject,
        fleet: &args.fleet,
    };
    let report = exercise.perform().await?;
    print!("{report}");
    if let Some(path) = &args.fleet.json {
        write_json(path, &report)?;
    }
    subject.stop()?;
    Ok(report.succeeded())
}

impl Exercise<'_> {
    /// Pushes, waits and checks.
    pub(crate) async fn perform(&self) -> Result<RunReport> {
        let request = PlanRequest { rounds_before: u64::from(self.warm_up), ..self.request };
        let (target, database) = (self.subject.target(), self.subject.database());
        let patience = self.fleet.patience();
        let mut session = Session::new(request, target, patience, self.fleet.threads)?;
        let bytes_before = match database {
            Some(database) => database.report_bytes().await?,
            None => 0,
        };
        if self.warm_up > 0 {
            session.warm_up(self.warm_up).await?;
            if let Some(database) = database {
                session.flushed(database, self.fleet.flush_patience()).await?;
            }
        }
        let is_peer = !request.format.is_ours();
        let taken_before = if is_peer { samples_taken(target).await? } else { 0 };
        let meter = self.subject.meter().await?;
        let phase = session.push(request.amount, request.rate).await?;
        let mut report = RunReport::new(&phase, target.to_string());
        if let Some(database) = database {
            let waiting = Instant::now();
            let flushed = session.flushed(database, self.fleet.flush_patience()).await?;
            report.flush_seconds = flushed.then(|| waiting.elapsed().as_secs_f64());
        }
        if !self.subject.pids().is_empty() {
            report.set_server_usage(meter.read()?);
        }
        if let (Some(database), Some(ledger)) = (database, session.ledger()) {
            eprintln!("checking that every acknowledged sample is stored once");
            let exactness = database.check(ledger).await?;
            let grown = database.report_bytes().await? - bytes_before;
            report.bytes_per_sample =
                (exactness.stored > 0).then(|| grown as f64 / exactness.stored as f64);
            report.exactness = Some(exactness);
        }
        if is_peer {
            report.samples_taken = Some(samples_taken(target).await? - taken_before);
        }
        Ok(report)
    }
}
