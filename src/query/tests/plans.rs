//! What questions cost in a large table.
//!
//! `NOETL_PLAN_SAMPLES=100000000 cargo test --release --lib query::tests::plans -- --ignored --nocapture`,
//! and with ten times as many series by `NOETL_PLAN_COMPONENTS=100000`.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use sqlx::{AssertSqlSafe, Execute, Executor, Postgres, QueryBuilder, Row};

use super::fixture::{Fixture, SECOND, Series, group, noon};
use crate::model::MetricType::Gauge;
use crate::model::PartitionInterval;
use crate::postgres::partitions;
use crate::query::range::TimeRange;
use crate::query::{Filter, Layout, SampleStream, statement};

/// Series of a component, all in one group.
const METRICS: u8 = 10;
/// Seconds between the reports of a component.
const INTERVAL_S: i64 = 60;
/// What a question may take where nothing else keeps the machine busy.
const TIME_MAX: Duration = Duration::from_millis(20);

fn from_environment(variable: &str, default: i64) -> i64 {
    std::env::var(variable).map_or(default, |n| n.parse().unwrap())
}

/// Components that have each reported so often.
async fn fleet(components: i64, reports: i64) -> Fixture {
    let metrics: Vec<_> = (0..METRICS).map(|n| format!("noetl_figure_{n}")).collect();
    let names: Vec<_> = (0..components).map(|n| format!("worker_pool/worker-{n:05}")).collect();
    let mut fixture = Fixture::new(&[]).await;
    for (nth, names) in (0..).zip(names.chunks(1_000)) {
        let hosts: Vec<_> = (0..names.len()).map(|n| format!("node-{n}")).collect();
        let labels: Vec<_> = hosts.iter().map(|host| [("hostname", host.as_str())]).collect();
        let series: Vec<_> = (nth * 1_000..)
            .zip(names.iter().zip(&labels))
            .flat_map(|(at, (name, labels))| {
                (0..).zip(&metrics).map(move |(slot, metric)| {
                    Series(at, slot, name.as_str(), metric.as_str(), Gauge, labels.as_slice())
                })
            })
            .collect();
        fixture.define(&series).await;
    }
    let day_s = 86_400;
    for day in 0..=reports * INTERVAL_S / day_s + 7 {
        let start = noon(day * day_s * SECOND);
        partitions::ensure(&mut fixture.conn, PartitionInterval::Day, start).await.unwrap();
    }
    // As they come: all components one after the other within each interval.
    sqlx::query(
        "INSERT INTO noetl.report
         SELECT $1 + c, at.ts, at.ts + interval '1 ms', n * $2 + c,
                ARRAY(SELECT random() * 100 FROM generate_series(1, $3 + 0 * c)), NULL
           FROM generate_series(0, $4 - 1) AS n
          CROSS JOIN generate_series(0, $2 - 1) AS c
          CROSS JOIN LATERAL (
                SELECT timestamptz '2024-01-01 12:00:00+00' + n * $5 * interval '1 s' +
                       c * $5 / $2::float8 * interval '1 s') AS at (ts)",
    )
    .bind(group(0).get())
    .bind(components)
    .bind(i64::from(METRICS))
    .bind(reports)
    .bind(INTERVAL_S)
    .execute(&mut fixture.conn)
    .await
    .unwrap();
    fixture.conn.execute("VACUUM (ANALYZE) noetl.report").await.unwrap();
    fixture.conn.execute("ANALYZE noetl.series, noetl.series_slot, noetl.runtime").await.unwrap();
    fixture
}

/// What the question takes, the median of several times, and the samples that it finds.
async fn ask(fixture: &Fixture, question: &str, times: usize) -> (Duration, usize) {
    let filter = Filter::parse(question, &TimeZone::UTC).unwrap();
    let mut took = Vec::new();
    let mut count = 0;
    for _ in 0..times {
        let began = Instant::now();
        count = fixture.queries.query(&filter).await.unwrap().count;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let median = took[times / 2];
    println!("{question:?}: {count} samples in {median:?} (least {:?})", took[0]);
    (median, count)
}

/// Prints the plan of a statement and what it did, as PostgreSQL tells it.
async fn explain(fixture: &mut Fixture, mut statement: QueryBuilder<Postgres>) {
    let mut query = statement.build();
    let arguments = query.take_arguments().unwrap().unwrap();
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {}", query.sql().as_str());
    let explained = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
    for line in explained.fetch_all(&mut fixture.conn).await.unwrap() {
        println!("  {}", line.get::<String, _>(0));
    }
}

#[tokio::test]
#[ignore = "fills a table with up to a hundred million samples, which takes minutes"]
async fn questions_are_answered_at_once_among_many_samples() {
    let samples = from_environment("NOETL_PLAN_SAMPLES", 2_000_000);
    let components = from_environment("NOETL_PLAN_COMPONENTS", 10_000);
    let reports = samples / components / i64::from(METRICS);
    let began = Instant::now();
    let mut fixture = fleet(components, reports).await;
    println!("{samples} samples of {components} components written in {:?}", began.elapsed());
    let middle = noon(reports / 2 * INTERVAL_S * SECOND);
    let hour = TimeRange { from: middle, to: middle.offset_by(3_600 * SECOND) };
    let one_hour = format!(
        "component_name=worker-05000&metric_name=noetl_figure_3&start_time={}&end_time={}",
        hour.from.micros(),
        hour.to.micros()
    );
    let newest = "component_name=worker-05000&limit=1000";
    let end = noon(reports * INTERVAL_S * SECOND);
    let last = TimeRange { from: end.offset_by(-101 * INTERVAL_S * SECOND), to: end };
    for (question, range) in [(one_hour.as_str(), hour), (newest, last)] {
        let (time, count) = ask(&fixture, question, 21).await;
        let filter = Filter::parse(question, &TimeZone::UTC).unwrap();
        let wanted = filter.limit() + 1;
        explain(&mut fixture, statement::nearest_rows(&filter, range, wanted)).await;
        explain(&mut fixture, statement::samples(&filter, range, wanted)).await;
        assert!(count > 0 && time < TIME_MAX, "{question} took {time:?}");
    }
    for question in [
        "component_name=worker-05000&limit=10000",
        "component_name=worker-050*",
        "metric_name=noetl_figure_3",
        "metric_name=noetl_figure_*",
        "labels={\"hostname\":\"node-7\"}",
        "metric_type=counter",
        "",
    ] {
        ask(&fixture, question, 5).await;
    }
    let filter = Filter::parse("order=asc", &TimeZone::UTC).unwrap();
    let mut stream = SampleStream::new(&fixture.queries, filter, Layout::Ndjson).unwrap();
    let began = Instant::now();
    let (mut lines, mut largest) = (0, 0);
    while lines < 1_000_000
        && let Some(piece) = stream.next().await.unwrap()
    {
        lines += memchr::memchr_iter(b'\n', &piece).count();
        largest = largest.max(piece.len());
    }
    println!("streamed {lines} samples in {:?}, {largest} bytes at most", began.elapsed());
}
