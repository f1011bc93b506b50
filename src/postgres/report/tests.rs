//! Rows copied into a real PostgreSQL and read back through the views.

use std::time::Duration;

use super::*;
use crate::model::{GroupId, LogPosition, NodeNumber, PartitionInterval, ReportId, Timestamp};
use crate::postgres::copy::{CopyBuffer, NO_OFFSETS, RowHead};
use crate::postgres::definitions::tests::{at, component, gauge, group, noon};
use crate::postgres::timestamptz::Timestamptz;
use crate::postgres::{definitions, partitions, test_cluster};

fn head(group: GroupId, position: u64, ts: Timestamp) -> RowHead {
    let report = ReportId::new(NodeNumber::new(2).unwrap(), LogPosition::new(position));
    RowHead { group, ts, received_at: ts.offset_by(250_000), report }
}

/// Component `w` with the metrics m0, m1 and m3 in slots 0, 1 and 3 of group 1, and the
/// partition of 2024-01-01.
async fn fixture() -> (PgConnection, String) {
    let mut conn = test_cluster::database().await.connect().await;
    definitions::upsert_components(&mut conn, &[component("w")]).await.unwrap();
    let slots = [(0, "m0"), (1, "m1"), (3, "m3")];
    let series = slots.map(|(slot, name)| at(group(1), slot, "w", gauge(name, &[("k", "v")], "h")));
    definitions::upsert_series(&mut conn, &series).await.unwrap();
    let partition =
        partitions::ensure(&mut conn, PartitionInterval::Day, noon(0)).await.unwrap().name;
    (conn, partition)
}

async fn samples(conn: &mut PgConnection) -> Vec<(String, f64, i64)> {
    let rows: Vec<(String, f64, Timestamptz)> = sqlx::query_as(
        "SELECT metric_name, metric_value, timestamp FROM noetl.metrics ORDER BY metric_id",
    )
    .fetch_all(conn)
    .await
    .unwrap();
    rows.into_iter().map(|(name, value, at)| (name, value, at.0.micros())).collect()
}

#[tokio::test]
async fn samples_of_2024_are_read_back_with_all_their_columns() {
    let (mut conn, partition) = fixture().await;
    assert_eq!(partition, "report_20240101");
    let mut buffer = CopyBuffer::new();
    buffer.push(head(group(1), 77, noon(0)), 0b1, [45.2], NO_OFFSETS);
    buffer.finish();
    assert_eq!(copy_rows(&mut conn, &partition, &buffer, || None).await.unwrap(), 1);
    let row: (i64, i64, String, String, String, String, f64, String, String, String) =
        sqlx::query_as(
            "SELECT metric_id, runtime_id, component_name, component_type, metric_name,
                    metric_type, metric_value, labels::text, help_text, unit
               FROM noetl.metrics",
        )
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let report = ReportId::new(NodeNumber::new(2).unwrap(), LogPosition::new(77)).get();
    let text = str::to_owned;
    let expected = (
        report * 64,
        component("w").runtime_id.get(),
        text("w"),
        text("worker_pool"),
        text("m0"),
        text("gauge"),
        45.2,
        text(r#"{"k": "v"}"#),
        text("h"),
        text("percent"),
    );
    assert_eq!(row, expected);
    let times: (String, String) =
        sqlx::query_as(r#"SELECT "timestamp"::text, created_at::text FROM noetl.metric"#)
            .fetch_one(&mut conn)
            .await
            .unwrap();
    assert_eq!(times, ("2024-01-01 12:00:00+00".into(), "2024-01-01 12:00:00.25+00".into()));
}

#[tokio::test]
async fn nan_infinities_gaps_and_offsets_are_read_back() {
    let (mut conn, partition) = fixture().await;
    let ts = noon(0).micros();
    let mut buffer = CopyBuffer::new();
    buffer.push(
        head(group(1), 1, noon(0)),
        0b1011,
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY],
        NO_OFFSETS,
    );
    buffer.push(head(group(1), 2, noon(0)), 0b1001, [-0.0, 5e-324], Some([0, 999_999]));
    buffer.push(head(group(1), 3, noon(0)), 0b1000, [1.0], Some([123_457]));
    buffer.finish();
    copy_rows(&mut conn, &partition, &buffer, || None).await.unwrap();
    let read = samples(&mut conn).await;
    assert!(read[0].1.is_nan());
    let rest: Vec<_> = read[1..].iter().map(|(name, v, at)| (name.as_str(), *v, at - ts)).collect();
    assert_eq!(
        rest,
        [
            ("m1", f64::INFINITY, 0),
            ("m3", f64::NEG_INFINITY, 0),
            ("m0", 0.0, 0),
            ("m3", 5e-324, 999_999),
            ("m3", 1.0, 123_457),
        ]
    );
    assert!(rest[2].1.is_sign_negative());
}

#[tokio::test]
async fn a_row_outside_its_partition_is_refused_for_its_content() {
    let (mut conn, partition) = fixture().await;
    let mut buffer = CopyBuffer::new();
    buffer.push(head(group(1), 1, noon(0)), 1, [1.0], NO_OFFSETS);
    buffer.push(head(group(1), 2, noon(86_400)), 1, [1.0], NO_OFFSETS);
    buffer.finish();
    let error = copy_rows(&mut conn, &partition, &buffer, || None).await.unwrap_err();
    assert!(error.refuses_content(), "{error}");
    assert_eq!(samples(&mut conn).await, [], "and the connection goes on");
}

#[tokio::test]
async fn a_missing_partition_and_cut_data_are_errors_that_leave_the_connection_usable() {
    let (mut conn, partition) = fixture().await;
    let mut buffer = CopyBuffer::new();
    buffer.push(head(group(1), 1, noon(0)), 1, [1.0], NO_OFFSETS);
    buffer.finish();
    let error = copy_rows(&mut conn, "report_\"; DROP", &buffer, || None).await.unwrap_err();
    assert!(!error.refuses_content(), "{error}");
    let mut cut = CopyBuffer::new();
    cut.push(head(group(1), 1, noon(0)), 1, [1.0], NO_OFFSETS);
    cut.cut_off(10);
    let error = copy_rows(&mut conn, &partition, &cut, || None).await.unwrap_err();
    assert!(error.refuses_content(), "{error}");
    assert_eq!(copy_rows(&mut conn, &partition, &buffer, || None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_batch_of_many_chunks_arrives_whole() {
    let (mut conn, partition) = fixture().await;
    let mut buffer = CopyBuffer::new();
    for position in 0..20_000 {
        let value = position as f64;
        buffer.push(head(group(1), position, noon(0)), 0b11, [value, -value], NO_OFFSETS);
    }
    buffer.finish();
    assert!(buffer.to_bytes().len() > 3 * 512 * 1024);
    let mut pauses = 0;
    let pause = || {
        pauses += 1;
        Some(Instant::now() + Duration::from_millis(1))
    };
    let began = Instant::now();
    assert_eq!(copy_rows(&mut conn, &partition, &buffer, pause).await.unwrap(), buffer.rows());
    assert!(pauses > buffer.pieces() - 2 && pauses < buffer.pieces() + 2, "{pauses}");
    assert!(began.elapsed() >= Duration::from_millis(pauses as u64 - 1), "{:?}", began.elapsed());
    let sums: (i64, f64) = sqlx::query_as(
        "SELECT count(*), sum(metric_value) FROM noetl.metric WHERE metric_name = 'm0'",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(sums, (20_000, 199_990_000.0));
}
