//! Has a worker report to noetl-metrics by itself.
//!
//! ```no_run
//! use noetl_metrics_client::{Reporter, Series};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reporter = Reporter::start()?; // NOETL_SERVER_URL, NOETL_WORKER_POOL_NAME, …
//! let done = reporter.metrics().counter(Series::new("jobs_done_total").label("queue", "mail"));
//! done.inc();
//! reporter.shutdown_blocking();
//! # Ok(())
//! # }
//! ```
//!
//! A report is delivered once, whatever becomes of server and network: it is sent again, the same
//! bytes under the same key, until the server says that it is on its disk. Counters are reported as
//! totals with the time of the snapshot, so a report that has to be dropped takes no increment with
//! it. Setup and every variable: `docs/workers.md`.
//!
//! The modules in the order of the data's path:

pub mod vocabulary;

pub mod settings;
pub mod system;

pub mod snapshot;

pub mod metrics;
pub mod worker;

pub mod pack;
pub mod transport;

mod queue;
mod spool;

pub mod reporter;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "agent")]
pub mod exposition;
#[cfg(feature = "agent")]
pub mod push;
#[cfg(feature = "agent")]
pub mod statsd;

#[cfg(test)]
mod scripted_server;

pub use metrics::{Counter, DURATION_BOUNDS, Gauge, Histogram, Metrics, Series, Summary};
pub use queue::Dropped;
pub use reporter::{Builder, Delivery, Left, Reporter, StartError, SystemFigures};
pub use settings::Settings;
pub use snapshot::{Sample, Snapshot};
pub use spool::SpoolError;
pub use vocabulary::MetricType;
pub use worker::{ActiveTask, Worker};
