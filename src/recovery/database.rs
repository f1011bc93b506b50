//! The components seen lately, from PostgreSQL.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use crate::model::Timestamp;
use crate::postgres::stored::{self, LoadLimits, StoredError};
use crate::registry::{Registry, RegistrySettings};

/// What [`fill`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseRecovery {
    /// Components read.
    pub components: usize,
    /// Series read.
    pub series: usize,
}

/// How long PostgreSQL may take for one page. Reading goes on for as long as pages come.
const PAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why components could not all be read.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// They cannot be read back.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// PostgreSQL has stopped answering.
    #[error("PostgreSQL did not answer within {PAGE_TIMEOUT:?}")]
    NoAnswer,
}

/// The most components that are read at the start; others are loaded when they report.
const COMPONENTS_MAX: u32 = 500_000;

/// Fills `registry` with the components that were seen since `since`, the latest first, up to
/// its limit of series.
pub async fn fill(
    conn: &mut PgConnection,
    registry: &Registry,
    since: Timestamp,
    now: Timestamp,
) -> Result<DatabaseRecovery, FillError> {
    let RegistrySettings { series_max, component_series_max, .. } = *registry.settings();
    let limits = LoadLimits { components_max: COMPONENTS_MAX, series_max, component_series_max };
    let mut pages = answered(stored::components_since(conn, since, limits)).await?;
    let mut recovered = DatabaseRecovery::default();
    while let Some(page) = answered(pages.next(conn)).await? {
        for component in &page {
            recovered.components += 1;
            recovered.series += component.series.len();
            registry.restore(component, now.seconds());
        }
    }
    Ok(recovered)
}

/// What PostgreSQL answers, if it does. The connection is good for nothing after an error.
async fn answered<T>(read: impl Future<Output = Result<T, StoredError>>) -> Result<T, FillError> {
    Ok(timeout(PAGE_TIMEOUT, read).await.map_err(|_| FillError::NoAnswer)??)
}
