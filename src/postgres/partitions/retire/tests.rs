//! Dropping partitions in a real PostgreSQL, with readers and writers about, and half-way.

use sqlx::Executor;

use super::*;
use crate::model::{PartitionInterval, Timestamp};
use crate::postgres::partitions::{self, Overdue, PartitionState, overdue};
use crate::postgres::test_cluster::{self, TestDatabase};

const DAY: i64 = PartitionInterval::Day.micros();
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const PATIENT: Duration = Duration::from_secs(10);

/// 2024-01-01T00:00:00Z and `days` later.
fn new_year(days: i64) -> Timestamp {
    Timestamp::from_micros(1_704_067_200_000_000 + days * DAY).unwrap()
}

struct Fixture {
    database: TestDatabase,
    conn: PgConnection,
}

impl Fixture {
    /// The days 2024-01-01 to 2024-01-03, one row in each, written long ago.
    async fn new() -> Self {
        let database = test_cluster::database().await;
        let mut conn = database.connect().await;
        for day in 0..3 {
            partitions::ensure(&mut conn, PartitionInterval::Day, new_year(day)).await.unwrap();
        }
        conn.execute(
            "INSERT INTO noetl.report
             SELECT 0, timestamptz '2024-01-01 12:00+00' + n * interval '1 day', now(), n, '{1}', NULL
               FROM generate_series(0, 2) AS n;
             DELETE FROM noetl.late_write",
        )
        .await
        .unwrap();
        Self { database, conn }
    }

    /// What is overdue on the first of February: the first of January.
    async fn overdue(&mut self) -> Overdue {
        overdue(&mut self.conn, new_year(31), Some(MONTH)).await.unwrap()
    }

    async fn leaving(&mut self) -> Leaving {
        let mut leaving = self.overdue().await.leaving;
        assert_eq!(leaving.len(), 1, "{leaving:?}");
        leaving.remove(0)
    }

    async fn retire(&mut self, leaving: &Leaving) -> Result<Retired, RetireError> {
        Retirement::new(&mut self.conn).await.unwrap().retire(leaving, PATIENT).await
    }

    async fn names(&mut self) -> Vec<String> {
        let listed = partitions::list(&mut self.conn).await.unwrap();
        listed.into_iter().map(|info| info.partition.name).collect()
    }

    async fn rows(&mut self) -> i64 {
        self.number("SELECT count(*) FROM noetl.report").await
    }

    async fn number(&mut self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.conn).await.unwrap()
    }

    async fn late_write(&mut self, age: &str) {
        let statement = format!(
            "INSERT INTO noetl.late_write
             VALUES ('2024-01-01 00:00+00', '2024-01-02 00:00+00', now() - interval '{age}')"
        );
        self.conn.execute(AssertSqlSafe(statement)).await.unwrap();
    }

    /// Leaves the first of January as a run leaves it that dies while it waits for a reader.
    async fn cut_short(&mut self) {
        let partition = self.leaving().await.partition;
        let mut retirement = Retirement::new(&mut self.conn).await.unwrap();
        retirement.mark(&partition).await.unwrap();
        self.detach_half_way().await;
    }

    async fn detach_half_way(&mut self) {
        let mut other = self.database.connect().await;
        let mut reader = other.begin().await.unwrap();
        reader.execute("SELECT count(*) FROM noetl.report").await.unwrap();
        self.conn.execute("SET lock_timeout = '1ms'").await.unwrap();
        let detach = "ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240101 CONCURRENTLY";
        self.conn.execute(detach).await.unwrap_err();
        self.conn.execute("RESET lock_timeout").await.unwrap();
        reader.rollback().await.unwrap();
        let listed = partitions::list(&mut self.conn).await.unwrap();
        assert!(listed.iter().any(|info| info.state == PartitionState::Detaching), "{listed:?}");
    }
}

const REST: [&str; 2] = ["report_20240102", "report_20240103"];

#[tokio::test]
async fn what_is_over_is_dropped_and_nothing_else() {
    let mut fixture = Fixture::new().await;
    fixture.late_write("2 days").await;
    let leaving = fixture.leaving().await;
    assert_eq!((leaving.partition.from, leaving.stage), (new_year(0), Stage::Attached));
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
    assert_eq!(fixture.names().await, REST);
    assert_eq!(fixture.rows().await, 2);
    assert_eq!(fixture.overdue().await, Overdue::default());
    let none = overdue(&mut fixture.conn, new_year(400), None).await.unwrap();
    assert_eq!(none, Overdue::default(), "without a retention nothing is over");
    partitions::ensure(&mut fixture.conn, PartitionInterval::Day, new_year(0)).await.unwrap();
}

