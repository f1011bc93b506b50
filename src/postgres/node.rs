//! Whose log is how far in the tables: `noetl.ingest_node`.
//!
//! A log gets a number once and keeps it; the number is part of every id the log gives out. Its
//! position moves in the transaction that writes the rows, and only from the value that the
//! writer knows, so that rows are in the tables exactly once and two processes with one log
//! cannot both write.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{AdvisoryLock, Doing, StatementError};
use crate::model::{GroupId, LogMark, LogPlace, LogPosition, NodeNumber, ReportId};

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
        "noetl.ingest_node has no row for node {} with log {log_id}: this is another database, one \
         restored from before the log began, or somebody deleted the row. Point the server at the \
         right database, or see with `noetl-metrics log accept-gap` whether the log can be \
         registered there again", node.get()
    )]
    Unregistered {
        /// The number that the log remembers.
        node: NodeNumber,
        /// The log's identity.
        log_id: Uuid,
    },
    /// Somebody else moved the position.
    #[error(
        "node {} in noetl.ingest_node is no longer at position {expected}: another process writes \
         with a copy of this log; stop one of the two", node.get()
    )]
    TakenOver {
        /// The node.
        node: NodeNumber,
        /// The place that this process knew.
        expected: LogPlace,
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

/// Up to where every row of the log is in the tables.
///
/// Waits for a transaction that is about to move it: one of a connection that is dead for us may
/// still be at its commit, and the position before that one is no place to go on from.
pub async fn place(
    conn: &mut PgConnection,
    node: NodeNumber,
    log_id: Uuid,
) -> Result<LogPlace, NodeError> {
    let row: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT position, mark FROM noetl.ingest_node WHERE node = $1 AND log_id = $2 FOR SHARE",
    )
    .bind(node.get().cast_signed())
    .bind(log_id)
    .fetch_optional(conn)
    .await
    .doing("read the log's position")?;
    // The columns are checked not to be negative, nor the mark to have more than 32 bits.
    row.map(|(position, mark)| LogPlace {
        position: LogPosition::new(position.cast_unsigned()),
        mark: mark.and_then(|mark| u32::try_from(mark).ok()).map(LogMark::new),
    })
    .ok_or(NodeError::Unregistered { node, log_id })
}

/// Moves the position; belongs in the transaction that writes the rows from `from` to `to`.
///
/// [`NodeError::TakenOver`] means: roll back and stop.
pub async fn advance(
    conn: &mut PgConnection,
    node: NodeNumber,
    log_id: Uuid,
    from: LogPlace,
    to: LogPlace,
) -> Result<(), NodeError> {
    assert!(from.position <= to.position, "a position only moves forward");
    let updated = sqlx::query(
        "UPDATE noetl.ingest_node SET position = $4, mark = $6, advanced_at = now()
          WHERE node = $1 AND log_id = $2 AND position = $3
            AND ($5::int8 IS NULL OR mark IS NULL OR mark = $5)",
    )
    .bind(node.get().cast_signed())
    .bind(log_id)
    .bind(from.position.get().cast_signed())
    .bind(to.position.get().cast_signed())
    .bind(mark_column(from))
    .bind(mark_column(to))
    .execute(conn)
    .await
    .doing("advance the log's position")?
    .rows_affected();
    if updated == 1 { Ok(()) } else { Err(NodeError::TakenOver { node, expected: from }) }
}

fn mark_column(place: LogPlace) -> Option<i64> {
    place.mark.map(|mark| i64::from(mark.get()))
}

/// Whose number `node` is; `None` when it is free.
pub async fn owner(
    conn: &mut PgConnection,
    node: NodeNumber,
) -> Result<Option<Uuid>, StatementError> {
    sqlx::query_scalar("SELECT log_id FROM noetl.ingest_node WHERE node = $1")
        .bind(node.get().cast_signed())
        .fetch_optional(conn)
        .await
        .doing("look up who has a node number")
}

/// Registers a log again under the number that it had, at `place`.
pub async fn register_again(
    conn: &mut PgConnection,
    node: NodeNumber,
    log_id: Uuid,
    place: LogPlace,
) -> Result<(), StatementError> {
    sqlx::query(
        "INSERT INTO noetl.ingest_node (node, log_id, position, mark) VALUES ($1, $2, $3, $4)",
    )
    .bind(node.get().cast_signed())
    .bind(log_id)
    .bind(place.position.get().cast_signed())
    .bind(mark_column(place))
    .execute(conn)
    .await
    .doing("register the log again")
    .map(drop)
}

/// The highest position of a row of `node` in the tables or in quarantine, if there is any. Reads
/// all of `noetl.report`, for nothing else asks this.
pub async fn last_row(
    conn: &mut PgConnection,
    node: NodeNumber,
) -> Result<Option<LogPosition>, StatementError> {
    let first = ReportId::new(node, LogPosition::ZERO).get();
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT greatest(
             (SELECT max(report_id - $1) FROM noetl.report
               WHERE report_id BETWEEN $1 AND $1 + (1::int8 << 45) - 1),
             (SELECT max(position) FROM noetl.quarantine WHERE node = $2))",
    )
    .bind(first)
    .bind(node.get().cast_signed())
    .fetch_one(conn)
    .await
    .doing("look for the last row of a node")?;
    Ok(last.map(|row| LogPosition::new(row.cast_unsigned())))
}

