//! Whose log is how far in the tables: `noetl.ingest_node`.
//!
//! A log gets a number once and keeps it; the number is part of every id the log gives out. Its
//! position moves in the transaction that writes the rows, and only from the value that the
//! writer knows, so that rows are in the tables exactly once and two processes with one log
//! cannot both write.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{AdvisoryLock, Doing, StatementError};
use crate::model::{LogPosition, NodeNumber};

/// Why a log cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// All numbers are in use.
    #[error(
        "all 4096 node numbers of this database are in use (noetl.ingest_node); reuse the data \
         directory of a server that is gone instead of starting with an empty one"
    )]
    NumbersUsedUp,
    /// The database does not know the log.
    #[error(
        "noetl.ingest_node has no row for node {} with log {log_id}: this is another database, \
         or one restored from before the log began; point the server at the right one, or start \
         it with an empty data directory", node.get()
    )]
    Unregistered {
        /// The number that the log remembers.
        node: NodeNumber,
        /// The log's identity.
        log_id: Uuid,
    },
    /// Somebody else moved the position.
    #[error(
        "the position of node {} in noetl.ingest_node is no longer {expected}: another process \
         writes with a copy of this log; stop one of the two", node.get()
    )]
    TakenOver {
        /// The node.
        node: NodeNumber,
        /// The position this process knew.
        expected: LogPosition,
    },
    /// A statement failed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// The number of the log: the one it has, or the lowest that is free, at position 0.
///
/// Commits on its own, so `conn` must not be in a transaction.
pub async fn register(conn: &mut PgConnection, log_id: Uuid) -> Result<NodeNumber, NodeError> {
    let mut tx = conn.begin().await.doing("begin the registration of a node")?;
    AdvisoryLock::NodeNumbers.take(&mut tx).await?;
    let known: Option<i16> =
        sqlx::query_scalar("SELECT node FROM noetl.ingest_node WHERE log_id = $1")
            .bind(log_id)
            .fetch_optional(&mut *tx)
            .await
            .doing("look up the log's node number")?;
    let number = match known {
        Some(number) => Some(number),
        None => sqlx::query_scalar(
            "INSERT INTO noetl.ingest_node (node, log_id)
             SELECT free, $1
               FROM generate_series(0, $2::int4) AS free
              WHERE NOT EXISTS (SELECT FROM noetl.ingest_node WHERE node = free)
              ORDER BY free
              LIMIT 1
             RETURNING node",
        )
        .bind(log_id)
        .bind(i32::from(NodeNumber::MAX))
        .fetch_optional(&mut *tx)
        .await
        .doing("register a node")?,
    };
    tx.commit().await.doing("commit the registration of a node")?;
    number
        .and_then(|number| NodeNumber::new(number.cast_unsigned()))
        .ok_or(NodeError::NumbersUsedUp)
}

/// The position below which every row of the log is in the tables.
///
/// Waits for a transaction that is about to move it: one of a connection that is dead for us may
/// still be at its commit, and the position before that one is no place to go on from.
pub async fn position(
    conn: &mut PgConnection,
    node: NodeNumber,
    log_id: Uuid,
) -> Result<LogPosition, NodeError> {
    let position: Option<i64> = sqlx::query_scalar(
        "SELECT position FROM noetl.ingest_node WHERE node = $1 AND log_id = $2 FOR SHARE",
    )
    .bind(node.get().cast_signed())
    .bind(log_id)
    .fetch_optional(conn)
    .await
    .doing("read the log's position")?;
    // The column is checked not to be negative.
    position
        .map(|rows| LogPosition::new(rows.cast_unsigned()))
        .ok_or(NodeError::Unregistered { node, log_id })
}

