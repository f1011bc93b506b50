//! Tests of [`super`] against a real PostgreSQL.

use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::model::{NodeNumber, Timestamp};
use crate::postgres::test_cluster;
use crate::registry::{GroupIds, RegistrySettings};
use crate::shutdown::{self, Switch};

const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    conn: PgConnection,
    registry: Arc<Registry>,
    clock: Arc<ManualClock>,
    /// Where the clock began, and when.
    base: (Timestamp, Instant),
    switch: Switch,
    job: JoinHandle<()>,
}

fn noon() -> Timestamp {
    Timestamp::from_micros(1_704_110_400_000_000).unwrap()
}

fn key(name: &str) -> ComponentKey {
    ComponentKey::new("worker_pool", name).unwrap()
}

impl Fixture {
    async fn new(sweep_interval: Duration, offline_after: Duration) -> Self {
        let database = test_cluster::database().await;
        let conn = database.connect().await;
        let ids = GroupIds::new(NodeNumber::new(0).unwrap(), 0..1000);
        let settings = RegistrySettings::new(1000, 1000);
        let registry = Arc::new(Registry::new(settings, ids));
        let clock = Arc::new(ManualClock::new(noon()));
        let (switch, stop) = shutdown::channel();
        let upkeep = RuntimeUpkeep {
            options: database.options.clone(),
            registry: Arc::clone(&registry),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            telemetry: Arc::default(),
            own: ComponentKey::new("server_api", "me").unwrap(),
            details: Details { pid: Some(1), ..Details::default() },
            sweep_interval,
            offline_after,
        };
        let job = tokio::spawn(upkeep.run(stop));
        Self { conn, registry, clock, base: (noon(), Instant::now()), switch, job }
    }

    async fn register(&self, name: &str) -> Written {
        let registered =
            self.registry.register(&key(name), "ready", Details::default(), self.clock.now());
        let (_, written) = registered.unwrap();
        timeout(PATIENCE, written).await.unwrap().unwrap()
    }

    /// The statuses by name, once they are as `expected`.
    async fn wait_for(&mut self, expected: &[(&str, &str)]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows: Vec<(String, String)> = sqlx::query_as(
                "SELECT name, status FROM noetl.runtime ORDER BY name COLLATE \"C\"",
            )
            .fetch_all(&mut self.conn)
            .await
            .unwrap();
            let seen: Vec<_> = rows.iter().map(|(n, s)| (n.as_str(), s.as_str())).collect();
            if seen == expected {
                return;
            }
            self.clock.set(self.base.0.offset_by(micros(self.base.1.elapsed())));
            assert!(Instant::now() < deadline, "{seen:?} did not become {expected:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_written_as_they_come_and_the_server_takes_its_leave() {
    let mut fixture = Fixture::new(Duration::from_secs(3600), Duration::from_secs(7200)).await;
    assert_eq!(fixture.register("w").await, Written::Stored);
    fixture.wait_for(&[("me", "ready"), ("w", "ready")]).await;
    let component = fixture.registry.find(Some("worker_pool"), "w").unwrap();
    let written = fixture.registry.deregister(&component, noon()).unwrap();
    assert_eq!(timeout(PATIENCE, written).await.unwrap(), Ok(Written::Stored));
    fixture.wait_for(&[("me", "ready"), ("w", "offline")]).await;
    fixture.switch.stop();
    timeout(PATIENCE, &mut fixture.job).await.unwrap().unwrap();
    fixture.wait_for(&[("me", "offline"), ("w", "offline")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_silent_are_offline_and_back_once_they_are_heard() {
    let mut fixture = Fixture::new(Duration::from_millis(50), Duration::from_secs(2)).await;
    fixture.register("silent").await;
    fixture.wait_for(&[("me", "ready"), ("silent", "offline")]).await;
    let silent = fixture.registry.find(Some("worker_pool"), "silent").unwrap();
    assert_eq!(&*silent.listed().status, "offline");
    // A clock that was set back by an hour.
    fixture.base.0 = noon().offset_by(-3_600_000_000);
    fixture.clock.set(fixture.base.0);
    silent.touch(fixture.clock.now().seconds());
    fixture.wait_for(&[("me", "ready"), ("silent", "ready")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_registration_that_is_refused_does_not_keep_the_others_out() {
    let mut fixture = Fixture::new(Duration::from_secs(3600), Duration::from_secs(7200)).await;
    fixture.wait_for(&[("me", "ready")]).await;
    let constrain = "ALTER TABLE noetl.runtime ADD CHECK (name <> 'bad')";
    sqlx::query(constrain).execute(&mut fixture.conn).await.unwrap();
    let (one, bad, two) =
        tokio::join!(fixture.register("a"), fixture.register("bad"), fixture.register("b"));
    assert_eq!((one, two), (Written::Stored, Written::Stored));
    let Written::Refused(reason) = bad else { panic!("{bad:?}") };
    assert!(reason.contains("check constraint"), "{reason}");
    fixture.wait_for(&[("a", "ready"), ("b", "ready"), ("me", "ready")]).await;
}