#[tokio::test]
async fn an_older_postgresql_detaches_under_a_lock() {
    let mut fixture = Fixture::new().await;
    let leaving = fixture.leaving().await;
    let mut retirement = Retirement { conn: &mut fixture.conn, concurrently: false };
    assert_eq!(retirement.retire(&leaving, PATIENT).await.unwrap(), Retired::Dropped);
    assert_eq!(fixture.names().await, REST);
}

#[tokio::test]
async fn what_was_written_to_within_a_day_is_kept() {
    let mut fixture = Fixture::new().await;
    fixture.late_write("23 hours").await;
    let kept = fixture.overdue().await;
    assert_eq!((kept.leaving, kept.kept), (vec![], vec!["report_20240101".to_owned()]));
    fixture.conn.execute("DELETE FROM noetl.late_write").await.unwrap();
    let leaving = fixture.leaving().await;
    // Something is written after it was found to be over.
    fixture.late_write("0").await;
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Kept);
    assert_eq!((fixture.names().await.len(), fixture.rows().await), (3, 3));
    assert_eq!(fixture.overdue().await.leaving, [], "nor is it half-way");
    fixture
        .conn
        .execute("UPDATE noetl.late_write SET written_at = now() - interval '2 days'")
        .await
        .unwrap();
    let leaving = fixture.leaving().await;
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
    assert_eq!(fixture.number("SELECT count(*) FROM noetl.late_write").await, 0);
}

#[tokio::test]
async fn writes_to_what_is_over_are_noted_and_others_are_not() {
    let mut fixture = Fixture::new().await;
    let now = new_year(0).offset_by(1000 * 365 * DAY);
    let spans = [(new_year(0), new_year(1)), (new_year(2), now)];
    late_writes::note(&mut fixture.conn, &spans).await.unwrap();
    late_writes::note(&mut fixture.conn, &spans).await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM noetl.late_write").await, 1);
    assert_eq!(fixture.overdue().await.kept, ["report_20240101"]);
    let age = "UPDATE noetl.late_write SET written_at = now() - interval '3 hours'";
    fixture.conn.execute(age).await.unwrap();
    late_writes::note(&mut fixture.conn, &spans).await.unwrap();
    let fresh = "SELECT count(*) FROM noetl.late_write WHERE written_at > now() - interval '1 min'";
    assert_eq!(fixture.number(fresh).await, 1);
}

#[tokio::test]
async fn a_clock_that_runs_wild_drops_nothing() {
    let mut fixture = Fixture::new().await;
    let today = "SELECT (extract(epoch FROM now()) * 1000000)::int8";
    let today = Timestamp::from_micros(fixture.number(today).await).unwrap();
    partitions::ensure(&mut fixture.conn, PartitionInterval::Day, today).await.unwrap();
    let found = overdue(&mut fixture.conn, today.offset_by(9000 * DAY), Some(MONTH)).await.unwrap();
    assert_eq!(found.leaving.len(), 3, "today's is not among them: {found:?}");
}

#[tokio::test]
async fn a_transaction_that_reads_is_waited_for_and_not_for_long() {
    let mut fixture = Fixture::new().await;
    let leaving = fixture.leaving().await;
    let mut other = fixture.database.connect().await;
    let mut reader = other.begin().await.unwrap();
    reader.execute("SELECT count(*) FROM noetl.report").await.unwrap();
    let error = fixture.retire(&leaving).await.unwrap_err();
    assert!(matches!(error, RetireError::InUse { .. }), "{error}");
    assert_eq!(fixture.leaving().await, leaving, "nothing was begun");
    // The reader still sees it all, and so does a new one.
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM noetl.report")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!((seen, fixture.rows().await), (3, 3));
    reader.rollback().await.unwrap();
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
}

