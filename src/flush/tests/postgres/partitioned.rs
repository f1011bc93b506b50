//! Partitions that come, go, and are of another interval.

use super::*;

#[tokio::test]
async fn a_partition_that_was_dropped_is_made_again() {
    let mut fixture = Fixture::new().await;
    let following = Following::new(fixture.sink(PartitionInterval::Day));
    log_value(&following.log, 0);
    following.flushed().await;
    fixture.conn.execute("DROP TABLE noetl.report_20240101").await.unwrap();
    log_value(&following.log, 1);
    following.flushed().await;
    following.end().await.unwrap();
    assert_eq!(fixture.values().await, [1.0]);
}

#[tokio::test]
async fn a_partition_that_was_detached_takes_no_rows() {
    let mut fixture = Fixture::new().await;
    let following = Following::new(fixture.sink(PartitionInterval::Day));
    log_value(&following.log, 0);
    following.flushed().await;
    let detach = "ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240101";
    fixture.conn.execute(detach).await.unwrap();
    log_value(&following.log, 1);
    let failures = || following.telemetry.flush.failures.get();
    wait_for("the flush to fail for want of a partition", || failures() >= 2).await;
    fixture.conn.execute("ALTER TABLE noetl.report_20240101 RENAME TO archive").await.unwrap();
    following.flushed().await;
    following.end().await.unwrap();
    assert_eq!(fixture.values().await, [1.0]);
    let archived: i64 = sqlx::query_scalar("SELECT count(*) FROM noetl.archive")
        .fetch_one(&mut fixture.conn)
        .await
        .unwrap();
    assert_eq!(archived, 1, "what was there before");
}

#[tokio::test]
async fn partitions_of_another_interval_take_what_they_cover() {
    let mut fixture = Fixture::new().await;
    let hour = PartitionInterval::Hour;
    for timestamp in [NOON, NOON + 2 * hour.micros()] {
        partitions::ensure(&mut fixture.conn, hour, at(timestamp)).await.unwrap();
    }
    let log = open_log();
    log_value(&log, 0);
    for hours in [1, 2, 11] {
        let payload = Payload::default();
        payload.row(group(1), NOON + hours * hour.micros(), &[hours as f64]).log(&log);
    }
    flush_all(log, fixture.sink(PartitionInterval::Day), PATIENT).await.0.unwrap();
    assert_eq!(fixture.values().await, [0.0, 1.0, 2.0, 11.0]);
    let expected = [
        "report_20240101",
        "report_20240101_12",
        "report_20240101_13",
        "report_20240101_14",
        "report_20240101_15",
    ];
    assert_eq!(fixture.partitions().await, expected, "before, in between and after the hours");
}

#[tokio::test]
async fn hours_go_to_the_day_that_is_there() {
    let mut fixture = Fixture::new().await;
    partitions::ensure(&mut fixture.conn, PartitionInterval::Day, at(NOON)).await.unwrap();
    let log = open_log();
    log_value(&log, 0);
    Payload::default().row(group(1), NOON + DAY, &[1.0]).log(&log);
    let settings = BatchSettings { interval: PartitionInterval::Hour, ..PATIENT };
    flush_all(log, fixture.sink(PartitionInterval::Hour), settings).await.0.unwrap();
    assert_eq!(fixture.values().await, [0.0, 1.0]);
    assert_eq!(fixture.partitions().await, ["report_20240101", "report_20240102_12"]);
}
