//! Rows into `noetl.report`.

use sqlx::PgConnection;
use tokio::time::{Instant, sleep_until};

use super::copy::{COLUMNS, CopyBuffer};
use super::{Doing, StatementError, quote_identifier};

/// Copies rows into a partition, in the transaction that `conn` is in, and answers with their number. After
/// each piece `pause` says until when the next one has time.
///
/// They go straight to the partition, which spares PostgreSQL the routing (about 15 % of the
/// time); its bounds are checked all the same. Not safe to cancel: a connection whose future
/// was dropped midway is to be closed.
pub async fn copy_rows(
    conn: &mut PgConnection,
    partition: &str,
    rows: &CopyBuffer,
    mut pause: impl FnMut() -> Option<Instant>,
) -> Result<u64, StatementError> {
    let table = quote_identifier(partition);
    let statement = format!("COPY noetl.{table} ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut copy = conn.copy_in_raw(&statement).await.doing("begin the COPY of reports")?;
    let (mut chunks, mut until) = (rows.chunks(), None);
    while let Some(chunk) = chunks.next() {
        if let Some(until) = until {
            sleep_until(until).await;
        }
        copy.send(chunk).await.doing("send reports")?;
        until = pause();
    }
    copy.finish().await.doing("finish the COPY of reports")
}

#[cfg(test)]
mod tests;
