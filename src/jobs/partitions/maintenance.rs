//! What the job, the commands and the requests do with partitions: one way for all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::retention::{self, Cleanup};
use crate::clock::Clock;
use crate::model::{PartitionInterval, PartitionStart, Timestamp};
use crate::postgres::StatementError;
use crate::postgres::connect::{self, ConnectError};
use crate::postgres::partitions::{
    self, Creation, PartitionError, PartitionInfo, PartitionState, RetireError, statistics,
};
use crate::registry::PartitionWindow;
use crate::telemetry::Telemetry;

/// What is warned of: less time than this that has its partition.
const TIME_LEFT_MIN_US: i64 = 2 * PartitionInterval::Day.micros();
/// Attempts to make a partition while somebody holds a lock.
const ATTEMPTS: u32 = 3;
/// The least time between two runs of ANALYZE. PostgreSQL 13 does not remember the last one.
const ANALYZE_PAUSE: Duration = Duration::from_secs(3600);

/// How the partitions shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaintenanceSettings {
    /// How much time a new one covers.
    pub interval: PartitionInterval,
    /// How many are made ahead of the present one.
    pub ahead: u32,
    /// How long one is kept after its end; `None` for ever.
    pub retention: Option<Duration>,
}

/// Why partitions could not be looked after.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A partition could not be made.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// A partition could not be dropped.
    #[error(transparent)]
    Retire(#[from] RetireError),
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl MaintenanceError {
    /// Whether PostgreSQL is away or busy, and the same attempt may succeed later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Partition(PartitionError::Busy) => true,
            Self::Retire(error) => matches!(error, RetireError::InUse { .. }),
            Self::Partition(error) => matches!(error, PartitionError::Detaching { .. }),
            Self::Statement(_) => false,
        }
    }
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// The names, in the order of time.
    pub partitions: Vec<String>,
}

impl Created {
    /// What was done, for a person.
    pub fn message(&self) -> String {
        match self.partitions.len() {
            0 => "every partition was there already".to_owned(),
            1 => "1 partition was created".to_owned(),
            count => format!("{count} partitions were created"),
        }
    }
}

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// What was made.
    pub created: Created,
    /// What was dropped.
    pub cleanup: Cleanup,
}

/// Looks after the partitions of one database.
pub struct Maintenance {
    options: PgConnectOptions,
    pub(super) settings: MaintenanceSettings,
    window: Arc<PartitionWindow>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Arc<Telemetry>,
    known: Mutex<Known>,
}

/// What the last run saw.
#[derive(Debug, Default)]
struct Known {
    ranges: Vec<(Timestamp, Timestamp)>,
    analyzed: Option<Instant>,
}

impl Maintenance {
    /// Of the database of `options`; `window` learns which partitions there are.
    pub fn new(
        options: PgConnectOptions,
        settings: MaintenanceSettings,
        window: Arc<PartitionWindow>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self { options, settings, window, clock, telemetry, known: Mutex::default() }
    }

    /// How the partitions shall be.
    pub fn settings(&self) -> MaintenanceSettings {
        self.settings
    }

    /// The interval of now.
    pub fn present(&self) -> PartitionStart {
        self.settings.interval.start_of(self.clock.now())
    }

    /// What a start needs: the partitions from now on, and to know which others there are.
    pub async fn prepare(&self) -> Result<(), MaintenanceError> {
        let mut conn = connect::connect(&self.options).await?;
        let created = self.create_on(&mut conn, self.ahead()).await;
        self.learn(&mut conn).await?;
        created.map(drop)
    }

    /// A whole run: makes what is missing ahead, drops what is over, refreshes statistics. While
    /// another server or command is at it, only looks which partitions there are.
    pub async fn maintain(&self) -> Result<Maintained, MaintenanceError> {
        let maintained = self.maintain_all().await;
        if maintained.is_err() {
            self.telemetry.partitions.failures.inc();
        }
        maintained
    }

    async fn maintain_all(&self) -> Result<Maintained, MaintenanceError> {
        let mut conn = connect::connect(&self.options).await?;
        if !partitions::try_hold_maintenance(&mut conn).await? {
            self.learn(&mut conn).await?;
            return Ok(Maintained { cleanup: Cleanup::elsewhere(), ..Maintained::default() });
        }
        // One that fails keeps the others from nothing.
        let created = self.create_on(&mut conn, self.ahead()).await;
        let cleanup = retention::clean_up(self, &mut conn).await;
        let analyzed = self.analyze(&mut conn).await;
        self.learn(&mut conn).await?;
        let maintained = Maintained { created: created?, cleanup: cleanup? };
        analyzed?;
        Ok(maintained)
    }

    /// Drops what is over, unless another server or command is at it.
    pub async fn clean_up(&self) -> Result<Cleanup, MaintenanceError> {
        let mut conn = connect::connect(&self.options).await?;
        if !partitions::try_hold_maintenance(&mut conn).await? {
            return Ok(Cleanup::elsewhere());
        }
        let cleanup = retention::clean_up(self, &mut conn).await;
        self.learn(&mut conn).await?;
        cleanup
    }