/// Moves the position; belongs in the transaction that writes the rows from `from` to `to`.
///
/// [`NodeError::TakenOver`] means: roll back and stop.
pub async fn advance(
    conn: &mut PgConnection,
    node: NodeNumber,
    log_id: Uuid,
    from: LogPosition,
    to: LogPosition,
) -> Result<(), NodeError> {
    assert!(from <= to, "a position only moves forward");
    let updated = sqlx::query(
        "UPDATE noetl.ingest_node SET position = $4, advanced_at = now()
          WHERE node = $1 AND log_id = $2 AND position = $3",
    )
    .bind(node.get().cast_signed())
    .bind(log_id)
    .bind(from.get().cast_signed())
    .bind(to.get().cast_signed())
    .execute(conn)
    .await
    .doing("advance the log's position")?
    .rows_affected();
    if updated == 1 { Ok(()) } else { Err(NodeError::TakenOver { node, expected: from }) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::postgres::test_cluster;

    #[tokio::test]
    async fn a_log_keeps_its_number_and_a_new_one_gets_the_lowest_free() {
        let mut conn = test_cluster::database().await.connect().await;
        let logs = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
        for (expected, log_id) in logs.into_iter().enumerate() {
            let node = register(&mut conn, log_id).await.unwrap();
            assert_eq!(usize::from(node.get()), expected);
        }
        assert_eq!(register(&mut conn, logs[1]).await.unwrap().get(), 1);
    }

    #[tokio::test]
    async fn logs_registered_at_once_get_different_numbers() {
        let database = test_cluster::database().await;
        let (mut a, mut b) = (database.connect().await, database.connect().await);
        for _ in 0..10 {
            let (one, two) =
                tokio::join!(register(&mut a, Uuid::new_v4()), register(&mut b, Uuid::new_v4()));
            assert_ne!(one.unwrap(), two.unwrap());
        }
        let same = Uuid::new_v4();
        let (one, two) = tokio::join!(register(&mut a, same), register(&mut b, same));
        assert_eq!(one.unwrap(), two.unwrap());
    }

    #[tokio::test]
    async fn the_4097th_log_is_refused() {
        let mut conn = test_cluster::database().await.connect().await;
        sqlx::query(
            "INSERT INTO noetl.ingest_node (node, log_id)
             SELECT n, gen_random_uuid() FROM generate_series(0, 4095) AS n WHERE n <> 4000",
        )
        .execute(&mut conn)
        .await
        .unwrap();
        assert_eq!(register(&mut conn, Uuid::new_v4()).await.unwrap().get(), 4000);
        let error = register(&mut conn, Uuid::new_v4()).await.unwrap_err();
        assert!(matches!(error, NodeError::NumbersUsedUp), "{error}");
    }

    #[tokio::test]
    async fn a_position_moves_only_from_where_its_owner_left_it() {
        let mut conn = test_cluster::database().await.connect().await;
        let log_id = Uuid::new_v4();
        let node = register(&mut conn, log_id).await.unwrap();
        let (start, next) = (LogPosition::ZERO, LogPosition::new(500));
        assert_eq!(position(&mut conn, node, log_id).await.unwrap(), start);
        advance(&mut conn, node, log_id, start, next).await.unwrap();
        assert_eq!(position(&mut conn, node, log_id).await.unwrap(), next);
        let error = advance(&mut conn, node, log_id, start, next).await.unwrap_err();
        assert!(matches!(error, NodeError::TakenOver { expected, .. } if expected == start));
        let error = advance(&mut conn, node, Uuid::new_v4(), next, next).await.unwrap_err();
        assert!(matches!(error, NodeError::TakenOver { .. }), "{error}");
        assert_eq!(position(&mut conn, node, log_id).await.unwrap(), next);
    }

    async fn somebody_waits_for_a_lock(conn: &mut PgConnection) -> bool {
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                                     WHERE datname = current_database()
                                       AND wait_event_type = 'Lock')";
        sqlx::query_scalar(waits).fetch_one(conn).await.unwrap()
    }

    #[tokio::test]
    async fn a_position_that_is_about_to_move_is_waited_for() {
        let database = test_cluster::database().await;
        let (mut dying, mut conn) = (database.connect().await, database.connect().await);
        let log_id = Uuid::new_v4();
        let node = register(&mut dying, log_id).await.unwrap();
        for (from, to) in [(0, 5), (5, 9)] {
            let (from, to) = (LogPosition::new(from), LogPosition::new(to));
            let mut tx = dying.begin().await.unwrap();
            advance(&mut tx, node, log_id, from, to).await.unwrap();
            let (found, ()) = tokio::join!(position(&mut conn, node, log_id), async {
                let mut watcher = database.connect().await;
                let deadline = Instant::now() + Duration::from_secs(30);
                while !somebody_waits_for_a_lock(&mut watcher).await {
                    assert!(Instant::now() < deadline, "the position was not waited for");
                }
                tx.commit().await.unwrap();
            });
            assert_eq!(found.unwrap(), to);
        }
    }

    #[tokio::test]
    async fn an_unknown_log_is_not_at_position_zero() {
        let mut conn = test_cluster::database().await.connect().await;
        let node = register(&mut conn, Uuid::new_v4()).await.unwrap();
        let error = position(&mut conn, node, Uuid::new_v4()).await.unwrap_err();
        assert!(matches!(error, NodeError::Unregistered { .. }), "{error}");
    }
}
