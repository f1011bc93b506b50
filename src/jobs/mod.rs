//! What the server does by the clock: partitions ahead, the runtime registry, reports of the
//! server about itself, letting go of what is idle.
//!
//! Owns the timers. Guarantees that a run that fails is tried again at its next turn and holds
//! up nobody. Refuses to know reports.

mod memory;
mod partitions;
mod runtime;
mod self_report;

pub use memory::MemoryUpkeep;
pub use partitions::{
    Cleanup, Created, Maintained, Maintenance, MaintenanceError, MaintenanceSettings,
    PartitionUpkeep, partition_to_json,
};
pub use runtime::RuntimeUpkeep;
pub use self_report::{
    SelfReport, SelfReportError, SelfReportRequests, SelfReported, SelfReporter,
};

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::shutdown::Stop;

/// The turns of a job: one at once, then one every period.
struct Turns {
    ticks: Interval,
    stop: Stop,
}

impl Turns {
    fn every(period: Duration, stop: Stop) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, stop }
    }

    /// Waits for the next turn; `false` when it is time to stop instead.
    async fn next(&mut self) -> bool {
        tokio::select! {
            () = self.stop.requested() => false,
            _ = self.ticks.tick() => true,
        }
    }
}
