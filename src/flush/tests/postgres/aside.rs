//! What PostgreSQL refuses for its content.

use super::*;

#[tokio::test]
async fn what_postgres_refuses_is_set_aside_and_stops_nothing() {
    let mut fixture = Fixture::new().await;
    let statement = format!(
        "INSERT INTO noetl.runtime (runtime_id, component_type, name) VALUES (1, 't', 'other');
         INSERT INTO noetl.series (series_id, runtime_id, metric_name, metric_type, labels,
                                   fingerprint)
         VALUES (1000, 1, 'other', 'gauge', '{{}}', gen_random_uuid());
         INSERT INTO noetl.series_slot VALUES ({}, 0, 1000);",
        group(7).get()
    );
    fixture.conn.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    let log = open_log();
    log_value(&log, 0);
    log_value(&log, 1);
    let taken = Payload::default()
        .component("x")
        .series("x", group(7), 0, "a")
        .row(group(7), NOON, &[5.0])
        .row(group(7), NOON + 1, &[6.0]);
    let payload = taken.bytes.clone();
    assert_eq!(taken.log(&log), position(2));
    log_value(&log, 4);
    let with_nul = Payload::default().series("w", group(1), 1, "nul\0").row(group(1), NOON, &[7.0]);
    assert_eq!(with_nul.log(&log), position(5));
    log_value(&log, 6);
    let settings = BatchSettings { rows_max: 100, ..PATIENT };
    let (ended, telemetry) = flush_all(log, fixture.sink(PartitionInterval::Day), settings).await;
    ended.unwrap();
    assert_eq!(fixture.values().await, [0.0, 1.0, 4.0, 6.0]);
    assert_eq!(fixture.position().await, position(7));
    let aside: Vec<(i64, String, Vec<u8>)> =
        sqlx::query_as("SELECT position, reason, payload FROM noetl.quarantine ORDER BY position")
            .fetch_all(&mut fixture.conn)
            .await
            .unwrap();
    assert_eq!((aside.len(), aside[0].0, aside[1].0), (2, 2, 5));
    assert_eq!(aside[0].2, payload);
    assert!(aside[0].1.contains("belongs to another series"), "{}", aside[0].1);
    assert!(aside[1].1.contains("U+0000"), "{}", aside[1].1);
    assert_eq!(telemetry.flush.quarantined_rows.get(), 3);
    assert_eq!(telemetry.flush.failures.get(), 0, "a refusal is not tried again");
}

#[tokio::test]
async fn setting_aside_and_moving_the_position_is_one_thing() {
    let mut fixture = Fixture::new().await;
    let mut sink = fixture.sink(PartitionInterval::Day);
    let record = |from, to| RefusedRecord {
        from: position(from),
        to: position(to),
        reason: "a test".to_owned(),
        payload: vec![1],
    };
    let error = sink.set_aside(&record(3, 4)).await;
    assert!(matches!(error, Err(SinkError::Temporary(_))), "the position is 0: {error:?}");
    sink.set_aside(&record(0, 4)).await.unwrap();
    assert_eq!(fixture.position().await, position(4));
    let aside: i64 = sqlx::query_scalar("SELECT count(*) FROM noetl.quarantine")
        .fetch_one(&mut fixture.conn)
        .await
        .unwrap();
    assert_eq!(aside, 1);
}
