//! The runtime registry in PostgreSQL: registrations as they come, and at each turn of the sweeper
//! the heartbeats, all at once, and who has fallen silent.
//!
//! One task and one connection, so that what a server has to say of a component is said in its
//! order.

mod listening;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::block_in_place;
use tokio::time::{sleep_until, timeout};

use super::Turns;
use crate::clock::Clock;
use crate::model::{ComponentKey, Details, STATUS_READY};
use crate::postgres::StatementError;
use crate::postgres::connect::{self, ConnectError};
use crate::postgres::definitions::DefinitionError;
use crate::postgres::runtime::{self, Registration};
use crate::registry::{Change, ChangeKind, Registry, Written};
use crate::shutdown::Stop;
use crate::telemetry::Telemetry;
use listening::Listening;

/// Changes of one transaction.
const CHANGES_MAX: usize = 1000;
/// Heartbeats of one statement.
const BEATS_MAX: usize = 10_000;
/// How long one transaction may take; past that its connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses after failures in a row: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How long a stopping server tries to say that it stops.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// The job.
pub struct RuntimeUpkeep {
    /// Where the registry is.
    pub options: PgConnectOptions,
    /// Who registered and who was heard.
    pub registry: Arc<Registry>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where it is counted.
    pub telemetry: Arc<Telemetry>,
    /// The server's own row.
    pub own: ComponentKey,
    /// What it says of itself.
    pub details: Details,
    /// The time between two turns.
    pub sweep_interval: Duration,
    /// The silence after which a component is offline.
    pub offline_after: Duration,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error("PostgreSQL did not answer within {WRITE_TIMEOUT:?}")]
    NoAnswer,
}

impl WriteError {
    /// Whether PostgreSQL will never take what was sent.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Statement(error) | Self::Definition(DefinitionError::Statement(error)) => {
                error.refuses_content()
            }
            Self::Definition(_) => true,
            Self::Connect(_) | Self::NoAnswer => false,
        }
    }
}

impl RuntimeUpkeep {
    /// Registers the server and runs until `stop` says so; then marks the server offline.
    pub async fn run(self, stop: Stop) {
        let turns = Turns::every(self.sweep_interval, stop);
        let listening = Listening::new(self.offline_after);
        Upkeep { job: self, conn: None, listening, heard_until: None, retry: None }
            .run(turns)
            .await;
    }
}

struct Upkeep {
    job: RuntimeUpkeep,
    conn: Option<PgConnection>,
    listening: Listening,
    /// When heartbeats were last collected and written.
    heard_until: Option<Instant>,
    /// Set while PostgreSQL is away: the pause, and its end.
    retry: Option<(Duration, Instant)>,
}

enum Due {
    Turn,
    Changes,
}

impl Upkeep {
    async fn run(mut self, mut turns: Turns) {
        self.register_self();
        loop {
            let retry_at = self.retry.map(|(_, at)| at.into());
            let due = tokio::select! {
                biased;
                turn = turns.next() => if turn { Due::Turn } else { break },
                () = self.job.registry.changes_added(), if retry_at.is_none() => Due::Changes,
                () = sleep_until(retry_at.unwrap_or_else(tokio::time::Instant::now)),
                    if retry_at.is_some() => Due::Changes,
            };
            let outcome = match due {
                Due::Turn => self.turn().await,
                Due::Changes => self.write_changes().await,
            };
            self.note(outcome);
        }
        drop(timeout(FAREWELL_TIMEOUT, self.say_farewell()).await);
    }

    fn register_self(&self) {
        let RuntimeUpkeep { registry, clock, own, details, .. } = &self.job;
        if let Err(error) = registry.register(own, STATUS_READY, details.clone(), clock.now()) {
            tracing::warn!(%error, "the server could not register itself");
        }
    }

    async fn say_farewell(&mut self) {
        let RuntimeUpkeep { registry, clock, own, .. } = &self.job;
        if let Some(component) = registry.find(Some(own.component_type()), own.name())
            && registry.deregister(&component, clock.now()).is_none()
        {
            tracing::debug!("the server's own row was not in memory");
        }
        let outcome = self.write_changes().await;
        if let Err(error) = outcome.and(self.write_beats().await) {
            tracing::info!(%error, "the registry could not be told that the server stops");
        }
    }

