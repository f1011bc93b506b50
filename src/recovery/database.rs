//! The components seen lately, from PostgreSQL.

use sqlx::PgConnection;

use crate::model::Timestamp;
use crate::postgres::stored::{self, LoadLimits, StoredError};
use crate::registry::Registry;

/// What [`fill`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseRecovery {
    /// Components read.
    pub components: usize,
    /// Series read.
    pub series: usize,
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
) -> Result<DatabaseRecovery, StoredError> {
    let limits = LoadLimits { components_max: COMPONENTS_MAX, series_max: registry.series_max() };
    let mut pages = stored::components_since(conn, since, limits).await?;
    let mut recovered = DatabaseRecovery::default();
    while let Some(page) = pages.next(conn).await? {
        for component in &page {
            recovered.components += 1;
            recovered.series += component.series.len();
            registry.restore(component, now.seconds());
        }
    }
    Ok(recovered)
}
