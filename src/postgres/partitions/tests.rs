//! Tests of [`super`] against a real PostgreSQL.

use sqlx::{Connection, Executor};

use super::*;
use crate::model::PartitionInterval;
use crate::postgres::test_cluster::{self, TestDatabase};

const HOUR: i64 = 3_600_000_000;

/// 2024-01-01T00:00:00Z and `hours` later.
fn new_year(hours: i64) -> Timestamp {
    Timestamp::from_micros(1_704_067_200_000_000 + hours * HOUR).unwrap()
}

fn partition(name: &str, from: i64, to: i64) -> Partition {
    Partition { name: name.to_owned(), from: new_year(from), to: new_year(to) }
}

async fn fixture() -> (TestDatabase, PgConnection) {
    let database = test_cluster::database().await;
    let conn = database.connect().await;
    (database, conn)
}

#[tokio::test]
async fn a_partition_is_made_once_and_found_again() {
    let (_database, mut conn) = fixture().await;
    let day = PartitionInterval::Day;
    assert_eq!(partition_for(&mut conn, new_year(7)).await.unwrap(), None);
    let expected = partition("report_20240101", 0, 24);
    let created = create(&mut conn, day, new_year(7)).await.unwrap();
    assert_eq!(created, Creation::Created(expected.clone()));
    let again = create(&mut conn, day, new_year(7)).await.unwrap();
    assert_eq!(again, Creation::Existed(expected.clone()));
    assert_eq!(ensure(&mut conn, day, new_year(23)).await.unwrap(), expected);
    assert_eq!(partition_for(&mut conn, new_year(24)).await.unwrap(), None, "the end is exclusive");
}

#[tokio::test]
async fn the_list_tells_ranges_rows_and_bytes() {
    let (_database, mut conn) = fixture().await;
    assert_eq!(list(&mut conn).await.unwrap(), []);
    ensure(&mut conn, PartitionInterval::Day, new_year(24)).await.unwrap();
    ensure(&mut conn, PartitionInterval::Hour, new_year(7)).await.unwrap();
    conn.execute(
        "INSERT INTO noetl.report SELECT 0, '2024-01-02', now(), n, '{1}', NULL
           FROM generate_series(1, 1000) AS n",
    )
    .await
    .unwrap();
    conn.execute("ANALYZE noetl.report").await.unwrap();
    let listed = list(&mut conn).await.unwrap();
    let names: Vec<_> = listed.iter().map(|info| info.partition.clone()).collect();
    assert_eq!(
        names,
        [partition("report_20240101_07", 7, 8), partition("report_20240102", 24, 48)]
    );
    assert_eq!((listed[0].rows_estimated, listed[1].rows_estimated), (0, 1000));
    assert!(listed[1].bytes > listed[0].bytes);
    assert!(listed.iter().all(|info| info.state == PartitionState::Attached));
}

