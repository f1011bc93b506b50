//! Partitions over several midnights, in a real PostgreSQL.

use sqlx::{Executor, PgConnection};

use super::maintenance::us_covered;
use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::{PartitionInterval, Timestamp};
use crate::postgres::partitions;
use crate::postgres::test_cluster::{self, TestDatabase};
use crate::registry::PartitionWindow;
use crate::telemetry::Telemetry;

const DAY: i64 = PartitionInterval::Day.micros();
const HOUR: i64 = PartitionInterval::Hour.micros();
/// 2024-01-01T23:30:00Z.
const LATE: i64 = 1_704_151_800_000_000;

struct Fixture {
    maintenance: Maintenance,
    window: Arc<PartitionWindow>,
    telemetry: Arc<Telemetry>,
    clock: Arc<ManualClock>,
    database: TestDatabase,
    conn: PgConnection,
}

impl Fixture {
    async fn new(interval: PartitionInterval, ahead: u32) -> Self {
        Self::keeping(interval, ahead, None).await
    }

    async fn keeping(interval: PartitionInterval, ahead: u32, retention: Option<Duration>) -> Self {
        let database = test_cluster::database().await;
        let conn = database.connect().await;
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(LATE).unwrap()));
        let telemetry = Arc::new(Telemetry::new());
        let window = Arc::new(PartitionWindow::new(interval, 2));
        let maintenance = Maintenance::new(
            database.options.clone(),
            MaintenanceSettings { interval, ahead, retention },
            Arc::clone(&window),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::clone(&telemetry),
        );
        Self { maintenance, window, telemetry, clock, database, conn }
    }

    /// The same database looked after with another interval.
    fn with_interval(&mut self, interval: PartitionInterval) {
        let settings = MaintenanceSettings { interval, ..self.maintenance.settings() };
        self.window = Arc::new(PartitionWindow::new(interval, 2));
        self.maintenance = Maintenance::new(
            self.database.options.clone(),
            settings,
            Arc::clone(&self.window),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Arc::clone(&self.telemetry),
        );
    }

    /// Maintains and returns the names of the partitions.
    async fn maintained(&mut self) -> Vec<String> {
        self.maintenance.maintain().await.unwrap();
        let listed = self.maintenance.list().await.unwrap();
        let shown = self.telemetry.partitions.existing.get();
        assert_eq!(usize::try_from(shown), Ok(listed.len()));
        listed.into_iter().map(|info| info.partition.name).collect()
    }

    /// As if what was written had been written long ago.
    async fn forget_late_writes(&mut self) {
        self.conn.execute("DELETE FROM noetl.late_write").await.unwrap();
    }

    fn seconds_ahead(&self) -> i64 {
        self.telemetry.partitions.ahead_seconds.get()
    }

    fn admits(&self, timestamp: i64) -> bool {
        let timestamp = Timestamp::from_micros(timestamp).unwrap();
        self.window.admit(timestamp, self.clock.now()).is_some()
    }
}

#[tokio::test]
async fn each_midnight_adds_the_partition_of_one_day() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 2).await;
    let mut expected: Vec<String> =
        ["report_20240101", "report_20240102", "report_20240103"].map(str::to_owned).to_vec();
    assert_eq!(fixture.maintained().await, expected);
    assert_eq!(fixture.maintained().await, expected, "again makes no difference");
    assert_eq!(fixture.seconds_ahead(), 2 * 86_400 + 1_800);
    for day in 4..9 {
        fixture.clock.advance(DAY);
        expected.push(format!("report_2024010{day}"));
        assert_eq!(fixture.maintained().await, expected);
        assert_eq!(fixture.seconds_ahead(), 2 * 86_400 + 1_800);
    }
}

#[tokio::test]
async fn a_server_that_slept_for_days_makes_what_lies_ahead_only() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 1).await;
    fixture.maintained().await;
    fixture.clock.advance(10 * DAY);
    let expected = ["report_20240101", "report_20240102", "report_20240111", "report_20240112"];
    assert_eq!(fixture.maintained().await, expected);
}

#[tokio::test]
async fn hours_go_over_midnight_as_well() {
    let mut fixture = Fixture::new(PartitionInterval::Hour, 1).await;
    let mut expected = vec!["report_20240101_23".to_owned(), "report_20240102_00".to_owned()];
    assert_eq!(fixture.maintained().await, expected);
    fixture.clock.advance(HOUR);
    expected.push("report_20240102_01".to_owned());
    assert_eq!(fixture.maintained().await, expected);
    assert_eq!(fixture.seconds_ahead(), 5_400);
}

