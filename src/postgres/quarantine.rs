//! What PostgreSQL refused for its content: `noetl.quarantine`.

use sqlx::{FromRow, PgConnection};

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

/// A record that was set aside, without its payload.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Listed {
    /// Its number in the table.
    pub quarantine_id: i64,
    /// When it was set aside, in RFC 3339.
    pub at: String,
    /// The node whose log it stood in.
    pub node: i16,
    /// Its position there.
    pub position: i64,
    /// What PostgreSQL said.
    pub reason: String,
    /// Bytes of its payload.
    pub payload_bytes: i32,
}

/// The at most `count` records after number `after`, in the order in which they were set aside.
pub async fn list(
    conn: &mut PgConnection,
    after: i64,
    count: u32,
) -> Result<Vec<Listed>, StatementError> {
    sqlx::query_as(
        r#"SELECT quarantine_id, node, position, reason, octet_length(payload) AS payload_bytes,
                  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
             FROM noetl.quarantine
            WHERE quarantine_id > $1
            ORDER BY quarantine_id
            LIMIT $2"#,
    )
    .bind(after)
    .bind(i64::from(count))
    .fetch_all(conn)
    .await
    .doing("list what was set aside")
}

/// A record that was set aside, as the log held it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The node whose log it stood in.
    pub node: NodeNumber,
    /// Its position there.
    pub position: LogPosition,
    /// Its entries.
    pub payload: Vec<u8>,
}

/// Whether a row that is read is also locked until the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It is only looked at.
    None,
    /// It will be removed; whoever else wants that waits, and finds it gone.
    ForRemoval,
}

/// The record of that number; `None` when there is none, or none any more.
pub async fn get(
    conn: &mut PgConnection,
    id: i64,
    lock: Lock,
) -> Result<Option<SetAside>, StatementError> {
    let statement = match lock {
        Lock::None => {
            "SELECT node, position, payload FROM noetl.quarantine WHERE quarantine_id = $1"
        }
        Lock::ForRemoval => {
            "SELECT node, position, payload FROM noetl.quarantine WHERE quarantine_id = $1
                FOR UPDATE"
        }
    };
    let row: Option<(i16, i64, Vec<u8>)> = sqlx::query_as(statement)
        .bind(id)
        .fetch_optional(conn)
        .await
        .doing("read what was set aside")?;
    Ok(row.and_then(|(node, position, payload)| {
        let node = NodeNumber::new(node.cast_unsigned())?;
        Some(SetAside { node, position: LogPosition::new(position.cast_unsigned()), payload })
    }))
}

/// Removes the record of that number, in the transaction that stores it.
pub async fn remove(conn: &mut PgConnection, id: i64) -> Result<(), StatementError> {
    sqlx::query("DELETE FROM noetl.quarantine WHERE quarantine_id = $1")
        .bind(id)
        .execute(conn)
        .await
        .doing("remove what is stored from the quarantine")?;
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
