//! The flush into a real PostgreSQL.

mod aside;
mod partitioned;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use super::*;
use crate::model::LogPlace;
use crate::postgres::test_cluster::{self, TestDatabase};
use crate::postgres::{node as ingest_node, partitions};

struct Fixture {
    database: TestDatabase,
    conn: PgConnection,
    log_id: Uuid,
}

impl Fixture {
    async fn new() -> Self {
        let database = test_cluster::database().await;
        let mut conn = database.connect().await;
        let log_id = Uuid::new_v4();
        assert_eq!(ingest_node::register(&mut conn, log_id).await.unwrap(), node());
        Self { database, conn, log_id }
    }

    fn sink(&self, interval: PartitionInterval) -> PostgresSink {
        PostgresSink::new(self.database.options.clone(), node(), self.log_id, interval)
    }

    async fn position(&mut self) -> LogPosition {
        ingest_node::place(&mut self.conn, node(), self.log_id).await.unwrap().position
    }

    /// What the view shows of `worker_pool/w`, in the order of the rows.
    async fn values(&mut self) -> Vec<f64> {
        sqlx::query_scalar(
            "SELECT metric_value FROM noetl.metrics
              WHERE component_name = 'w' AND component_type = 'worker_pool' ORDER BY metric_id",
        )
        .fetch_all(&mut self.conn)
        .await
        .unwrap()
    }

    async fn partitions(&mut self) -> Vec<String> {
        let listed = partitions::list(&mut self.conn).await.unwrap();
        listed.into_iter().map(|info| info.partition.name).collect()
    }
}

/// A running flush of a log that is still written to.
struct Following {
    log: Log,
    flush: tokio::task::JoinHandle<Result<(), FlushError>>,
    telemetry: Arc<Telemetry>,
}

impl Following {
    fn new(sink: impl Sink) -> Self {
        let log = open_log();
        let (flusher, telemetry) = flusher(&log, sink, &registry());
        let settings = BatchSettings { age_max: Duration::from_millis(1), ..PATIENT };
        let flush = tokio::spawn(flusher.follow(log.readers(), settings, node()));
        Self { log, flush, telemetry }
    }

    async fn flushed(&self) {
        let progress = self.log.progress();
        progress.wait_flushed(progress.synced()).await;
    }

    async fn end(self) -> Result<(), FlushError> {
        self.log.close().unwrap();
        self.flush.await.unwrap()
    }
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::task::yield_now().await;
    }
}

/// Commits, and loses the answer to every second commit.
struct LosesAnswers {
    sink: PostgresSink,
    loses: bool,
}

impl Sink for LosesAnswers {
    async fn position(&mut self) -> Result<LogPlace, SinkError> {
        self.sink.position().await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.sink.commit(batch).await?;
        self.loses = !self.loses;
        match self.loses {
            true => Err(SinkError::Temporary("the answer was lost".to_owned())),
            false => Ok(()),
        }
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.sink.set_aside(record).await
    }

    async fn runtime_ids(
        &mut self,
        components: &[&crate::model::ComponentKey],
    ) -> Result<Vec<(crate::model::ComponentKey, RuntimeId)>, SinkError> {
        self.sink.runtime_ids(components).await
    }
}

