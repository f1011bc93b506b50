//! What PostgreSQL refused for its content: `noetl.quarantine`.

use sqlx::PgConnection;

use super::{Doing, StatementError};
use crate::model::{LogPosition, NodeNumber};

/// Bytes of a reason; the rest of a longer one is cut off.
const REASON_BYTES_MAX: usize = 2048;

/// Sets the record at `position` of the log of `node` aside, in the transaction that `conn` is
/// in. `payload` is the record as the log holds it; `reason` is what PostgreSQL said.
pub async fn insert(
    conn: &mut PgConnection,
    node: NodeNumber,
    position: LogPosition,
    reason: &str,
    payload: &[u8],
) -> Result<(), StatementError> {
    // The reason may quote what was refused, and U+0000 would have this row refused as well.
    let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].replace('\0', "\u{fffd}");
    sqlx::query(
        "INSERT INTO noetl.quarantine (node, position, reason, payload) VALUES ($1, $2, $3, $4)",
    )
    .bind(node.get().cast_signed())
    .bind(position.get().cast_signed())
    .bind(reason)
    .bind(payload)
    .execute(conn)
    .await
    .doing("set a refused record aside")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{node, test_cluster};

    #[tokio::test]
    async fn whatever_was_refused_can_be_set_aside() {
        let mut conn = test_cluster::database().await.connect().await;
        let node = node::register(&mut conn, uuid::Uuid::new_v4()).await.unwrap();
        let reason = format!("bad\0byte {}", "ü".repeat(2000));
        insert(&mut conn, node, LogPosition::new(7), &reason, b"\x00\xff").await.unwrap();
        let (position, reason, payload): (i64, String, Vec<u8>) =
            sqlx::query_as("SELECT position, reason, payload FROM noetl.quarantine")
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!((position, payload.as_slice()), (7, b"\x00\xff".as_slice()));
        assert!(reason.starts_with("bad\u{fffd}byte ü"), "{reason}");
    }
}
