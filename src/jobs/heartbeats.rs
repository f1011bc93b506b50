//! A report counts as a heartbeat: writes who reported into the registry, all at once.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Turns;
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::postgres::{connect, definitions};
use crate::registry::Registry;
use crate::shutdown::Stop;

/// How often heartbeats are written.
const PERIOD: Duration = Duration::from_secs(15);

/// The job.
pub struct Heartbeats {
    /// Where the registry is.
    pub options: PgConnectOptions,
    /// Who reported when.
    pub registry: Arc<Registry>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Heartbeats {
    /// Runs until `stop` says so.
    pub async fn run(self, stop: Stop) {
        let mut written_until_s = 0;
        let mut turns = Turns::every(PERIOD, stop);
        while turns.next().await {
            let now_s = self.clock.now().seconds();
            match self.write(written_until_s).await {
                // The second that is not over yet is written again at the next turn.
                Ok(()) => written_until_s = now_s,
                Err(error) => tracing::debug!(error, "heartbeats are written at the next turn"),
            }
        }
    }

    /// Writes the heartbeats of `since_s` (seconds since the Unix epoch) and later.
    async fn write(&self, since_s: u32) -> Result<(), String> {
        let seen: Vec<_> = self
            .registry
            .all()
            .iter()
            .filter(|component| component.last_report_s() >= since_s.max(1))
            .filter_map(|component| {
                let at = Timestamp::from_micros(i64::from(component.last_report_s()) * 1_000_000)?;
                Some((component.runtime_id(), at))
            })
            .collect();
        if seen.is_empty() {
            return Ok(());
        }
        let mut conn = connect::connect(&self.options).await.map_err(|error| error.to_string())?;
        definitions::touch_heartbeats(&mut conn, &seen).await.map_err(|error| error.to_string())
    }
}