#[tokio::test]
async fn rows_of_past_days_definitions_and_the_position_arrive_together() {
    let mut fixture = Fixture::new().await;
    let log = open_log();
    log_value(&log, 0);
    Payload::default()
        .row(group(1), NOON - DAY, &[1.0])
        .row(group(1), NOON - 400 * DAY, &[2.0])
        .row(group(1), NOON + 7, &[3.0])
        .log(&log);
    let (ended, telemetry) = flush_all(log, fixture.sink(PartitionInterval::Day), PATIENT).await;
    ended.unwrap();
    assert_eq!(fixture.values().await, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(fixture.position().await, position(4));
    let expected = ["report_20221127", "report_20231231", "report_20240101"];
    assert_eq!(fixture.partitions().await, expected);
    assert_eq!((telemetry.flush.rows.get(), telemetry.flush.failures.get()), (4, 0));
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_stored_once_and_its_ids_are_learned() {
    let mut fixture = Fixture::new().await;
    fixture
        .conn
        .execute(
            "INSERT INTO noetl.runtime (runtime_id, component_type, name)
             VALUES (42, 'worker_pool', 'w')",
        )
        .await
        .unwrap();
    let log = open_log();
    (0..20).for_each(|n| log_value(&log, n));
    let registry = registry();
    let component = registry.find_or_insert(key("w"));
    let sink = LosesAnswers { sink: fixture.sink(PartitionInterval::Day), loses: false };
    let (flusher, telemetry) = flusher(&log, sink, &registry);
    let readers = log.readers();
    log.close().unwrap();
    flusher.follow(readers, PATIENT, node()).await.unwrap();
    assert_eq!(fixture.values().await, (0..20).map(f64::from).collect::<Vec<_>>());
    assert_eq!(component.runtime_id(), RuntimeId::from_raw(42));
    assert_eq!(telemetry.flush.failures.get(), 3);
}

#[tokio::test]
async fn a_connection_that_dies_before_the_commit_leaves_nothing_behind() {
    let mut fixture = Fixture::new().await;
    // Fires when the transaction is about to commit, after COPY; sequences are not rolled back.
    fixture
        .conn
        .execute(
            "CREATE SEQUENCE deaths;
             CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('deaths') <= 2 THEN
                     PERFORM pg_terminate_backend(pg_backend_pid());
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON noetl.ingest_node
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();",
        )
        .await
        .unwrap();
    let log = open_log();
    (0..6).for_each(|n| log_value(&log, n));
    let (ended, telemetry) = flush_all(log, fixture.sink(PartitionInterval::Day), PATIENT).await;
    ended.unwrap();
    assert_eq!(telemetry.flush.failures.get(), 2);
    assert_eq!(fixture.values().await, (0..6).map(f64::from).collect::<Vec<_>>());
    assert_eq!(fixture.position().await, position(6));
}

#[tokio::test]
async fn whoever_comes_second_to_a_log_stops() {
    let mut fixture = Fixture::new().await;
    let following = Following::new(fixture.sink(PartitionInterval::Day));
    log_value(&following.log, 0);
    following.flushed().await;
    fixture.conn.execute("UPDATE noetl.ingest_node SET position = 9").await.unwrap();
    log_value(&following.log, 1);
    let error = following.end().await.unwrap_err();
    assert!(
        error.to_string().contains("stored up to position 9, but this server stored it from 1"),
        "{error}"
    );
    assert_eq!(fixture.values().await, [0.0]);
    assert_eq!(fixture.position().await, position(9));
}

#[tokio::test]
async fn a_position_of_another_history_or_within_a_record_is_refused() {
    let mut fixture = Fixture::new().await;
    let log = open_log();
    (0..3).for_each(|n| log_value(&log, n));
    let row = |timestamp| Payload::default().row(group(1), timestamp, &[9.0]);
    row(NOON + 7).row(group(1), NOON + 8, &[10.0]).log(&log);
    let readers = log.readers();
    let (ended, _) = flush_all(log, fixture.sink(PartitionInterval::Day), PATIENT).await;
    ended.unwrap();
    for change in [
        "UPDATE noetl.ingest_node SET mark = mark # 1",
        "UPDATE noetl.ingest_node SET position = 4",
        "UPDATE noetl.ingest_node SET position = 3",
    ] {
        fixture.conn.execute(change).await.unwrap();
        let stored = ingest_node::place(&mut fixture.conn, node(), fixture.log_id).await.unwrap();
        let error = reader_at(&readers, stored).err();
        assert!(matches!(error, Some(FlushError::Foreign { .. })), "{change}: {error:?}");
    }
    // Where the mark is not known, as after an older release, the position decides.
    fixture.conn.execute("UPDATE noetl.ingest_node SET mark = NULL").await.unwrap();
    let stored = ingest_node::place(&mut fixture.conn, node(), fixture.log_id).await.unwrap();
    assert_eq!(reader_at(&readers, stored).unwrap().position(), position(3));
}

#[tokio::test]
async fn a_database_that_is_away_is_waited_for_and_another_one_is_refused() {
    let fixture = Fixture::new().await;
    let nowhere = PgConnectOptions::new_without_pgpass()
        .socket("/nonexistent")
        .username("postgres")
        .database("none");
    let interval = PartitionInterval::Day;
    let error = PostgresSink::new(nowhere, node(), fixture.log_id, interval).position().await;
    assert!(matches!(error, Err(SinkError::Temporary(_))), "{error:?}");
    let options = fixture.database.options.clone();
    let error = PostgresSink::new(options, node(), Uuid::new_v4(), interval).position().await;
    assert!(matches!(error, Err(SinkError::Permanent(_))), "{error:?}");
}
