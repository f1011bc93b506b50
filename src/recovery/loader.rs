//! Loads single components into the registry when they report and are not in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::clock::Clock;
use crate::model::{ComponentKey, StoredComponent};
use crate::postgres::connect;
use crate::postgres::stored::{self, StoredError};
use crate::registry::{LoadOutcome, LoadRequest, LookupKey, Registry};

/// Requests that one round of queries answers.
const ROUND_MAX: usize = 512;
/// How long a report waits for PostgreSQL before it goes on without.
const ROUND_TIMEOUT: Duration = Duration::from_secs(2);
/// After a failure PostgreSQL is left alone for this long, and reports go on without it at once.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The task that answers load requests, those that wait together by one round of queries.
pub struct Loader {
    options: PgConnectOptions,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    requests: mpsc::Receiver<LoadRequest>,
    conn: Option<PgConnection>,
    away_until: Option<Instant>,
}

impl Loader {
    /// A loader that reads from the database of `options`. Connects when it is first asked.
    pub fn new(
        options: PgConnectOptions,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        requests: mpsc::Receiver<LoadRequest>,
    ) -> Self {
        Self { options, registry, clock, requests, conn: None, away_until: None }
    }

    /// Answers requests until nobody can ask any more.
    pub async fn run(mut self) {
        let mut round = Vec::with_capacity(ROUND_MAX);
        while self.requests.recv_many(&mut round, ROUND_MAX).await > 0 {
            match self.load(&round).await {
                Err(LoadError::Unreadable(reason)) if round.len() > 1 => {
                    tracing::debug!(reason, "loading one by one");
                    // One of them is to blame, and the others shall not pay for it.
                    for request in round.drain(..) {
                        let outcome = self.load(std::slice::from_ref(&request)).await;
                        answer(request, &outcome);
                    }
                }
                outcome => round.drain(..).for_each(|request| answer(request, &outcome)),
            }
        }
    }

    /// Reads the components that the requests name into the registry.
    async fn load(&mut self, round: &[LoadRequest]) -> Result<Vec<StoredComponent>, LoadError> {
        if self.away_until.is_some_and(|until| Instant::now() < until) {
            return Err(LoadError::Away);
        }
        match self.read(round).await {
            Ok(components) => {
                self.away_until = None;
                let now_s = self.clock.now().seconds();
                for component in &components {
                    self.registry.restore(component, now_s);
                }
                Ok(components)
            }
            Err(QueryError::Stored(error)) if !matches!(error, StoredError::Statement(_)) => {
                if round.len() == 1 {
                    tracing::warn!(%error, "a component could not be loaded; it begins new groups");
                }
                Err(LoadError::Unreadable(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "components could not be loaded; they begin new groups");
                self.away_until = Some(Instant::now() + FAILURE_PAUSE);
                Err(LoadError::Away)
            }
        }
    }

    /// Asks PostgreSQL within [`ROUND_TIMEOUT`], on the connection there is or, should that have
    /// been cut off since it was last used, on a new one.
    async fn read(&mut self, round: &[LoadRequest]) -> Result<Vec<StoredComponent>, QueryError> {
        let deadline = tokio::time::Instant::now() + ROUND_TIMEOUT;
        loop {
            // A timeout drops the query half-way, and with it the connection.
            let mut conn = self.conn.take();
            let reused = conn.is_some();
            let series_max = self.registry.settings().component_series_max;
            let query = query(&mut conn, &self.options, round, series_max);
            let read = timeout_at(deadline, query).await;
            match read.map_err(|_| QueryError::NoAnswer)? {
                Err(QueryError::Stored(StoredError::Statement(_))) if reused => {}
                done => {
                    self.conn = conn.filter(|_| done.is_ok());
                    return done;
                }
            }
        }
    }
}

/// Why nothing was loaded.
enum LoadError {
    /// PostgreSQL does not answer.
    Away,
    /// It answers what no server has written.
    Unreadable(String),
}

fn answer(request: LoadRequest, loaded: &Result<Vec<StoredComponent>, LoadError>) {
    let outcome = match loaded {
        Ok(components) if components.iter().any(|one| request.key.names(one)) => {
            LoadOutcome::Loaded
        }
        Ok(_) => LoadOutcome::Absent,
        Err(_) => LoadOutcome::Unavailable,
    };
    if request.reply.send(outcome).is_err() {
        tracing::trace!("a load was not waited for");
    }
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error(transparent)]
    Connect(#[from] connect::ConnectError),
    #[error(transparent)]
    Stored(#[from] StoredError),
    #[error("PostgreSQL did not answer within {ROUND_TIMEOUT:?}")]
    NoAnswer,
}

async fn query(
    conn: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    round: &[LoadRequest],
    series_max: usize,
) -> Result<Vec<StoredComponent>, QueryError> {
    let conn = match conn {
        Some(conn) => conn,
        empty => empty.insert(connect::connect(options).await?),
    };
    let mut keys: Vec<ComponentKey> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for request in round {
        match &request.key {
            LookupKey::Name { component_type: Some(component_type), name } => {
                keys.extend(ComponentKey::new(component_type, name));
            }
            LookupKey::Name { component_type: None, name } => names.push(name),
            LookupKey::Id(id) => {
                found.extend(stored::component_by_id(conn, *id, series_max).await?);
            }
        }
    }
    if !keys.is_empty() {
        found.extend(stored::components_by_key(conn, &keys, series_max).await?);
    }
    if !names.is_empty() {
        found.extend(stored::components_by_name(conn, &names, series_max).await?);
    }
    Ok(found)
}