/// The highest counter of a group of `node` that has a series, if there is any.
pub async fn last_group(
    conn: &mut PgConnection,
    node: NodeNumber,
) -> Result<Option<u64>, StatementError> {
    let (first, behind) = (GroupId::new(node, 0), GroupId::new(node, GROUPS_MAX));
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT max(group_id) FROM noetl.series_slot WHERE group_id BETWEEN $1 AND $2",
    )
    .bind(first.get())
    .bind(behind.get())
    .fetch_one(conn)
    .await
    .doing("look for the last group of a node")?;
    Ok(last.and_then(GroupId::from_raw).map(GroupId::counter))
}

/// The highest counter of a group.
const GROUPS_MAX: u64 = (1 << 45) - 1;

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

    fn at(position: u64, mark: Option<u32>) -> LogPlace {
        LogPlace { position: LogPosition::new(position), mark: mark.map(LogMark::new) }
    }

    #[tokio::test]
    async fn a_position_moves_only_from_where_its_owner_left_it() {
        let mut conn = test_cluster::database().await.connect().await;
        let log_id = Uuid::new_v4();
        let node = register(&mut conn, log_id).await.unwrap();
        let (start, next) = (at(0, None), at(500, Some(u32::MAX)));
        assert_eq!(place(&mut conn, node, log_id).await.unwrap(), start);
        advance(&mut conn, node, log_id, start, next).await.unwrap();
        assert_eq!(place(&mut conn, node, log_id).await.unwrap(), next);
        let error = advance(&mut conn, node, log_id, start, next).await.unwrap_err();
        assert!(matches!(error, NodeError::TakenOver { expected, .. } if expected == start));
        let error = advance(&mut conn, node, Uuid::new_v4(), next, next).await.unwrap_err();
        assert!(matches!(error, NodeError::TakenOver { .. }), "{error}");
        assert_eq!(place(&mut conn, node, log_id).await.unwrap(), next);
    }

    #[tokio::test]
    async fn a_position_moves_only_within_one_history() {
        let mut conn = test_cluster::database().await.connect().await;
        let log_id = Uuid::new_v4();
        let node = register(&mut conn, log_id).await.unwrap();
        advance(&mut conn, node, log_id, at(0, None), at(5, Some(1))).await.unwrap();
        let error = advance(&mut conn, node, log_id, at(5, Some(2)), at(9, Some(3))).await;
        assert!(matches!(error, Err(NodeError::TakenOver { .. })), "{error:?}");
        // Where one of the two is not known, the position decides.
        advance(&mut conn, node, log_id, at(5, None), at(9, None)).await.unwrap();
        advance(&mut conn, node, log_id, at(9, Some(7)), at(10, Some(8))).await.unwrap();
        assert_eq!(place(&mut conn, node, log_id).await.unwrap(), at(10, Some(8)));
    }

    #[tokio::test]
    async fn a_log_is_registered_again_under_its_number_where_that_is_free() {
        let mut conn = test_cluster::database().await.connect().await;
        let log_id = Uuid::new_v4();
        let node = register(&mut conn, log_id).await.unwrap();
        assert_eq!(owner(&mut conn, node).await.unwrap(), Some(log_id));
        let again = register_again(&mut conn, node, log_id, at(7, None)).await;
        assert!(again.is_err(), "it is registered");
        sqlx::query("DELETE FROM noetl.ingest_node").execute(&mut conn).await.unwrap();
        assert_eq!(owner(&mut conn, node).await.unwrap(), None);
        assert_eq!(last_row(&mut conn, node).await.unwrap(), None);
        assert_eq!(last_group(&mut conn, node).await.unwrap(), None);
        register_again(&mut conn, node, log_id, at(7, Some(9))).await.unwrap();
        assert_eq!(place(&mut conn, node, log_id).await.unwrap(), at(7, Some(9)));
        sqlx::query(
            "INSERT INTO noetl.series_slot (group_id, slot, series_id) VALUES (6, 0, 1), (1::int8 << 45, 0, 1);",
        )
        .execute(&mut conn)
        .await
        .unwrap();
        assert_eq!(last_group(&mut conn, node).await.unwrap(), Some(6));
        sqlx::query(
            "INSERT INTO noetl.quarantine (node, position, reason, payload) VALUES (0, 41, '', '')",
        )
        .execute(&mut conn)
        .await
        .unwrap();
        assert_eq!(last_row(&mut conn, node).await.unwrap(), Some(LogPosition::new(41)));
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
            let (from, to) = (at(from, None), at(to, Some(3)));
            let mut tx = dying.begin().await.unwrap();
            advance(&mut tx, node, log_id, from, to).await.unwrap();
            let (found, ()) = tokio::join!(place(&mut conn, node, log_id), async {
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
        let error = place(&mut conn, node, Uuid::new_v4()).await.unwrap_err();
        assert!(matches!(error, NodeError::Unregistered { .. }), "{error}");
    }
}