#[tokio::test]
async fn the_span_is_that_of_partitions_with_rows() {
    let (_database, mut conn) = fixture().await;
    assert_eq!(span(&mut conn).await.unwrap(), None);
    for day in 0..6 {
        ensure(&mut conn, PartitionInterval::Day, new_year(day * 24)).await.unwrap();
    }
    assert_eq!(span(&mut conn).await.unwrap(), None);
    for (day, from, to) in [(2, 48, 72), (1, 24, 72), (4, 24, 120)] {
        let row = sqlx::query(
            "INSERT INTO noetl.report
             VALUES (0, timestamptz '2024-01-01 UTC' + $1 * interval '1 day', now(), $1, '{1}')",
        );
        row.bind(day).execute(&mut conn).await.unwrap();
        let expected = Some((new_year(from), new_year(to)));
        assert_eq!(span(&mut conn).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn two_servers_may_make_the_same_partition_at_once() {
    let (database, mut a) = fixture().await;
    let mut b = database.connect().await;
    for day in 0..10 {
        let timestamp = new_year(day * 24 + 5);
        let (one, two) = tokio::join!(
            ensure(&mut a, PartitionInterval::Day, timestamp),
            ensure(&mut b, PartitionInterval::Day, timestamp)
        );
        assert_eq!(one.unwrap(), two.unwrap());
    }
    assert_eq!(list(&mut a).await.unwrap().len(), 10);
}

#[tokio::test]
async fn an_hour_within_an_existing_day_is_that_day() {
    let (_database, mut conn) = fixture().await;
    let day = ensure(&mut conn, PartitionInterval::Day, new_year(0)).await.unwrap();
    let hour = PartitionInterval::Hour;
    let created = create(&mut conn, hour, new_year(7)).await.unwrap();
    assert_eq!(created, Creation::Existed(day));
    let next = ensure(&mut conn, hour, new_year(24)).await.unwrap();
    assert_eq!(next, partition("report_20240102_00", 24, 25));
}

#[tokio::test]
async fn a_day_fills_the_gaps_that_hours_left() {
    let (_database, mut conn) = fixture().await;
    for hour in [7, 8, 20] {
        ensure(&mut conn, PartitionInterval::Hour, new_year(hour)).await.unwrap();
    }
    let mut fill =
        async |hour| ensure(&mut conn, PartitionInterval::Day, new_year(hour)).await.unwrap();
    assert_eq!(fill(3).await, partition("report_20240101", 0, 7));
    assert_eq!(fill(8).await, partition("report_20240101_08", 8, 9));
    assert_eq!(fill(15).await, partition("report_20240101_09", 9, 20));
    assert_eq!(fill(23).await, partition("report_20240101_21", 21, 24));
    assert_eq!(fill(30).await, partition("report_20240102", 24, 48));
}

#[tokio::test]
async fn bounds_from_elsewhere_are_respected() {
    let (_database, mut conn) = fixture().await;
    conn.execute(
        "CREATE TABLE noetl.old PARTITION OF noetl.report
             FOR VALUES FROM (MINVALUE) TO ('2024-01-01 00:30:00.000001+00')",
    )
    .await
    .unwrap();
    let old = partition_for(&mut conn, Timestamp::MIN).await.unwrap().unwrap();
    assert_eq!((old.name.as_str(), old.from), ("old", Timestamp::MIN));
    let rest = ensure(&mut conn, PartitionInterval::Day, new_year(12)).await.unwrap();
    assert_eq!(rest.name, "report_20240101_003000_000001");
    assert_eq!((rest.from, rest.to), (old.to, new_year(24)));
}

#[tokio::test]
async fn creation_stops_neither_readers_nor_writers_and_waits_for_neither() {
    let (database, mut conn) = fixture().await;
    ensure(&mut conn, PartitionInterval::Day, new_year(0)).await.unwrap();
    let mut writer = database.connect().await;
    let mut open = writer.begin().await.unwrap();
    open.execute("INSERT INTO noetl.report VALUES (0, '2024-01-01', now(), 1, '{1}', NULL)")
        .await
        .unwrap();
    open.execute("SELECT count(*) FROM noetl.report").await.unwrap();
    ensure(&mut conn, PartitionInterval::Day, new_year(24)).await.unwrap();
    open.commit().await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_not_granted_is_said_and_passes() {
    let (database, mut conn) = fixture().await;
    let mut other = database.connect().await;
    let mut holder = other.begin().await.unwrap();
    holder.execute("LOCK TABLE noetl.report IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let day = PartitionInterval::Day;
    let error = create(&mut conn, day, new_year(0)).await.unwrap_err();
    assert!(matches!(error, PartitionError::Busy), "{error}");
    holder.rollback().await.unwrap();
    ensure(&mut conn, day, new_year(0)).await.unwrap();
}

#[tokio::test]
async fn a_detached_table_in_the_way_is_named() {
    let (_database, mut conn) = fixture().await;
    ensure(&mut conn, PartitionInterval::Day, new_year(0)).await.unwrap();
    conn.execute("ALTER TABLE noetl.report DETACH PARTITION noetl.report_20240101").await.unwrap();
    let error = ensure(&mut conn, PartitionInterval::Day, new_year(0)).await.unwrap_err();
    assert!(
        matches!(&error, PartitionError::NameTaken { name } if name == "report_20240101"),
        "{error}"
    );
}

#[tokio::test]
async fn the_first_and_the_last_day_have_partitions_too() {
    let (_database, mut conn) = fixture().await;
    for interval in [PartitionInterval::Hour, PartitionInterval::Day] {
        let first = ensure(&mut conn, interval, Timestamp::MIN).await.unwrap();
        assert_eq!((first.name.as_str(), first.from), ("report_19700101_00", Timestamp::MIN));
        let last_microsecond_but_one = Timestamp::MAX.offset_by(-1);
        let last = ensure(&mut conn, interval, last_microsecond_but_one).await.unwrap();
        assert_eq!((last.name.as_str(), last.to), ("report_99991231_23", Timestamp::MAX));
    }
}
