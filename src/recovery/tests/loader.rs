//! Components out of a real PostgreSQL.

use std::time::{Duration, Instant};

use sqlx::Executor;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::postgres::definitions::{self, ComponentDefinition, SeriesSlotDefinition};
use crate::postgres::test_cluster::{self, TestDatabase};
use crate::recovery::{Loader, fill};
use crate::registry::{ComponentLoader, LoadOutcome, LookupKey};

struct Fixture {
    database: TestDatabase,
    registry: Arc<Registry>,
    loader: ComponentLoader,
    task: JoinHandle<()>,
}

impl Fixture {
    /// A database with `worker_pool/w`, whose series `a` stands at slot 0 of group 5, and others
    /// of these names without series.
    async fn new(others: &[String]) -> Self {
        let database = test_cluster::database().await;
        let mut conn = database.connect().await;
        let names = others.iter().map(String::as_str).chain(["w"]);
        let components: Vec<_> = names
            .map(|name| ComponentDefinition {
                runtime_id: RuntimeId::derive(&key(name)),
                key: key(name),
                first_seen: now(),
            })
            .collect();
        definitions::upsert_components(&mut conn, &components).await.unwrap();
        let series = SeriesSlotDefinition {
            group: group(5),
            slot: Slot::new(0).unwrap(),
            component: key("w"),
            definition: definition("a"),
        };
        definitions::upsert_series(&mut conn, &[series]).await.unwrap();
        Self::over(database.options.clone(), database)
    }

    fn over(options: PgConnectOptions, database: TestDatabase) -> Self {
        let registry = registry();
        let (loader, requests) = ComponentLoader::new(64);
        let clock = Arc::new(ManualClock::new(now()));
        let task = tokio::spawn(Loader::new(options, Arc::clone(&registry), clock, requests).run());
        Self { database, registry, loader, task }
    }

    async fn load(&self, key: LookupKey) -> LoadOutcome {
        self.loader.load(key).await
    }
}

fn named(component_type: Option<&str>, name: &str) -> LookupKey {
    LookupKey::Name { component_type: component_type.map(Into::into), name: name.into() }
}

#[tokio::test]
async fn a_component_is_loaded_by_key_by_name_and_by_id() {
    let id = LookupKey::Id(RuntimeId::derive(&key("w")));
    for wanted in [named(Some("worker_pool"), "w"), named(None, "w"), id] {
        let fixture = Fixture::new(&[]).await;
        assert_eq!(fixture.load(wanted.clone()).await, LoadOutcome::Loaded, "{wanted:?}");
        let component = fixture.registry.find(None, "w").unwrap();
        assert_eq!(fixture.registry.series_count(), 1);
        assert!(component.lock().is_announced());
        assert_eq!(place_of_new(&fixture.registry, &component), (5, 1), "its group goes on");
        drop(fixture.loader);
        fixture.task.await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let fixture = Fixture::new(&[]).await;
    for wanted in [
        named(Some("worker_pool"), "x"),
        named(Some("another_type"), "w"),
        named(None, "x"),
        LookupKey::Id(RuntimeId::from_raw(7)),
    ] {
        assert_eq!(fixture.load(wanted.clone()).await, LoadOutcome::Absent, "{wanted:?}");
    }
    assert_eq!(fixture.registry.component_count(), 0);
}

#[tokio::test]
async fn many_at_once_are_each_told_their_own() {
    let names: Vec<String> = (0..300).map(|n| format!("n{n}")).collect();
    let fixture = Fixture::new(&names).await;
    let loads: Vec<_> = (0..600)
        .map(|n| {
            let loader = fixture.loader.clone();
            tokio::spawn(
                async move { loader.load(named(Some("worker_pool"), &format!("n{n}"))).await },
            )
        })
        .collect();
    for (n, load) in loads.into_iter().enumerate() {
        let expected = if n < 300 { LoadOutcome::Loaded } else { LoadOutcome::Absent };
        assert_eq!(load.await.unwrap(), expected, "n{n}");
    }
    assert_eq!(fixture.registry.component_count(), 300);
}

#[tokio::test]
async fn a_database_that_is_away_holds_nobody_up() {
    let nowhere = PgConnectOptions::new_without_pgpass()
        .socket("/nonexistent")
        .username("postgres")
        .database("none");
    let fixture = Fixture::over(nowhere, test_cluster::empty_database().await);
    let began = Instant::now();
    for n in 0..100 {
        let outcome = fixture.load(named(Some("worker_pool"), &format!("n{n}"))).await;
        assert_eq!(outcome, LoadOutcome::Unavailable);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_was_cut_off_while_idle_is_replaced() {
    let fixture = Fixture::new(&[]).await;
    assert_eq!(fixture.load(named(None, "x")).await, LoadOutcome::Absent);
    let mut conn = fixture.database.connect().await;
    conn.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await
    .unwrap();
    assert_eq!(fixture.load(named(None, "w")).await, LoadOutcome::Loaded);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_nobody_elses_trouble() {
    let fixture = Fixture::new(&["v".to_owned(), "u".to_owned()]).await;
    let mut conn = fixture.database.connect().await;
    conn.execute("UPDATE noetl.series SET unit = repeat('x', 10000)").await.unwrap();
    let (v, w, u) = tokio::join!(
        fixture.load(named(Some("worker_pool"), "v")),
        fixture.load(named(Some("worker_pool"), "w")),
        fixture.load(named(Some("worker_pool"), "u")),
    );
    assert_eq!((v, w, u), (LoadOutcome::Loaded, LoadOutcome::Unavailable, LoadOutcome::Loaded));
}

#[tokio::test]
async fn the_components_seen_lately_are_read_at_the_start() {
    let fixture = Fixture::new(&["v".to_owned()]).await;
    let mut conn = fixture.database.connect().await;
    conn.execute("UPDATE noetl.runtime SET last_heartbeat = '2023-12-01' WHERE name = 'v'")
        .await
        .unwrap();
    let since = now().offset_by(-3_600_000_000);
    let found = fill(&mut conn, &fixture.registry, since, now()).await.unwrap();
    assert_eq!((found.components, found.series), (1, 1));
    assert!(fixture.registry.find(None, "v").is_none());
    let component = fixture.registry.find(None, "w").unwrap();
    assert_eq!(place_of_new(&fixture.registry, &component), (5, 1));
}
