//! Tests of [`super`] against a real PostgreSQL.

use sqlx::Executor;

use super::*;
use crate::postgres::definitions::tests::{at, component, gauge, group, key, noon};
use crate::postgres::definitions::{SeriesSlotDefinition, upsert_components, upsert_series};
use crate::postgres::test_cluster;

const ALL: LoadLimits = LoadLimits {
    components_max: 1_000_000,
    series_max: 1_000_000,
    component_series_max: 1_000_000,
};

async fn fixture(components: &[&str], series: &[SeriesSlotDefinition]) -> PgConnection {
    let mut conn = test_cluster::database().await.connect().await;
    let components: Vec<_> = components.iter().map(|name| component(name)).collect();
    upsert_components(&mut conn, &components).await.unwrap();
    upsert_series(&mut conn, series).await.unwrap();
    conn
}

async fn read_all(
    conn: &mut PgConnection,
    since: Timestamp,
    limits: LoadLimits,
) -> Vec<StoredComponent> {
    let mut pages = components_since(conn, since, limits).await.unwrap();
    let mut components = Vec::new();
    while let Some(mut page) = pages.next(conn).await.unwrap() {
        components.append(&mut page);
    }
    components
}

fn stored(definition: &SeriesSlotDefinition) -> StoredSeries {
    StoredSeries {
        group: definition.group,
        slot: definition.slot,
        definition: definition.definition.clone().into(),
    }
}

#[tokio::test]
async fn definitions_come_back_byte_for_byte_in_the_order_of_groups_and_slots() {
    // jsonb orders keys by length first, which canonical bytes do not.
    let labels = [("aaa", "1"), ("b", "\"\\\n\u{1}ü😀"), ("cc", "")];
    let series = [
        at(group(4), 1, "a", gauge("cpu", &labels, "help 'text'")),
        at(group(4), 0, "a", gauge("cpu", &[], "")),
        at(group(1), 63, "a", gauge("memory \u{7f}", &[("", "empty key")], "")),
        at(group(2), 0, "b", gauge("cpu", &[], "")),
    ];
    let mut conn = fixture(&["a", "b", "c"], &series).await;
    let mut read = read_all(&mut conn, noon(0), ALL).await;
    read.sort_by(|x, y| x.key.cmp(&y.key));
    let got: Vec<_> = read.iter().map(|c| (c.key.name(), c.series.clone())).collect();
    let [first, second, third, fourth] = series.each_ref().map(stored);
    assert_eq!(got, [("a", vec![third, second, first]), ("b", vec![fourth]), ("c", vec![])]);
    assert_eq!(read[0].runtime_id, component("a").runtime_id);
    assert_eq!((&*read[0].profile.status, read[0].last_heartbeat), ("ready", noon(0)));
}

#[tokio::test]
async fn only_what_was_seen_lately_is_read_and_the_latest_first() {
    let mut conn = fixture(&["a", "b", "c"], &[]).await;
    conn.execute(
        "UPDATE noetl.runtime SET last_heartbeat = last_heartbeat + interval '1 minute'
          WHERE name = 'b';
         UPDATE noetl.runtime SET last_heartbeat = last_heartbeat - interval '1 minute'
          WHERE name = 'c'",
    )
    .await
    .unwrap();
    let names = |read: Vec<StoredComponent>| -> Vec<String> {
        read.iter().map(|component| component.key.name().to_owned()).collect()
    };
    assert_eq!(names(read_all(&mut conn, noon(0), ALL).await), ["b", "a"]);
    let one = LoadLimits { components_max: 1, ..ALL };
    assert_eq!(names(read_all(&mut conn, noon(-60), one).await), ["b"]);
}

#[tokio::test]
async fn reading_stops_after_the_page_that_reaches_the_limit_of_series() {
    let names: Vec<String> = (0..PAGE_COMPONENTS * 2 + 1).map(|n| format!("w-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let series: Vec<_> =
        (0..).zip(&names).map(|(n, name)| at(group(n), 0, name, gauge("cpu", &[], ""))).collect();
    let mut conn = fixture(&names, &series).await;
    assert_eq!(read_all(&mut conn, noon(0), ALL).await.len(), names.len());
    let few = LoadLimits { series_max: PAGE_COMPONENTS + 1, ..ALL };
    assert_eq!(read_all(&mut conn, noon(0), few).await.len(), PAGE_COMPONENTS * 2);
}

#[tokio::test]
async fn of_a_component_with_many_series_the_newest_groups_are_read() {
    let places = [(1, 0), (1, 1), (3, 0), (3, 1), (2, 0), (2, 1)];
    let names: Vec<String> = (0..places.len()).map(|n| format!("cpu_{n}")).collect();
    let in_place =
        |((n, slot), name): ((u64, u8), &String)| at(group(n), slot, "many", gauge(name, &[], ""));
    let mut series: Vec<_> = places.into_iter().zip(&names).map(in_place).collect();
    series.push(at(group(4), 0, "few", gauge("cpu", &[], "")));
    let mut conn = fixture(&["many", "few"], &series).await;
    let read = components_by_key(&mut conn, &[key("many"), key("few")], 3).await.unwrap();
    for component in read {
        let places: Vec<_> =
            component.series.iter().map(|one| (one.group, one.slot.get())).collect();
        let want = match component.key.name() {
            "many" => vec![(group(2), 1), (group(3), 0), (group(3), 1)],
            _ => vec![(group(4), 0)],
        };
        assert_eq!(places, want, "{}", component.key.name());
    }
}

#[tokio::test]
async fn components_are_found_by_key_and_by_id() {
    let series = [at(group(1), 0, "a", gauge("cpu", &[], ""))];
    let mut conn = fixture(&["a", "b"], &series).await;
    let keys = [key("a"), key("nobody"), key("a")];
    let found = components_by_key(&mut conn, &keys, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].key, &found[0].series), (&key("a"), &vec![stored(&series[0])]));
    let by_id = component_by_id(&mut conn, found[0].runtime_id, 10).await.unwrap();
    assert_eq!(by_id.as_ref(), Some(&found[0]));
    assert_eq!(component_by_id(&mut conn, RuntimeId::from_raw(1), 10).await.unwrap(), None);
}

#[tokio::test]
async fn a_series_that_no_server_wrote_is_named() {
    let series = [at(group(1), 0, "a", gauge("cpu", &[], ""))];
    let mut conn = fixture(&["a"], &series).await;
    for change in [
        r#"UPDATE noetl.series SET labels = '{"n": 1}'"#,
        "UPDATE noetl.series SET labels = '{}', unit = repeat('u', 64)",
        "UPDATE noetl.series SET unit = NULL, metric_name = repeat('n', 65536)",
    ] {
        conn.execute(change).await.unwrap();
        let error = components_by_key(&mut conn, &[key("a")], 10).await.unwrap_err();
        assert!(matches!(error, StoredError::Series { .. }), "{error}");
    }
}
