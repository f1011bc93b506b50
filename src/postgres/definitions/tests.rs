//! Tests of [`super`] against a real PostgreSQL, and the fixtures that its neighbours share.

use sqlx::Executor;

use super::*;
use crate::model::{NodeNumber, series};
use crate::postgres::test_cluster;

/// `worker_pool/<name>`.
pub(in crate::postgres) fn key(name: &str) -> ComponentKey {
    ComponentKey::new("worker_pool", name).unwrap()
}

/// 2024-01-01T12:00:00Z and `seconds` later.
pub(in crate::postgres) fn noon(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_704_110_400_000_000 + seconds * 1_000_000).unwrap()
}

pub(in crate::postgres) fn group(counter: u64) -> GroupId {
    GroupId::new(NodeNumber::new(2).unwrap(), counter)
}

/// A component that was first seen at noon.
pub(in crate::postgres) fn component(name: &str) -> ComponentDefinition {
    let key = key(name);
    ComponentDefinition { runtime_id: RuntimeId::derive(&key), key, first_seen: noon(0) }
}

/// The canonical bytes of a gauge in percent.
pub(in crate::postgres) fn gauge(name: &str, labels: &[(&str, &str)], help: &str) -> Vec<u8> {
    series::gauge(name, labels, help, "percent").0
}

/// `definition` of component `name` at the slot `slot` of `group`.
pub(in crate::postgres) fn at(
    group: GroupId,
    slot: u8,
    name: &str,
    definition: Vec<u8>,
) -> SeriesSlotDefinition {
    let slot = Slot::new(slot).unwrap();
    SeriesSlotDefinition { group, slot, component: key(name), definition }
}

async fn fixture(components: &[&str]) -> PgConnection {
    let mut conn = test_cluster::database().await.connect().await;
    let components: Vec<_> = components.iter().map(|name| component(name)).collect();
    upsert_components(&mut conn, &components).await.unwrap();
    conn
}

