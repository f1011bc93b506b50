//! Loads single components into the registry when they report and are not in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;
use tokio::time::timeout;

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
            let loaded = self.load(&round).await;
            for request in round.drain(..) {
                let outcome = match &loaded {
                    Some(components) if components.iter().any(|one| request.key.names(one)) => {
                        LoadOutcome::Loaded
                    }
                    Some(_) => LoadOutcome::Absent,
                    None => LoadOutcome::Unavailable,
                };
                if request.reply.send(outcome).is_err() {
                    tracing::trace!("a load was not waited for");
                }
            }
        }
    }

    /// Reads the components that the requests name into the registry; `None` when PostgreSQL
    /// does not answer.
    async fn load(&mut self, round: &[LoadRequest]) -> Option<Vec<StoredComponent>> {
        if self.away_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        // A timeout drops the query half-way, and with it the connection.
        let mut conn = self.conn.take();
        match timeout(ROUND_TIMEOUT, query(&mut conn, &self.options, round)).await {
            Ok(Ok(components)) => {
                self.conn = conn;
                self.away_until = None;
                let now_s = self.clock.now().seconds();
                for component in &components {
                    self.registry.restore(component, now_s);
                }
                Some(components)
            }
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no answer within {ROUND_TIMEOUT:?}"),
                };
                tracing::warn!(reason, "components could not be loaded; they begin new groups");
                self.away_until = Some(Instant::now() + FAILURE_PAUSE);
                None
            }
        }
    }
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error(transparent)]
    Connect(#[from] connect::ConnectError),
    #[error(transparent)]
    Stored(#[from] StoredError),
}

async fn query(
    conn: &mut Option<PgConnection>,
    options: &PgConnectOptions,
    round: &[LoadRequest],
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
            LookupKey::Id(id) => found.extend(stored::component_by_id(conn, *id).await?),
        }
    }
    if !keys.is_empty() {
        found.extend(stored::components_by_key(conn, &keys).await?);
    }
    if !names.is_empty() {
        found.extend(stored::components_by_name(conn, &names).await?);
    }
    Ok(found)
}
