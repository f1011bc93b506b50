//! Makes the partitions of the coming days before their first report.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Turns;
use crate::clock::Clock;
use crate::model::{PartitionInterval, Timestamp};
use crate::postgres::StatementError;
use crate::postgres::connect::{self, ConnectError};
use crate::postgres::partitions::{self, PartitionError};
use crate::registry::PartitionWindow;
use crate::shutdown::Stop;
use crate::telemetry::Telemetry;

/// How often the partitions are looked at. Far more often than one is due, so that a run which
/// failed costs nothing.
const PERIOD: Duration = Duration::from_secs(600);

/// The job.
pub struct PartitionUpkeep {
    /// Where the partitions are.
    pub options: PgConnectOptions,
    /// How much time one covers.
    pub interval: PartitionInterval,
    /// How many are made ahead of the present one.
    pub ahead: u32,
    /// Learns which there are.
    pub window: Arc<PartitionWindow>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where their number is shown.
    pub telemetry: Arc<Telemetry>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A partition could not be made.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The partitions could not be listed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl PartitionUpkeep {
    /// Runs until `stop` says so.
    pub async fn run(self, stop: Stop) {
        let mut turns = Turns::every(PERIOD, stop);
        while turns.next().await {
            if let Err(error) = self.maintain().await {
                tracing::warn!(%error, "partitions could not be looked after; next try in {PERIOD:?}");
            }
        }
    }

    /// Makes what is missing, each partition in a transaction of its own, and learns what is there.
    pub async fn maintain(&self) -> Result<(), UpkeepError> {
        let now = self.clock.now();
        let mut conn = connect::connect(&self.options).await?;
        let mut start = self.interval.start_of(now);
        for _ in 0..=self.ahead {
            partitions::ensure(&mut conn, self.interval, start.timestamp()).await?;
            start = self.interval.next(start);
        }
        let existing = partitions::list(&mut conn).await?;
        for info in &existing {
            self.window.learn(info.partition.from, now);
        }
        let flush = &self.telemetry.flush;
        flush.partitions.set(i64::try_from(existing.len()).unwrap_or(i64::MAX));
        let ranges: Vec<_> =
            existing.iter().map(|info| (info.partition.from, info.partition.to)).collect();
        flush.partition_ahead_seconds.set(seconds_covered(&ranges, now));
        Ok(())
    }
}

/// Seconds from `now` on that the ranges, in the order of time, cover without a gap.
fn seconds_covered(ranges: &[(Timestamp, Timestamp)], now: Timestamp) -> i64 {
    let mut covered = now;
    for (from, to) in ranges {
        if *from <= covered && covered < *to {
            covered = *to;
        }
    }
    (covered.micros() - now.micros()) / 1_000_000
}

#[cfg(test)]
mod tests;
