//! Each filter alone and with others, the ends of a time range, and what is answered.

use serde_json::json;

use super::fixture::{DAY, Fixture, SECOND, Series, key, noon};
use crate::model::MetricType::{Counter, Gauge};
use crate::model::RuntimeId;

/// Two components of one name, and one whose name and metrics hold what `LIKE` takes for
/// special. The values tell the series.
async fn fleet() -> Fixture {
    let host = |name| [("hostname", name), ("zone", "a")];
    let mut fixture = Fixture::new(&[
        Series(1, 0, "worker_pool/w-1", "cpu_usage", Gauge, &host("node-1")),
        Series(1, 1, "worker_pool/w-1", "tasks_total", Counter, &host("node-1")),
        Series(2, 0, "broker/w-1", "cpu_usage", Gauge, &host("node-2")),
        Series(3, 0, "broker/w%2", "cpuXusage", Gauge, &[]),
        Series(3, 1, "broker/w%2", r"disk\used", Gauge, &[("k", "\"quoted\"")]),
    ])
    .await;
    fixture.write(1, noon(0), &[10.0, 11.0]).await;
    fixture.write(2, noon(SECOND), &[20.0]).await;
    fixture.write(3, noon(2 * SECOND), &[30.0, 31.0]).await;
    fixture
}

