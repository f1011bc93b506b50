//! Lets go of what was idle for long, and keeps group ids in stock.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use super::Turns;
use crate::clock::Clock;
use crate::ingest::Outlines;
use crate::log::{Disk, Identity, Progress};
use crate::registry::Registry;
use crate::shutdown::Stop;

/// How often the memory is looked through.
const PERIOD: Duration = Duration::from_secs(60);

/// The job.
pub struct MemoryUpkeep {
    /// What is looked through.
    pub registry: Arc<Registry>,
    /// The reports that are known, looked through as well.
    pub outlines: Arc<Outlines>,
    /// What is in PostgreSQL and may be forgotten.
    pub progress: Arc<Progress>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Series that were not reported for this long go, in seconds.
    pub idle_after_s: u32,
    /// Hands out blocks of group ids.
    pub identity: Identity,
    /// Where the identity is kept.
    pub disk: Arc<dyn Disk>,
}

impl MemoryUpkeep {
    /// Runs until `stop` says so.
    pub async fn run(mut self, stop: Stop) {
        let period = PERIOD.min(Duration::from_secs(u64::from(self.idle_after_s)));
        let mut turns = Turns::every(period, stop);
        while turns.next().await {
            block_in_place(|| self.maintain());
        }
    }

    fn maintain(&mut self) {
        let before_s = self.clock.now().seconds().saturating_sub(self.idle_after_s);
        self.outlines.forget_idle(before_s);
        let gone = self.registry.evict_idle(before_s, self.progress.flushed());
        if gone > 0 {
            tracing::info!(series = gone, "idle series left the memory");
        }
        if self.registry.group_ids().wants_block() {
            match self.identity.take_group_block(&*self.disk) {
                Ok(block) => self.registry.group_ids().add_block(block),
                Err(error) => tracing::warn!(%error, "no group ids could be put in stock"),
            }
        }
    }
}
