//! The server's reports about itself: at intervals, and when somebody asks for one.
//!
//! They are reports like any other: stored when they are synced, shown on the page, queried. What
//! they say is read by this job's task, never by a request's.

use std::sync::Arc;
use std::time::Duration;

use noetl_metrics_client::system::{Figure, HostFigures, HostReader};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::block_in_place;
use tokio::time::sleep_until;

use super::Turns;
use crate::access::Caller;
use crate::clock::Clock;
use crate::ingest::{Ingest, IngestError};
use crate::model::{ComponentKey, RuntimeId, Timestamp};
use crate::registry::Registry;
use crate::shutdown::Stop;
use crate::telemetry::Telemetry;

/// Requests that may wait; a report takes a few milliseconds.
const REQUESTS_MAX: usize = 64;
/// The type of the components whose number is reported.
const WORKER_POOL: &str = "worker_pool";

/// The job.
pub struct SelfReport {
    /// Where the reports go.
    pub ingest: Arc<Ingest>,
    /// Knows the components.
    pub registry: Arc<Registry>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Knows how much waits to be flushed.
    pub telemetry: Arc<Telemetry>,
    /// The server's own row.
    pub own: ComponentKey,
    /// The name under which it reports when none is asked for.
    pub component_name: Box<str>,
    /// The host's name, for a label.
    pub hostname: Box<str>,
    /// The time between two reports; zero for none but those that are asked for.
    pub interval: Duration,
    /// The silence after which a worker is not active, in seconds.
    pub offline_after_s: u32,
}

/// A report about the server that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfReported {
    /// The component's name.
    pub component_name: Box<str>,
    /// Its id.
    pub runtime_id: RuntimeId,
    /// How many metrics it has.
    pub metrics: usize,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SelfReportError {
    /// It was not taken.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Too many are waiting.
    #[error("{REQUESTS_MAX} reports about the server are waiting already; try again in a moment")]
    Busy,
    /// The job has ended.
    #[error("the server does not report about itself any more: it is stopping")]
    Ended,
}

/// Asks the job for reports.
#[derive(Clone, Debug)]
pub struct SelfReporter(mpsc::Sender<Request>);

/// The receiving end for the job.
pub struct SelfReportRequests(mpsc::Receiver<Request>);

#[derive(Debug)]
struct Request {
    component_name: Option<Box<str>>,
    reply: oneshot::Sender<Result<SelfReported, SelfReportError>>,
}

impl SelfReporter {
    /// A reporter, and what [`SelfReport::run`] needs of it.
    pub fn new() -> (Self, SelfReportRequests) {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self(sender), SelfReportRequests(receiver))
    }

    /// Has the server report about itself, under another name if one is given; returns when that
    /// is synced.
    pub async fn report(
        &self,
        component_name: Option<Box<str>>,
    ) -> Result<SelfReported, SelfReportError> {
        let (reply, reported) = oneshot::channel();
        self.0.try_send(Request { component_name, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SelfReportError::Busy,
            mpsc::error::TrySendError::Closed(_) => SelfReportError::Ended,
        })?;
        reported.await.unwrap_or(Err(SelfReportError::Ended))
    }
}

impl SelfReport {
    /// Runs until `stop` says so.
    pub async fn run(self, mut requests: SelfReportRequests, mut stop: Stop) {
        let mut host = match block_in_place(HostReader::new) {
            Ok(host) => host,
            Err(error) => {
                tracing::warn!(%error, "the server cannot report about itself");
                return;
            }
        };
        // A period of zero is none; the turns are then never waited for.
        let periodic = !self.interval.is_zero();
        let period = if periodic { self.interval } else { Duration::from_secs(3600) };
        let mut turns = Turns::every(period, stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                request = requests.0.recv() => {
                    let Some(request) = request else { break };
                    let name = request.component_name.as_deref();
                    let reported = self.report(&mut host, name).await;
                    // Who asked may have left.
                    drop(request.reply.send(reported));
                }
                true = turns.next(), if periodic => {
                    if let Err(error) = self.report(&mut host, None).await {
                        tracing::warn!(%error, "the server's report about itself was not taken");
                    }
                }
            }
        }
    }

    async fn report(
        &self,
        host: &mut HostReader,
        component_name: Option<&str>,
    ) -> Result<SelfReported, SelfReportError> {
        // Only the first one ever waits: its reading would have nothing to compare with.
        if host.is_first() {
            sleep_until(host.next_at().into()).await;
        }
        let figures = block_in_place(|| host.read());
        let name = component_name.unwrap_or(&self.component_name);
        let metrics = block_in_place(|| self.metrics(name, &figures, self.clock.now()));
        let count = metrics.len();
        let document = json!({
            "component_name": name,
            "component_type": self.type_of(name),
            "metrics": metrics,
        });
        let answer = self.ingest.report(document.to_string(), None, Caller::trusted()).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let runtime_id = answer["runtime_id"].as_i64().unwrap_or_default();
        Ok(SelfReported {
            component_name: name.into(),
            runtime_id: RuntimeId::from_raw(runtime_id),
            metrics: count,
        })
    }

    /// The type of the component of this name, or that of servers where there is none.
    fn type_of(&self, name: &str) -> String {
        let servers = self.own.component_type();
        let known =
            self.registry.find(Some(servers), name).or_else(|| self.registry.find(None, name));
        known.map_or(servers.to_owned(), |known| known.key().component_type().to_owned())
    }

    fn metrics(&self, name: &str, host: &HostFigures, now: Timestamp) -> Vec<Value> {
        let all = self.registry.all();
        let pools = all.iter().filter(|one| one.key().component_type() == WORKER_POOL);
        let active = pools.filter(|one| one.is_active(now.seconds(), self.offline_after_s)).count();
        let labels = json!({"component": name, "hostname": self.hostname});
        let own = [
            Figure {
                name: "noetl_server_active_workers",
                value: active as f64,
                unit: "workers",
                help: "Worker pools that this server heard lately",
            },
            Figure {
                name: "noetl_server_queue_size",
                value: self.telemetry.log.backlog_rows.get() as f64,
                unit: "rows",
                help: "Rows in the log that are not in PostgreSQL yet",
            },
        ];
        let metric = |Figure { name, value, unit, help }| {
            json!({
                "metric_name": name, "metric_type": "gauge", "metric_value": value,
                "timestamp": now.micros(), "labels": labels, "help_text": help, "unit": unit,
            })
        };
        host.named(now.seconds().into()).into_iter().chain(own).map(metric).collect()
    }
}