#[tokio::test]
async fn days_that_are_there_are_taken_for_the_hours_in_them() {
    let mut fixture = Fixture::new(PartitionInterval::Hour, 2).await;
    let now = fixture.clock.now();
    partitions::ensure(&mut fixture.conn, PartitionInterval::Day, now).await.unwrap();
    let expected = ["report_20240101", "report_20240102_00", "report_20240102_01"];
    assert_eq!(fixture.maintained().await, expected);
}

#[tokio::test]
async fn past_partitions_that_exist_are_learned() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 0).await;
    let past = [LATE - 100 * DAY, LATE - 200 * DAY];
    for timestamp in past {
        let timestamp = Timestamp::from_micros(timestamp).unwrap();
        partitions::ensure(&mut fixture.conn, PartitionInterval::Day, timestamp).await.unwrap();
    }
    fixture.maintained().await;
    assert!(past.iter().all(|past| fixture.admits(*past)));
    assert!(!fixture.admits(LATE - 300 * DAY), "two past partitions are the limit");
}

#[tokio::test]
async fn a_partition_that_cannot_be_made_is_an_error_that_passes() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 3).await;
    fixture.conn.execute("CREATE TABLE noetl.report_20240102 (x int)").await.unwrap();
    fixture.conn.execute("CREATE TABLE noetl.report_20240103 (x int)").await.unwrap();
    let error = fixture.maintenance.maintain().await.unwrap_err();
    assert!(error.to_string().contains("noetl.report_20240102 exists"), "{error}");
    assert_eq!(fixture.telemetry.partitions.failures.get(), 1);
    let listed = fixture.maintenance.list().await.unwrap();
    assert_eq!(listed.len(), 2, "the others are made: {listed:?}");
    fixture.conn.execute("DROP TABLE noetl.report_20240103").await.unwrap();
    fixture.conn.execute("DROP TABLE noetl.report_20240102").await.unwrap();
    assert_eq!(fixture.maintained().await.len(), 4);
}

#[tokio::test]
async fn ten_midnights_keep_what_the_retention_says() {
    let month = Some(Duration::from_secs(3 * 86_400));
    let mut fixture = Fixture::keeping(PartitionInterval::Day, 2, month).await;
    for day in 1..=10 {
        let names = fixture.maintained().await;
        // PostgreSQL's clock is years ahead, so that all were made late.
        fixture.forget_late_writes().await;
        let first = if day <= 4 { 1 } else { day - 3 };
        let last = format!("report_202401{:02}", day + 2);
        let expected = (names[0].clone(), names.len());
        assert_eq!(expected, (format!("report_202401{first:02}"), day + 3 - first), "{names:?}");
        assert_eq!(names.last(), Some(&last));
        fixture.clock.advance(DAY);
    }
    let partitions = &fixture.telemetry.partitions;
    assert_eq!((partitions.created.get(), partitions.dropped.get()), (12, 6));
    assert_eq!(partitions.failures.get(), 0);
}

#[tokio::test]
async fn a_dropped_partition_makes_room_for_another() {
    let day = Some(Duration::from_secs(86_400));
    let mut fixture = Fixture::keeping(PartitionInterval::Day, 0, day).await;
    for past in [100, 200] {
        assert!(fixture.admits(LATE - past * DAY));
        let timestamp = Timestamp::from_micros(LATE - past * DAY).unwrap();
        partitions::ensure(&mut fixture.conn, PartitionInterval::Day, timestamp).await.unwrap();
    }
    let maintained = fixture.maintenance.maintain().await.unwrap();
    assert_eq!(maintained.cleanup.kept, ["report_20230615", "report_20230923"]);
    assert!(maintained.cleanup.message().contains("written to within a day: report_20230615"));
    assert!(!fixture.admits(LATE - 300 * DAY), "both are there");
    fixture.forget_late_writes().await;
    // On a busy machine a run may find no time for all of them, and leaves the rest to the next.
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut dropped = Vec::new();
    while dropped.len() < 2 {
        assert!(Instant::now() < deadline, "only {dropped:?} were dropped");
        let cleanup = fixture.maintenance.clean_up().await.unwrap();
        let all = cleanup.dropped.len() == 2;
        assert!(!all || cleanup.message() == "2 partitions were dropped", "{}", cleanup.message());
        dropped.extend(cleanup.dropped);
    }
    assert_eq!(dropped, ["report_20230615", "report_20230923"]);
    assert!(fixture.admits(LATE - 300 * DAY) && fixture.admits(LATE - 400 * DAY));
}

