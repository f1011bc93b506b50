//! What PostgreSQL refuses for its content.

use super::*;
use crate::flush::quarantine::{Quarantine, QuarantineError, Replayed};

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
        from: position(from).into(),
        to: position(to).into(),
        reason: "a test".to_owned(),
        payload: vec![1],
        components: Vec::new(),
        series: Vec::new(),
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

/// Three reports, of which a constraint refuses those of a value below zero.
async fn with_refused(fixture: &mut Fixture) -> Vec<i64> {
    fixture
        .conn
        .execute("ALTER TABLE noetl.report ADD CONSTRAINT good CHECK (vals[1] >= 0)")
        .await
        .unwrap();
    let log = open_log();
    Payload::default()
        .component("w")
        .series("w", group(1), 0, "a")
        .row(group(1), NOON, &[-1.0])
        .row(group(1), NOON + 1, &[2.0])
        .log(&log);
    Payload::default().row(group(1), NOON + 2, &[3.0]).log(&log);
    Payload::default().row(group(1), NOON + 3, &[-4.0]).log(&log);
    let (ended, telemetry) = flush_all(log, fixture.sink(PartitionInterval::Day), PATIENT).await;
    ended.unwrap();
    assert_eq!(telemetry.flush.quarantined_rows.get(), 3);
    assert_eq!(fixture.values().await, [3.0], "its series is defined by a record that is aside");
    sqlx::query_scalar("SELECT quarantine_id FROM noetl.quarantine ORDER BY quarantine_id")
        .fetch_all(&mut fixture.conn)
        .await
        .unwrap()
}

async fn quarantine(fixture: &Fixture) -> Quarantine {
    Quarantine::open(fixture.database.options.clone(), PartitionInterval::Day).await.unwrap()
}

#[tokio::test]
async fn what_was_set_aside_is_stored_once_when_its_cause_is_gone() {
    let mut fixture = Fixture::new().await;
    let ids = with_refused(&mut fixture).await;
    let mut quarantine = quarantine(&fixture).await;
    let listed = quarantine.page(0).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.quarantine_id).collect::<Vec<_>>(), ids);
    assert!(listed.iter().all(|one| one.reason.contains("\"good\"")), "{listed:?}");
    for id in &ids {
        let again = quarantine.replay(*id).await.unwrap();
        assert!(
            matches!(&again, Replayed::Refused(reason) if reason.contains("\"good\"")),
            "{again:?}"
        );
    }
    assert_eq!(quarantine.page(0).await.unwrap(), listed, "a refusal changes nothing");

    fixture.conn.execute("ALTER TABLE noetl.report DROP CONSTRAINT good").await.unwrap();
    assert_eq!(quarantine.replay(ids[0]).await.unwrap(), Replayed::Stored { rows: 2, samples: 2 });
    assert_eq!(fixture.values().await, [-1.0, 2.0, 3.0], "the series is there for others too");
    assert_eq!(quarantine.replay(ids[0]).await.unwrap(), Replayed::Absent);
    assert_eq!(quarantine.replay(ids[1]).await.unwrap(), Replayed::Stored { rows: 1, samples: 1 });
    assert!(quarantine.page(0).await.unwrap().is_empty());
    // In the order of their ids, which are those that they would have had.
    assert_eq!(fixture.values().await, [-1.0, 2.0, 3.0, -4.0]);
    assert_eq!(fixture.position().await, position(4), "the log's position is another matter");
}

#[tokio::test]
async fn many_who_try_at_once_store_it_once() {
    let mut fixture = Fixture::new().await;
    let ids = with_refused(&mut fixture).await;
    fixture.conn.execute("ALTER TABLE noetl.report DROP CONSTRAINT good").await.unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let mut quarantine = quarantine(&fixture).await;
        let ids = ids.clone();
        tries.spawn(async move {
            let mut stored = 0;
            for id in ids {
                match quarantine.replay(id).await.unwrap() {
                    Replayed::Stored { .. } => stored += 1,
                    Replayed::Absent => {}
                    Replayed::Refused(reason) => panic!("{reason}"),
                }
            }
            stored
        });
    }
    assert_eq!(tries.join_all().await.into_iter().sum::<usize>(), ids.len());
    assert_eq!(fixture.values().await, [-1.0, 2.0, 3.0, -4.0]);
}

#[tokio::test]
async fn a_replay_that_dies_before_its_commit_leaves_the_record_where_it_is() {
    let mut fixture = Fixture::new().await;
    let ids = with_refused(&mut fixture).await;
    fixture
        .conn
        .execute(
            "ALTER TABLE noetl.report DROP CONSTRAINT good;
             CREATE SEQUENCE deaths;
             CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('deaths') = 1 THEN
                     PERFORM pg_terminate_backend(pg_backend_pid());
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER die AFTER DELETE ON noetl.quarantine
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();",
        )
        .await
        .unwrap();
    let mut quarantine = quarantine(&fixture).await;
    let died = quarantine.replay(ids[0]).await;
    assert!(matches!(died, Err(QuarantineError::Passing(_))), "{died:?}");
    assert_eq!(fixture.values().await, [3.0]);
    assert_eq!(quarantine.replay(ids[0]).await.unwrap(), Replayed::Stored { rows: 2, samples: 2 });
    assert_eq!(fixture.values().await, [-1.0, 2.0, 3.0]);
}

#[tokio::test]
async fn a_record_that_nobody_can_read_stays() {
    let fixture = Fixture::new().await;
    let mut sink = fixture.sink(PartitionInterval::Day);
    let record = RefusedRecord {
        from: position(0).into(),
        to: position(1).into(),
        reason: "a test".to_owned(),
        payload: vec![99],
        components: Vec::new(),
        series: Vec::new(),
    };
    sink.set_aside(&record).await.unwrap();
    let mut quarantine = quarantine(&fixture).await;
    let id = quarantine.page(0).await.unwrap()[0].quarantine_id;
    let replayed = quarantine.replay(id).await.unwrap();
    assert!(
        matches!(&replayed, Replayed::Refused(reason) if reason.contains("tag 99")),
        "{replayed:?}"
    );
    assert_eq!(quarantine.get(id).await.unwrap().unwrap().payload, [99]);
}