#[tokio::test]
async fn a_writer_in_the_partition_is_waited_for_and_its_rows_are_kept() {
    let mut fixture = Fixture::new().await;
    let leaving = fixture.leaving().await;
    let mut other = fixture.database.connect().await;
    let mut writer = other.begin().await.unwrap();
    // As the flush writes: into the partition itself.
    writer
        .execute(
            "INSERT INTO noetl.report_20240101 VALUES (0, '2024-01-01', now(), 9, '{1}', NULL)",
        )
        .await
        .unwrap();
    late_writes::note(&mut writer, &[(new_year(0), new_year(1))]).await.unwrap();
    let commits = async {
        wait_for_a_lock(&fixture.database).await;
        writer.commit().await.unwrap();
    };
    let mut retirement = Retirement::new(&mut fixture.conn).await.unwrap();
    // It came after the readers were waited for.
    retirement.mark(&leaving.partition).await.unwrap();
    let (detached, ()) = tokio::join!(retirement.detach(&leaving.partition), commits);
    detached.unwrap();
    let retired = retirement.drop_detached(&leaving.partition).await.unwrap();
    assert_eq!(retired, Retired::Kept);
    assert_eq!(fixture.rows().await, 4);
}

/// Waits until a session of this database waits for a lock, or for a transaction to end.
async fn wait_for_a_lock(database: &TestDatabase) {
    let mut conn = database.connect().await;
    let deadline = Instant::now() + PATIENT;
    loop {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock')",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
        if waiting {
            return;
        }
        assert!(Instant::now() < deadline, "nobody waits");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_detach_that_was_cut_short_is_completed() {
    let mut fixture = Fixture::new().await;
    fixture.cut_short().await;
    let leaving = fixture.leaving().await;
    assert_eq!(leaving.stage, Stage::Detaching);
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
    assert_eq!(fixture.names().await, REST);
}

#[tokio::test]
async fn a_detach_that_cannot_be_completed_yet_stays_as_it_is() {
    let mut fixture = Fixture::new().await;
    fixture.cut_short().await;
    let leaving = fixture.leaving().await;
    let mut other = fixture.database.connect().await;
    let mut reader = other.begin().await.unwrap();
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    reader.execute("SELECT count(*) FROM noetl.report").await.unwrap();
    let mut retirement = Retirement::new(&mut fixture.conn).await.unwrap();
    let error = retirement.retire(&leaving, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, RetireError::InUse { .. }), "{error}");
    assert_eq!(fixture.leaving().await, leaving);
    reader.rollback().await.unwrap();
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
}

#[tokio::test]
async fn a_table_that_was_detached_and_not_dropped_is_recognised_by_its_mark_alone() {
    let mut fixture = Fixture::new().await;
    fixture.cut_short().await;
    fixture
        .conn
        .execute("ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240101 FINALIZE")
        .await
        .unwrap();
    // That of a user, who keeps it.
    fixture
        .conn
        .execute("ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240102")
        .await
        .unwrap();
    let leaving = fixture.leaving().await;
    assert_eq!((leaving.stage, leaving.partition.from), (Stage::Detached, new_year(0)));
    assert_eq!(leaving.partition.to, new_year(1));
    assert_eq!(fixture.retire(&leaving).await.unwrap(), Retired::Dropped);
    assert_eq!(fixture.overdue().await, Overdue::default());
    assert_eq!(fixture.number("SELECT count(*) FROM noetl.report_20240102").await, 1);
}

#[tokio::test]
async fn the_mark_of_a_run_that_died_before_the_detach_is_taken_away() {
    let mut fixture = Fixture::new().await;
    let partition = fixture.leaving().await.partition;
    Retirement::new(&mut fixture.conn).await.unwrap().mark(&partition).await.unwrap();
    overdue(&mut fixture.conn, new_year(1), None).await.unwrap();
    fixture
        .conn
        .execute("ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240101")
        .await
        .unwrap();
    assert_eq!(fixture.overdue().await, Overdue::default(), "it is the user's");
}

#[tokio::test]
async fn what_users_made_or_began_is_theirs() {
    let mut fixture = Fixture::new().await;
    fixture
        .conn
        .execute(
            "CREATE TABLE noetl.report_of_old PARTITION OF noetl.report
                 FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00+00')",
        )
        .await
        .unwrap();
    fixture.detach_half_way().await;
    let found = fixture.overdue().await;
    assert_eq!(found.leaving, []);
    assert_eq!(found.foreign.as_deref(), Some("report_20240101"));
}
