//! Streams: all samples once, in order, while others are written, in bounded pieces.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::fixture::{Fixture, Series, noon};
use crate::model::MetricType::Gauge;
use crate::query::{Filter, Layout, QueryError, SampleStream};

fn filter(query: &str) -> Filter {
    Filter::parse(query, &TimeZone::UTC).unwrap()
}

fn stream(fixture: &Fixture, query: &str, layout: Layout) -> SampleStream {
    SampleStream::new(&fixture.queries, filter(query), layout).unwrap()
}

async fn all(mut stream: SampleStream) -> (String, usize) {
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(piece) = stream.next().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
        pieces += 1;
    }
    (text, pieces)
}

/// 120,000 samples of one series, 100 ms apart.
async fn many() -> Fixture {
    let mut fixture = Fixture::new(&[Series(1, 0, "t/w", "a", Gauge, &[("k", "v,\"w\"")])]).await;
    fixture.write(1, noon(-1), &[-1.0]).await;
    sqlx::query(
        "INSERT INTO noetl.report
         SELECT $1, ts, ts, 1000 + n, ARRAY[n], NULL
           FROM generate_series(0, 119998) AS n
          CROSS JOIN LATERAL (
                SELECT timestamptz '2024-01-01 12:00:00+00' + n * interval '100 ms') AS at (ts)",
    )
    .bind(super::fixture::group(1).get())
    .execute(&mut fixture.conn)
    .await
    .unwrap();
    fixture
}

fn values(ndjson: &str) -> impl Iterator<Item = f64> {
    ndjson.lines().map(|line| {
        let sample: Value = serde_json::from_str(line).unwrap();
        sample["metric_value"].as_f64().unwrap()
    })
}

#[tokio::test]
async fn a_stream_has_every_sample_once_in_order() {
    let mut fixture = many().await;
    let (text, pieces) = all(stream(&fixture, "order=asc", Layout::Ndjson)).await;
    assert!(values(&text).eq((-1..119_999).map(f64::from)));
    assert!(pieces > 2, "{pieces} pieces");
    // What is written behind a stream that goes to the past stays out of it.
    let mut newest_first = stream(&fixture, "", Layout::Ndjson);
    let mut text = String::from_utf8(newest_first.next().await.unwrap().unwrap()).unwrap();
    fixture.write(1, noon(10_000_000_000), &[7.0]).await;
    text.push_str(&all(newest_first).await.0);
    assert!(values(&text).eq((-1..119_999).rev().map(f64::from)));
    let (text, _) = all(stream(&fixture, "order=asc&limit=3", Layout::Ndjson)).await;
    assert!(values(&text).eq([-1.0, 0.0, 1.0]), "a limit that is asked for holds");
}

#[tokio::test]
async fn a_csv_has_one_header_also_without_samples() {
    let fixture = many().await;
    let (text, _) = all(stream(&fixture, "order=asc&limit=10000", Layout::Csv)).await;
    let mut rows = text.lines();
    let header = "metric_id,runtime_id,component_name,component_type,metric_name,metric_type,\
                  metric_value,labels,help_text,unit,timestamp,created_at";
    assert_eq!(rows.next(), Some(header));
    let first = rows.next().unwrap();
    assert!(
        first.contains(r#""{""k"": ""v,\""w\""""}",,percent,2024-01-01T11:59:59.999999Z"#),
        "{first}"
    );
    assert_eq!(rows.count(), 9_999);
    let (text, pieces) = all(stream(&fixture, "metric_name=none", Layout::Csv)).await;
    assert_eq!((text.lines().next(), text.lines().count(), pieces), (Some(header), 1, 1));
}

#[tokio::test]
async fn streams_leave_room_for_queries() {
    let fixture = many().await;
    let mut first = stream(&fixture, "", Layout::Ndjson);
    first.next().await.unwrap();
    let second = SampleStream::new(&fixture.queries, filter(""), Layout::Ndjson).unwrap_err();
    assert!(matches!(second, QueryError::StreamsBusy { streams: 1 }), "{second}");
    assert_eq!((second.code(), second.is_transient()), ("queries_busy", true));
    assert_eq!(fixture.ask("limit=1").await.unwrap()["count"], 1);
    drop(first);
    stream(&fixture, "", Layout::Ndjson);
}