    /// Makes the partitions from now until `days` later that are missing.
    pub async fn create(&self, days: u32) -> Result<Created, MaintenanceError> {
        let mut conn = connect::connect(&self.options).await?;
        let ahead_us = i64::from(days) * PartitionInterval::Day.micros();
        let created = self.create_on(&mut conn, ahead_us).await;
        self.learn(&mut conn).await?;
        created
    }

    /// Every partition, in the order of time.
    pub async fn list(&self) -> Result<Vec<PartitionInfo>, MaintenanceError> {
        let mut conn = connect::connect(&self.options).await?;
        Ok(partitions::list(&mut conn).await?)
    }

    /// Shows for how long partitions are there from now on.
    pub fn show_time_left(&self) {
        let left_us = self.time_left_us();
        self.telemetry.partitions.ahead_seconds.set(left_us / 1_000_000);
    }

    /// Warns when partitions are about to run out, for which something has to stand in the way
    /// of making them for days.
    pub(super) fn warn_of_the_end(&self) {
        let left_us = self.time_left_us();
        if left_us < TIME_LEFT_MIN_US.min(self.ahead() / 2) {
            tracing::warn!(
                seconds_left = left_us / 1_000_000,
                "partitions run out: no more could be made ahead; each report will have to wait \
                 for its own"
            );
        }
    }

    fn time_left_us(&self) -> i64 {
        us_covered(&self.known.lock().ranges, self.clock.now())
    }

    /// How far ahead partitions are made, in microseconds.
    fn ahead(&self) -> i64 {
        i64::from(self.settings.ahead) * self.settings.interval.micros()
    }

    /// Makes what is missing from the present interval to `ahead_us` later, each partition in a
    /// transaction of its own. One that cannot be made keeps no other from it.
    async fn create_on(
        &self,
        conn: &mut PgConnection,
        ahead_us: i64,
    ) -> Result<Created, MaintenanceError> {
        let interval = self.settings.interval;
        let until = self.clock.now().offset_by(ahead_us);
        let mut next = self.present().timestamp();
        let mut created = Created::default();
        let mut failed = None;
        while next <= until && next < Timestamp::MAX {
            next = match create_patiently(conn, interval, next).await {
                Ok(Creation::Existed(partition)) => partition.to,
                Ok(Creation::Created(partition)) => {
                    tracing::info!(partition = partition.name, "made a partition");
                    self.telemetry.partitions.created.inc();
                    created.partitions.push(partition.name);
                    partition.to
                }
                Err(error @ (PartitionError::Statement(_) | PartitionError::Busy)) => {
                    return Err(error.into());
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    interval.end_of(interval.start_of(next))
                }
            };
        }
        failed.map_or(Ok(created), |error| Err(error.into()))
    }

    async fn analyze(&self, conn: &mut PgConnection) -> Result<(), MaintenanceError> {
        let lately = |at: Instant| at.elapsed() < ANALYZE_PAUSE;
        if self.known.lock().analyzed.is_some_and(lately) || !statistics::are_stale(conn).await? {
            return Ok(());
        }
        let began = Instant::now();
        statistics::analyze(conn).await?;
        self.known.lock().analyzed = Some(began);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(took_ms, "refreshed the statistics of noetl.report");
        Ok(())
    }

    /// Learns which partitions there are.
    async fn learn(&self, conn: &mut PgConnection) -> Result<(), MaintenanceError> {
        let existing = partitions::list(conn).await?;
        let in_state = |state| -> Vec<_> {
            let in_state = existing.iter().filter(|info| info.state == state);
            in_state.map(|info| (info.partition.from, info.partition.to)).collect()
        };
        let ranges = in_state(PartitionState::Attached);
        let leaving = in_state(PartitionState::Detaching);
        self.window.learn(ranges.iter().copied(), leaving, self.clock.now());
        let shown = i64::try_from(existing.len()).unwrap_or(i64::MAX);
        self.telemetry.partitions.existing.set(shown);
        self.known.lock().ranges = ranges;
        self.show_time_left();
        Ok(())
    }
}

/// Tries again while somebody holds a lock.
async fn create_patiently(
    conn: &mut PgConnection,
    interval: PartitionInterval,
    timestamp: Timestamp,
) -> Result<Creation, PartitionError> {
    let mut attempt = 1;
    loop {
        match partitions::create(conn, interval, timestamp).await {
            Err(PartitionError::Busy) if attempt < ATTEMPTS => attempt += 1,
            created => return created,
        }
    }
}

/// Microseconds from `now` on that the ranges, in the order of time, cover without a gap.
pub(super) fn us_covered(ranges: &[(Timestamp, Timestamp)], now: Timestamp) -> i64 {
    let mut covered = now;
    for (from, to) in ranges {
        if *from <= covered && covered < *to {
            covered = *to;
        }
    }
    covered.micros() - now.micros()
}
