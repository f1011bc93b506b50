//! Dropping the partitions whose time is over.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{Maintenance, MaintenanceError};
use crate::postgres::partitions::{self, Leaving, RetireError, Retired, Retirement, Stage};

/// After this long a run begins to drop no further partition.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);
/// How long each attempt to complete a detach that was cut short waits for each older
/// transaction. Nobody can make a partition meanwhile, so it begins with little; but where
/// transactions of seconds follow each other all day, little would never do.
const FINALIZE_WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(500), Duration::from_secs(10)];

/// What became of the partitions whose time is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Those that are gone.
    pub dropped: Vec<String>,
    /// Those that were written to within a day, and stay for another.
    pub kept: Vec<String>,
    /// Those that could not be dropped yet, for somebody uses them, or the run was long enough.
    pub waiting: Vec<String>,
    /// Another server or command is dropping them, so this one did nothing.
    pub elsewhere: bool,
}

impl Cleanup {
    pub(super) fn elsewhere() -> Self {
        Self { elsewhere: true, ..Self::default() }
    }

    /// What was done, for a person.
    pub fn message(&self) -> String {
        if self.elsewhere {
            return "another server or command is looking after the partitions now".to_owned();
        }
        let mut message = match self.dropped.len() {
            0 => "no partition was dropped".to_owned(),
            1 => "1 partition was dropped".to_owned(),
            count => format!("{count} partitions were dropped"),
        };
        if !self.kept.is_empty() {
            let kept = self.kept.join(", ");
            message += &format!("; kept, for it was written to within a day: {kept}");
        }
        if !self.waiting.is_empty() {
            let waiting = self.waiting.join(", ");
            message += &format!("; tried again later, for transactions are open: {waiting}");
        }
        message
    }
}

/// Drops what is over, on a connection that holds the maintenance lock.
pub(super) async fn clean_up(
    maintenance: &Maintenance,
    conn: &mut PgConnection,
) -> Result<Cleanup, MaintenanceError> {
    let deadline = Instant::now() + RUN_TIME_MAX;
    let retention = maintenance.settings.retention;
    let overdue = partitions::overdue(conn, maintenance.clock.now(), retention).await?;
    let mut cleanup = Cleanup { kept: overdue.kept, ..Cleanup::default() };
    let mut leaving = overdue.leaving.into_iter();
    if let Some(name) = overdue.foreign {
        tracing::warn!(
            partition = name,
            "somebody began to detach a partition, and until that is done none can be dropped; \
             finish it by ALTER TABLE noetl.report DETACH PARTITION … FINALIZE"
        );
        cleanup.waiting.extend(leaving.map(|leaving| leaving.partition.name));
        return Ok(cleanup);
    }
    let mut retirement = Retirement::new(conn).await?;
    for next in leaving.by_ref() {
        let name = next.partition.name.clone();
        let retired = if Instant::now() < deadline {
            retire(&mut retirement, &next).await
        } else {
            Err(RetireError::InUse { name: name.clone() })
        };
        match retired {
            Ok(Retired::Dropped) => {
                tracing::info!(partition = name, "dropped a partition, whose retention is over");
                maintenance.telemetry.partitions.dropped.inc();
                cleanup.dropped.push(name);
            }
            Ok(Retired::Kept) => cleanup.kept.push(name),
            Err(error @ RetireError::InUse { .. }) => {
                // Whatever is open uses the others as well.
                tracing::info!(%error, "dropping partitions waits");
                cleanup.waiting.push(name);
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    cleanup.waiting.extend(leaving.map(|leaving| leaving.partition.name));
    Ok(cleanup)
}

/// Drops one partition, with several attempts where the first may just have come at a bad time.
async fn retire(
    retirement: &mut Retirement<'_>,
    leaving: &Leaving,
) -> Result<Retired, RetireError> {
    let [first, others @ ..] = FINALIZE_WAITS;
    let mut retired = retirement.retire(leaving, first).await;
    // One that is attached was waited for, and looked at anew it may be at another stage.
    if leaving.stage != Stage::Attached {
        for wait in others {
            if !matches!(retired, Err(RetireError::InUse { .. })) {
                break;
            }
            retired = retirement.retire(leaving, wait).await;
        }
    }
    retired
}
