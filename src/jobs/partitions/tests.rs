//! Partitions over several midnights, in a real PostgreSQL.

use sqlx::{Executor, PgConnection};

use super::*;
use crate::clock::ManualClock;
use crate::postgres::test_cluster;

const DAY: i64 = PartitionInterval::Day.micros();
const HOUR: i64 = PartitionInterval::Hour.micros();
/// 2024-01-01T23:30:00Z.
const LATE: i64 = 1_704_151_800_000_000;

struct Fixture {
    upkeep: PartitionUpkeep,
    clock: Arc<ManualClock>,
    conn: PgConnection,
}

impl Fixture {
    async fn new(interval: PartitionInterval, ahead: u32) -> Self {
        let database = test_cluster::database().await;
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(LATE).unwrap()));
        let upkeep = PartitionUpkeep {
            options: database.options.clone(),
            interval,
            ahead,
            window: Arc::new(PartitionWindow::new(interval, 2)),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            telemetry: Arc::new(Telemetry::new()),
        };
        Self { upkeep, clock, conn: database.connect().await }
    }

    /// Maintains and returns the names of the partitions.
    async fn maintained(&mut self) -> Vec<String> {
        self.upkeep.maintain().await.unwrap();
        let listed = partitions::list(&mut self.conn).await.unwrap();
        let shown = self.upkeep.telemetry.flush.partitions.get();
        assert_eq!(usize::try_from(shown), Ok(listed.len()));
        listed.into_iter().map(|info| info.partition.name).collect()
    }

    fn seconds_ahead(&self) -> i64 {
        self.upkeep.telemetry.flush.partition_ahead_seconds.get()
    }

    fn admits(&self, timestamp: i64) -> bool {
        let timestamp = Timestamp::from_micros(timestamp).unwrap();
        self.upkeep.window.admit(timestamp, self.clock.now()).is_some()
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
    let mut fixture = Fixture::new(PartitionInterval::Day, 1).await;
    fixture.conn.execute("CREATE TABLE noetl.report_20240102 (x int)").await.unwrap();
    let error = fixture.upkeep.maintain().await.unwrap_err();
    assert!(error.to_string().contains("noetl.report_20240102 exists"), "{error}");
    fixture.conn.execute("DROP TABLE noetl.report_20240102").await.unwrap();
    assert_eq!(fixture.maintained().await, ["report_20240101", "report_20240102"]);
}

#[test]
fn seconds_are_counted_up_to_the_first_gap() {
    let day =
        |number: i64| Timestamp::from_micros(number * PartitionInterval::Day.micros()).unwrap();
    let range = |from, to| (day(from), day(to));
    let noon = day(10).offset_by(PartitionInterval::Day.micros() / 2);
    let check = |ranges: &[_], expected| {
        assert_eq!(seconds_covered(ranges, noon), expected, "{ranges:?}");
    };
    check(&[], 0);
    check(&[range(10, 11)], 43_200);
    check(&[range(9, 10), range(10, 11), range(11, 12), range(12, 13)], 216_000);
    check(&[range(10, 11), range(12, 13)], 43_200);
    check(&[range(11, 12)], 0);
}