async fn count(conn: &mut PgConnection, from: &'static str) -> i64 {
    sqlx::query_scalar(from).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn components_keep_the_id_they_have() {
    let mut conn = fixture(&[]).await;
    conn.execute(
        "INSERT INTO noetl.runtime (runtime_id, component_type, name, status)
         VALUES (42, 'worker_pool', 'old', 'busy')",
    )
    .await
    .unwrap();
    let definitions = [component("old"), component("new"), component("new")];
    let new = definitions[1].runtime_id;
    let expected = [(key("new"), new), (key("old"), RuntimeId::from_raw(42))];
    assert_eq!(upsert_components(&mut conn, &definitions).await.unwrap(), expected);
    assert_eq!(upsert_components(&mut conn, &definitions).await.unwrap(), expected);
    let status: Vec<String> = sqlx::query_scalar("SELECT status FROM noetl.runtime ORDER BY name")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    assert_eq!(status, ["ready", "busy"]);
}

#[tokio::test]
async fn a_colliding_id_goes_to_the_next_free_one() {
    let mut conn = fixture(&[]).await;
    let definitions = ["a", "b", "c"]
        .map(|name| ComponentDefinition { runtime_id: RuntimeId::from_raw(7), ..component(name) });
    let ids = upsert_components(&mut conn, &definitions).await.unwrap();
    let expected = [("a", 7), ("b", 8), ("c", 9)];
    assert_eq!(ids, expected.map(|(name, id)| (key(name), RuntimeId::from_raw(id))));
    assert_eq!(upsert_components(&mut conn, &definitions).await.unwrap(), ids);

    conn.execute(
        "INSERT INTO noetl.runtime (runtime_id, component_type, name)
         SELECT 100 + n, 'taken', n::text FROM generate_series(0, 16) AS n",
    )
    .await
    .unwrap();
    let crowded = ComponentDefinition { runtime_id: RuntimeId::from_raw(100), ..component("d") };
    let error = upsert_components(&mut conn, &[crowded]).await.unwrap_err();
    assert!(matches!(error, DefinitionError::NoFreeId { .. }), "{error}");
}

#[tokio::test]
async fn a_replayed_definition_changes_nothing() {
    let mut conn = fixture(&["a", "b"]).await;
    let definitions = [
        at(group(1), 0, "a", gauge("cpu", &[("host", "n-1")], "CPU")),
        at(group(1), 1, "a", gauge("cpu", &[("host", "n-2")], "CPU")),
        at(group(2), 0, "b", gauge("cpu", &[("host", "n-1")], "CPU")),
    ];
    upsert_series(&mut conn, &definitions).await.unwrap();
    upsert_series(&mut conn, &definitions).await.unwrap();
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series").await, 3);
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series_slot").await, 3);
    // The same series may begin a second group.
    let second = at(group(3), 5, "a", definitions[0].definition.clone());
    upsert_series(&mut conn, &[second]).await.unwrap();
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series").await, 3);
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series_slot").await, 4);
}

#[tokio::test]
async fn the_last_metadata_wins_within_a_batch_and_between_batches() {
    let mut conn = fixture(&["a"]).await;
    let mut help = async |texts: &[&str]| {
        let definitions: Vec<_> =
            texts.iter().map(|help| at(group(1), 0, "a", gauge("cpu", &[], help))).collect();
        upsert_series(&mut conn, &definitions).await.unwrap();
        let help: Option<String> = sqlx::query_scalar("SELECT help_text FROM noetl.series")
            .fetch_one(&mut conn)
            .await
            .unwrap();
        help
    };
    assert_eq!(help(&["one", "two", "three"]).await.as_deref(), Some("three"));
    assert_eq!(help(&["four"]).await.as_deref(), Some("four"));
    assert_eq!(help(&[""]).await, None);
}

#[tokio::test]
async fn what_cannot_be_stored_is_named_before_anything_is_sent() {
    let mut conn = fixture(&["a"]).await;
    let good = at(group(1), 0, "a", gauge("cpu", &[], ""));
    for bad in [
        b"not canonical".to_vec(),
        gauge("cpu\0", &[], ""),
        gauge("cpu", &[("k", "\0")], ""),
        gauge("cpu", &[], "\0"),
    ] {
        let bad = at(group(9), 8, "a", bad);
        let error = upsert_series(&mut conn, &[good.clone(), bad]).await.unwrap_err();
        let DefinitionError::Unstorable { group: g, slot, .. } = error else { panic!("{error}") };
        assert_eq!((g, slot.get()), (group(9), 8));
    }
    let stray = at(group(1), 1, "nobody", gauge("cpu", &[], ""));
    let error = upsert_series(&mut conn, &[good, stray]).await.unwrap_err();
    assert!(matches!(error, DefinitionError::UnknownComponent { .. }), "{error}");
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series").await, 0);
}

#[tokio::test]
async fn a_slot_never_changes_its_series() {
    let mut conn = fixture(&["a"]).await;
    let first = at(group(1), 3, "a", gauge("cpu", &[], ""));
    let other = at(group(1), 3, "a", gauge("memory", &[], ""));
    let taken = |error: DefinitionError| matches!(error, DefinitionError::SlotTaken { slot, .. } if slot.get() == 3);
    let both = [first.clone(), other.clone()];
    assert!(taken(upsert_series(&mut conn, &both).await.unwrap_err()));
    upsert_series(&mut conn, &[first]).await.unwrap();
    assert!(taken(upsert_series(&mut conn, &[other]).await.unwrap_err()));
}

#[tokio::test]
async fn a_series_changed_by_hand_is_not_taken_for_its_fingerprint() {
    let mut conn = fixture(&["a"]).await;
    let definition = [at(group(1), 0, "a", gauge("cpu", &[("host", "n-1")], ""))];
    upsert_series(&mut conn, &definition).await.unwrap();
    conn.execute(r#"UPDATE noetl.series SET labels = '{"host": "n-2"}'"#).await.unwrap();
    let error = upsert_series(&mut conn, &definition).await.unwrap_err();
    assert!(matches!(error, DefinitionError::SeriesAltered { .. }), "{error}");
}

const ROUNDS: u64 = 10;

/// Two servers' connections and 400 components that both report.
async fn two_servers() -> (PgConnection, PgConnection, Vec<ComponentDefinition>) {
    let database = test_cluster::database().await;
    let (mut a, b) = (database.connect().await, database.connect().await);
    let shared: Vec<_> = (0..400).map(|n| component(&format!("w-{n}"))).collect();
    upsert_components(&mut a, &shared).await.unwrap();
    (a, b, shared)
}

// Each of the next two writes the same rows from both sides at once, in opposite orders.
// Without one order of locking they end in PostgreSQL's deadlock error.

#[tokio::test]
async fn two_servers_with_the_same_new_components_do_not_deadlock() {
    let (mut a, mut b, shared) = two_servers().await;
    for round in 0..ROUNDS {
        let forth: Vec<_> =
            shared.iter().map(|c| component(&format!("{}-{round}", c.key.name()))).collect();
        let back: Vec<_> = forth.iter().rev().cloned().collect();
        let (one, two) =
            tokio::join!(upsert_components(&mut a, &forth), upsert_components(&mut b, &back));
        assert_eq!(one.unwrap(), two.unwrap());
    }
}

#[tokio::test]
async fn two_servers_with_the_same_series_do_not_deadlock() {
    let (mut a, mut b, shared) = two_servers().await;
    let define = |node: u16, round: u64| -> Vec<SeriesSlotDefinition> {
        let node = NodeNumber::new(node).unwrap();
        let each = |(n, c): (u64, &ComponentDefinition)| {
            let group = GroupId::new(node, round * 1000 + n);
            // Every series is defined in two rounds: new in one, known in the other.
            at(group, 0, c.key.name(), gauge(&format!("m{}", round / 2), &[], ""))
        };
        (0..).zip(&shared).map(each).collect()
    };
    for round in 0..ROUNDS {
        let (forth, mut back) = (define(0, round), define(1, round));
        back.reverse();
        let (one, two) = tokio::join!(upsert_series(&mut a, &forth), upsert_series(&mut b, &back));
        one.and(two).unwrap();
    }
    assert_eq!(count(&mut a, "SELECT count(*) FROM noetl.series").await, 400 * 5);
    assert_eq!(count(&mut a, "SELECT count(*) FROM noetl.series_slot").await, 400 * 20);
}

/// Not a bound on speed: it shows that a batch of many chunks is complete.
#[tokio::test]
async fn a_large_batch_is_written_chunk_by_chunk() {
    let mut conn = fixture(&[]).await;
    let components: Vec<_> = (0..CHUNK_ROWS + 1).map(|n| component(&format!("w-{n}"))).collect();
    assert_eq!(upsert_components(&mut conn, &components).await.unwrap().len(), CHUNK_ROWS + 1);
    let definitions: Vec<_> = (0..CHUNK_ROWS * 2 + 1)
        .map(|n| {
            let name = format!("w-{}", n % 100);
            at(group(n as u64 / 64), (n % 64) as u8, &name, gauge(&format!("m{n}"), &[], ""))
        })
        .collect();
    upsert_series(&mut conn, &definitions).await.unwrap();
    let expected = i64::try_from(definitions.len()).unwrap();
    assert_eq!(count(&mut conn, "SELECT count(*) FROM noetl.series_slot").await, expected);
}