    /// Remembers whether PostgreSQL is there, and says so when that changes.
    fn note(&mut self, outcome: Result<(), WriteError>) {
        match outcome {
            Ok(()) => {
                if self.retry.take().is_some() {
                    tracing::info!("the registry is written again");
                    self.job.registry.set_away(false);
                }
            }
            Err(error) => {
                if self.retry.is_none() {
                    tracing::warn!(%error, "the registry waits in memory for PostgreSQL");
                }
                self.conn = None;
                self.listening.interrupted();
                self.job.registry.set_away(true);
                let pause = self.retry.map_or(PAUSE.0, |(pause, _)| (pause * 2).min(PAUSE.1));
                self.retry = Some((pause, Instant::now() + pause));
            }
        }
        let waiting = self.job.registry.unwritten_count();
        let gauge = &self.job.telemetry.runtime.registrations_waiting;
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Writes changes and heartbeats, and marks those offline who have fallen silent.
    async fn turn(&mut self) -> Result<(), WriteError> {
        let own = &self.job.own;
        if let Some(component) = self.job.registry.find(Some(own.component_type()), own.name()) {
            component.touch(self.job.clock.now().seconds());
        }
        self.write_changes().await?;
        self.write_beats().await?;
        timeout(WRITE_TIMEOUT, self.sweep()).await.map_err(|_| WriteError::NoAnswer)?
    }

    /// Writes the changes that wait at this moment.
    async fn write_changes(&mut self) -> Result<(), WriteError> {
        let mut left = self.job.registry.unwritten_count();
        while left > 0 {
            let changes = self.job.registry.take_changes(CHANGES_MAX.min(left));
            left = left.saturating_sub(changes.len().max(1));
            if let Err(error) = self.write_or_blame(&changes).await {
                self.settle(&changes, &Written::Away);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes changes, one by one where PostgreSQL refuses one of them, so that the others do not
    /// pay for it.
    async fn write_or_blame(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        match self.write(changes).await {
            Ok(()) => self.settle(changes, &Written::Stored),
            Err(error) if error.is_refusal() => {
                for change in changes {
                    let change = std::slice::from_ref(change);
                    match self.write(change).await {
                        Ok(()) => self.settle(change, &Written::Stored),
                        Err(error) if error.is_refusal() => {
                            let component = change[0].component.key();
                            tracing::warn!(%component, %error, "PostgreSQL refuses a registration");
                            self.settle(change, &Written::Refused(error.to_string().into()));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn settle(&self, changes: &[Change], outcome: &Written) {
        for change in changes {
            self.job.registry.settle(change, outcome);
        }
    }

    async fn write(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        if changes.is_empty() {
            return Ok(());
        }
        timeout(WRITE_TIMEOUT, self.write_within_time(changes))
            .await
            .map_err(|_| WriteError::NoAnswer)?
    }

    /// What is dropped half-way takes its connection along.
    async fn write_within_time(&mut self, changes: &[Change]) -> Result<(), WriteError> {
        let mut conn = self.connection().await?;
        let of = |kind| changes.iter().filter(move |change| change.kind == kind);
        let registrations: Vec<_> = of(ChangeKind::Registered).map(registration).collect();
        if !registrations.is_empty() {
            for (key, id) in runtime::register(&mut conn, &registrations).await? {
                let registry = &self.job.registry;
                if let Some(component) = registry.find(Some(key.component_type()), key.name()) {
                    registry.set_runtime_id(&component, id);
                }
            }
        }
        let leaving: Vec<_> = of(ChangeKind::Deregistered)
            .map(|change| (change.component.key(), micros(change.age())))
            .collect();
        if !leaving.is_empty() {
            runtime::deregister(&mut conn, &leaving).await?;
        }
        self.conn = Some(conn);
        Ok(())
    }

    async fn write_beats(&mut self) -> Result<(), WriteError> {
        let collected = Instant::now();
        let beats = block_in_place(|| self.job.registry.beats());
        for chunk in beats.chunks(BEATS_MAX) {
            // A sign of life that was not there the last time is no older than that, whatever has
            // become of the clock since.
            let oldest_us = self.heard_until.map_or(i64::MAX, |until| micros(until.elapsed()));
            let now_us = self.job.clock.now().micros();
            let heard: Vec<_> = chunk
                .iter()
                .map(|beat| {
                    let age_us = now_us - i64::from(beat.seen_s) * 1_000_000;
                    (beat.component.runtime_id(), age_us.clamp(0, oldest_us))
                })
                .collect();
            let writing = async {
                let mut conn = self.connection().await?;
                runtime::beat(&mut conn, &heard).await?;
                Ok::<_, WriteError>(conn)
            };
            let conn =
                timeout(WRITE_TIMEOUT, writing).await.map_err(|_| WriteError::NoAnswer)??;
            self.conn = Some(conn);
            self.job.registry.beats_written(chunk);
            self.job.telemetry.runtime.heartbeats_written.inc_by(chunk.len() as u64);
        }
        self.heard_until = Some(collected);
        Ok(())
    }

    async fn sweep(&mut self) -> Result<(), WriteError> {
        let mut conn = self.connection().await?;
        let clock = runtime::now(&mut conn).await?;
        if self.listening.turn(Instant::now(), clock) {
            let swept = runtime::sweep(&mut conn, micros(self.job.offline_after)).await?;
            let now = self.job.clock.now();
            for id in &swept {
                self.job.registry.mark_offline(*id, now);
            }
            if !swept.is_empty() {
                tracing::info!(components = swept.len(), "fell silent and are offline");
                self.job.telemetry.runtime.components_silenced.inc_by(swept.len() as u64);
            }
        }
        self.conn = Some(conn);
        Ok(())
    }

    /// The connection there is, or a new one where that was cut off since it was last used.
    async fn connection(&mut self) -> Result<PgConnection, WriteError> {
        if let Some(mut conn) = self.conn.take()
            && conn.ping().await.is_ok()
        {
            return Ok(conn);
        }
        Ok(connect::connect(&self.job.options).await?)
    }
}

fn registration(change: &Change) -> Registration<'_> {
    Registration {
        key: change.component.key(),
        runtime_id: change.component.runtime_id(),
        first_seen: change.profile.created_at,
        status: &change.profile.status,
        details: &change.profile.details,
        age_us: micros(change.age()),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