#[tokio::test]
async fn whoever_does_not_get_the_lock_only_looks() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 1).await;
    let now = fixture.clock.now();
    partitions::ensure(&mut fixture.conn, PartitionInterval::Day, now).await.unwrap();
    assert!(partitions::try_hold_maintenance(&mut fixture.conn).await.unwrap());
    let maintained = fixture.maintenance.maintain().await.unwrap();
    assert!(maintained.cleanup.elsewhere && maintained.created == Created::default());
    assert_eq!(fixture.seconds_ahead(), 1_800, "it knows what there is");
    assert!(fixture.maintenance.clean_up().await.unwrap().elsewhere);
    let created = fixture.maintenance.create(1).await.unwrap();
    assert_eq!(created.partitions, ["report_20240102"], "making one needs no turn");
    assert_eq!(fixture.maintenance.create(1).await.unwrap(), Created::default());
    fixture.conn = fixture.database.connect().await;
    assert!(!fixture.maintenance.maintain().await.unwrap().cleanup.elsewhere);
}

#[tokio::test]
async fn the_interval_changes_on_a_live_database_and_back() {
    let day = Some(Duration::from_secs(86_400));
    let mut fixture = Fixture::keeping(PartitionInterval::Day, 1, day).await;
    assert_eq!(fixture.maintained().await, ["report_20240101", "report_20240102"]);
    fixture.with_interval(PartitionInterval::Hour);
    fixture.clock.advance(DAY);
    let expected = ["report_20240101", "report_20240102", "report_20240103_00"];
    assert_eq!(fixture.maintained().await, expected, "hours begin where the days end");
    fixture.forget_late_writes().await;
    fixture.clock.advance(3 * HOUR);
    let names = fixture.maintained().await;
    let hours =
        ["report_20240102", "report_20240103_00", "report_20240103_02", "report_20240103_03"];
    assert_eq!(names, hours, "days that are over go");
    fixture.with_interval(PartitionInterval::Day);
    let names = fixture.maintained().await;
    let added: Vec<_> = names.iter().filter(|name| !hours.contains(&name.as_str())).collect();
    let rest = ["report_20240103_01", "report_20240103_04", "report_20240104"];
    assert_eq!(added, rest, "a day fills what the hours left: {names:?}");
    fixture.forget_late_writes().await;
    fixture.clock.advance(2 * DAY);
    let names = fixture.maintained().await;
    let expected = ["report_20240104", "report_20240105", "report_20240106"];
    assert_eq!(names, expected, "days and hours go alike");
    assert_eq!(fixture.telemetry.partitions.failures.get(), 0);
}

#[tokio::test]
async fn statistics_are_made_once_there_is_something_to_know() {
    let mut fixture = Fixture::new(PartitionInterval::Day, 0).await;
    fixture.maintained().await;
    let analyzed = "SELECT count(*) FROM pg_stats
                     WHERE schemaname = 'noetl' AND tablename = 'report' AND inherited";
    let count = async |conn: &mut PgConnection| -> i64 {
        sqlx::query_scalar(analyzed).fetch_one(conn).await.unwrap()
    };
    assert_eq!(count(&mut fixture.conn).await, 0, "of nothing");
    fixture
        .conn
        .execute(
            "INSERT INTO noetl.report SELECT n % 10, '2024-01-01', now(), n, '{1}', NULL
               FROM generate_series(1, 2000) AS n",
        )
        .await
        .unwrap();
    fixture.conn.execute("ANALYZE noetl.report_20240101").await.unwrap();
    fixture.maintained().await;
    assert_eq!(count(&mut fixture.conn).await, 2, "of what is looked up by");
    assert!(!partitions::statistics::are_stale(&mut fixture.conn).await.unwrap());
}

#[test]
fn seconds_are_counted_up_to_the_first_gap() {
    let day =
        |number: i64| Timestamp::from_micros(number * PartitionInterval::Day.micros()).unwrap();
    let range = |from, to| (day(from), day(to));
    let noon = day(10).offset_by(PartitionInterval::Day.micros() / 2);
    let check = |ranges: &[_], expected| {
        assert_eq!(us_covered(ranges, noon) / 1_000_000, expected, "{ranges:?}");
    };
    check(&[], 0);
    check(&[range(10, 11)], 43_200);
    check(&[range(9, 10), range(10, 11), range(11, 12), range(12, 13)], 216_000);
    check(&[range(10, 11), range(12, 13)], 43_200);
    check(&[range(11, 12)], 0);
}