#[tokio::test]
async fn filters_alone_and_combined() {
    let fixture = fleet().await;
    let check = async |query: &str, expected: &str| {
        assert_eq!(fixture.values(query).await, expected, "{query}");
    };
    check("", "31 30 20 11 10").await;
    check("order=asc", "10 11 20 30 31").await;
    let id = RuntimeId::derive(&key("broker/w-1"));
    check(&format!("runtime_id={id}"), "20").await;
    check("runtime_id=1", "").await;
    check("component_name=w-1", "20 11 10").await;
    check("component_name=w", "").await;
    check("component_name=w*", "31 30 20 11 10").await;
    check("component_name=*%252", "31 30").await;
    check("component_name=w%252", "31 30").await;
    check("component_name=*%25*", "31 30").await;
    check("metric_name=cpu_usage", "20 10").await;
    check("metric_name=cpu_*", "20 10").await;
    check("metric_name=cpu*usage", "30 20 10").await;
    check("metric_name=*%5C*", "31").await;
    check("metric_name=*_total", "11").await;
    check("metric_type=counter", "11").await;
    check("metric_type=histogram", "").await;
    check(r#"labels={"zone":"a"}"#, "20 11 10").await;
    check(r#"labels={"zone":"a","hostname":"node-1"}"#, "11 10").await;
    check(r#"labels={"zone":"b"}"#, "").await;
    check(r#"labels={"k":"\"quoted\""}"#, "31").await;
    check(&format!("runtime_id={id}&component_name=w-1&metric_type=gauge"), "20").await;
    check(&format!("runtime_id={id}&metric_type=counter"), "").await;
    check(r#"component_name=w-*&metric_name=cpu*&labels={"hostname":"node-1"}"#, "10").await;
    check("metric_name=cpu*&end_time=1704110401", "20 10").await;
    check("component_name='%3B+DROP+TABLE+noetl.report%3B--", "").await;
}

#[tokio::test]
async fn a_sample_is_answered_with_all_its_fields() {
    let mut fixture = fleet().await;
    let report = fixture.write(1, noon(7 * SECOND + 5), &[45.2]).await;
    let page = fixture.ask("limit=1&metric_name=cpu_usage").await.unwrap();
    let expected = json!({
        "metric_id": (report * 64).to_string(),
        "runtime_id": RuntimeId::derive(&key("worker_pool/w-1")).get(),
        "component_name": "w-1",
        "component_type": "worker_pool",
        "metric_name": "cpu_usage",
        "metric_type": "gauge",
        "metric_value": 45.2,
        "labels": {"hostname": "node-1", "zone": "a"},
        "help_text": null,
        "unit": "percent",
        "timestamp": "2024-01-01T12:00:07.000005Z",
        "created_at": "2024-01-01T12:00:07.250005Z",
    });
    assert_eq!(page["metrics"], json!([expected]));
}

#[tokio::test]
async fn both_ends_of_a_time_range_are_exact_with_offsets_too() {
    let mut fixture = Fixture::new(&[
        Series(1, 0, "t/w", "a", Gauge, &[]),
        Series(1, 1, "t/w", "b", Gauge, &[]),
        Series(1, 2, "t/w", "c", Gauge, &[]),
    ])
    .await;
    let offsets = Some(&[0, 500_000, 999_999][..]);
    fixture.write_slots(1, noon(0), 0b111, &[1.0, 2.0, 3.0], offsets).await;
    // The last sample of this row belongs to the next day, and its row does not.
    let midnight = noon(DAY / 2);
    fixture.write_slots(1, midnight.offset_by(-SECOND), 0b111, &[4.0, 5.0, 6.0], offsets).await;
    fixture.write_slots(1, midnight.offset_by(-5), 0b11, &[7.0, 8.0], Some(&[0, 5])).await;
    let check = async |from: i64, to: i64, expected: &str| {
        for order in ["asc", "desc"] {
            let (from, to) = (noon(from).micros(), noon(to).micros());
            let query = format!("start_time={from}&end_time={to}&order={order}");
            let mut expected: Vec<_> = expected.split_whitespace().collect();
            if order == "desc" {
                expected.reverse();
            }
            assert_eq!(fixture.values(&query).await, expected.join(" "), "{query}");
        }
    };
    check(0, 999_999, "1 2 3").await;
    check(1, 999_999, "2 3").await;
    check(0, 999_998, "1 2").await;
    check(500_000, 500_000, "2").await;
    check(500_001, 999_998, "").await;
    check(999_999, DAY, "3 4 5 7 6 8").await;
    check(DAY / 2 - 1, DAY / 2, "6 8").await;
    check(DAY / 2, DAY, "8").await;
    check(DAY / 2 + 1, DAY, "").await;
    check(0, DAY / 2 - 1, "1 2 3 4 5 7 6").await;
    check(-DAY, 2 * DAY, "1 2 3 4 5 7 6 8").await;
}

#[tokio::test]
async fn values_without_a_json_number_and_absent_ones() {
    let mut fixture = Fixture::new(&[
        Series(1, 0, "t/w", "a", Gauge, &[]),
        Series(1, 1, "t/w", "b", Gauge, &[]),
        Series(1, 3, "t/w", "d", Gauge, &[]),
    ])
    .await;
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    fixture.write_slots(1, noon(0), 0b1011, &special, None).await;
    fixture.write_slots(1, noon(1), 0b1000, &[1.5], None).await;
    fixture.write_slots(1, noon(2), 0b0001, &[2.5], None).await;
    assert_eq!(fixture.values("order=asc").await, r#""NaN" "+Inf" "-Inf" 1.5 2.5"#);
    assert_eq!(fixture.values("metric_name=d").await, r#"1.5 "-Inf""#);
}

#[tokio::test]
async fn a_series_is_found_in_each_of_its_groups_and_across_years() {
    let mut fixture = Fixture::new(&[
        Series(1, 0, "t/w", "a", Gauge, &[]),
        Series(2, 5, "t/w", "a", Gauge, &[]),
        Series(2, 6, "t/w", "other", Gauge, &[]),
    ])
    .await;
    assert_eq!(fixture.values("").await, "", "without partitions");
    fixture.write(1, noon(0), &[1.0]).await;
    fixture.write_slots(2, noon(900 * DAY), 1 << 5, &[2.0], None).await;
    // The group goes on long after the series has ended.
    for n in 0..50 {
        fixture.write_slots(2, noon(901 * DAY + n * 60 * SECOND), 1 << 6, &[9.0], None).await;
    }
    assert_eq!(fixture.values("metric_name=a").await, "2 1");
    assert_eq!(fixture.values("metric_name=a&order=asc").await, "1 2");
    assert_eq!(fixture.values("end_time=2024-01-01T12:00:00Z").await, "1");
}
