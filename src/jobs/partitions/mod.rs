//! Looking after the partitions: made ahead, dropped when their time is over, known to the ingest.

mod maintenance;
mod retention;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use maintenance::{Created, Maintained, Maintenance, MaintenanceError, MaintenanceSettings};
pub use retention::Cleanup;

use serde_json::{Value, json};

use super::Turns;
use crate::postgres::partitions::PartitionInfo;
use crate::shutdown::Stop;

/// How often the partitions are looked after. Far more often than one is due, so that a run which
/// failed costs nothing.
const PERIOD: Duration = Duration::from_secs(600);
/// The same when something could not be done.
const RETRY: Duration = Duration::from_secs(60);
/// How often the clock is looked at, so that a partition's end is seen when it comes.
const LOOK: Duration = Duration::from_secs(1);

/// The job.
pub struct PartitionUpkeep {
    /// What it does.
    pub maintenance: Arc<Maintenance>,
}

impl PartitionUpkeep {
    /// Runs until `stop` says so: at once, whenever a partition's time begins, and now and then.
    pub async fn run(self, stop: Stop) {
        let mut turns = Turns::every(LOOK, stop);
        let mut last = None;
        while turns.next().await {
            let present = self.maintenance.present();
            let due = last.is_none_or(|(began, start, pause): (Instant, _, _)| {
                start != present || began.elapsed() >= pause
            });
            if due {
                let began = Instant::now();
                last = Some((began, present, self.maintain().await));
            }
            self.maintenance.show_time_left();
        }
    }

    /// One run; how long to wait for the next.
    async fn maintain(&self) -> Duration {
        let pause = match self.maintenance.maintain().await {
            Ok(maintained) if maintained.cleanup.waiting.is_empty() => PERIOD,
            Ok(_) => RETRY,
            Err(error) => {
                tracing::warn!(%error, "partitions could not be looked after; next try in {RETRY:?}");
                RETRY
            }
        };
        self.maintenance.warn_of_the_end();
        pause
    }
}

/// A partition as requests and commands show it.
pub fn partition_to_json(info: &PartitionInfo) -> Value {
    let PartitionInfo { partition, rows_estimated, bytes, state } = info;
    let (from, to) = partition.bounds();
    json!({"name": partition.name, "from": from, "to": to, "rows": rows_estimated,
           "bytes": bytes, "state": state.as_str()})
}

#[cfg(test)]
mod tests;
