//! Walking along cursors while samples are written.

use super::fixture::{DAY, Fixture, SECOND, Series, noon};
use crate::model::MetricType::Gauge;

async fn two_components() -> Fixture {
    Fixture::new(&[
        Series(1, 0, "t/w1", "a", Gauge, &[]),
        Series(1, 1, "t/w1", "b", Gauge, &[]),
        Series(2, 0, "t/w2", "a", Gauge, &[]),
    ])
    .await
}

/// Every value met along the cursors, with a sample written by `meanwhile` after each page.
async fn walk(
    fixture: &mut Fixture,
    query: &str,
    mut meanwhile: impl AsyncFnMut(&mut Fixture, u32),
) -> Vec<f64> {
    let mut met = Vec::new();
    let mut next = format!("{query}&cursor=");
    for page_number in 0.. {
        let page = fixture.ask(&next).await.unwrap();
        let values = page["metrics"].as_array().unwrap().iter();
        met.extend(values.map(|metric| metric["metric_value"].as_f64().unwrap()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("{query}&cursor={cursor}");
        meanwhile(fixture, page_number).await;
    }
    met
}

#[tokio::test]
async fn ties_are_met_once_each_in_both_orders() {
    let mut fixture = two_components().await;
    let mut written = Vec::new();
    for n in 0..4_u32 {
        let value = f64::from(n);
        fixture.write(1, noon(0), &[value, value + 0.5]).await;
        fixture.write(2, noon(0), &[value + 0.75]).await;
        written.extend([value, value + 0.5, value + 0.75]);
    }
    for limit in 1..=13 {
        let query = format!("limit={limit}&order=asc");
        assert_eq!(walk(&mut fixture, &query, async |_, _| ()).await, written, "{query}");
        let newest_first: Vec<f64> = written.iter().rev().copied().collect();
        let query = format!("limit={limit}");
        assert_eq!(walk(&mut fixture, &query, async |_, _| ()).await, newest_first, "{query}");
    }
}

#[tokio::test]
async fn samples_written_on_the_way_neither_repeat_nor_hide_others() {
    let mut fixture = two_components().await;
    for n in 0..20_u32 {
        fixture.write(1, noon(i64::from(n) * 60 * SECOND), &[f64::from(n)]).await;
    }
    // Newer ones and one older than all: the walk to the past meets the older one alone.
    let newest_first = walk(&mut fixture, "limit=3", async |fixture, page| {
        if page == 0 {
            fixture.write(2, noon(-DAY), &[-1.0]).await;
        }
        fixture.write(1, noon(DAY + i64::from(page)), &[1_000.0 + f64::from(page)]).await;
    });
    let expected: Vec<f64> = (-1..20).rev().map(f64::from).collect();
    assert_eq!(newest_first.await, expected);
    // The walk to the present meets those that are written ahead of it.
    let oldest_first = walk(&mut fixture, "limit=9&order=asc", async |fixture, page| {
        if page < 2 {
            fixture.write(2, noon(2 * DAY), &[2_000.0 + f64::from(page)]).await;
        }
    });
    let newer = (0..6).map(|n| 1_000.0 + f64::from(n)).chain([2_000.0, 2_001.0]);
    let expected: Vec<f64> = (-1..20).map(f64::from).chain(newer).collect();
    assert_eq!(oldest_first.await, expected);
}

#[tokio::test]
async fn the_last_page_has_no_cursor() {
    let mut fixture = two_components().await;
    for n in 0..4_u32 {
        fixture.write(1, noon(i64::from(n) * DAY), &[f64::from(n)]).await;
    }
    for (limit, more) in [(3, true), (4, false), (5, false), (10_000, false)] {
        let page = fixture.ask(&format!("limit={limit}")).await.unwrap();
        assert_eq!(page["count"], 4.min(limit));
        assert_eq!(page["next_cursor"].is_string(), more, "limit {limit}");
    }
}

#[tokio::test]
async fn a_page_of_the_largest_limit_is_filled_from_dense_and_sparse_times() {
    let mut fixture = two_components().await;
    fixture.write(1, noon(0), &[-1.0]).await;
    // 12,000 samples within an hour, then one each hour.
    sqlx::query(
        "INSERT INTO noetl.report
         SELECT $1, ts, ts, 1000 + n, ARRAY[n], NULL
           FROM generate_series(0, 12010) AS n
          CROSS JOIN LATERAL (
                SELECT timestamptz '2024-01-01 13:00:00+00' +
                       CASE WHEN n < 12000 THEN n * interval '300 ms'
                            ELSE interval '1 hour' + (n - 12000) * interval '30 minutes' END
                ) AS at (ts)
          WHERE ts < '2024-01-02 00:00:00+00'",
    )
    .bind(super::fixture::group(2).get())
    .execute(&mut fixture.conn)
    .await
    .unwrap();
    let newest_first = walk(&mut fixture, "limit=10000", async |_, _| ()).await;
    let expected: Vec<f64> = (-1..=12_010).rev().map(f64::from).collect();
    assert_eq!(newest_first, expected);
    let oldest_first = walk(&mut fixture, "limit=7000&order=asc", async |_, _| ()).await;
    assert_eq!(oldest_first, expected.into_iter().rev().collect::<Vec<_>>());
}
