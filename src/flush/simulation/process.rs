//! One life of the server: what is lost when it ends.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Luck;
use crate::clock::{Clock, ManualClock};
use crate::flush::memory_sink::{Database, Fault, Faults, MemorySink};
use crate::flush::{BatchSettings, FlushError, Flusher};
use crate::ingest::{Ingest, IngestParts, IngestSettings};
use crate::log::memory_disk::MemoryDisk;
use crate::log::{Identity, Log, LogSettings, Progress};
use crate::model::{
    NodeNumber, PartitionInterval, Profile, StoredComponent, StoredSeries, Timestamp,
};
use crate::recovery::Replay;
use crate::registry::{
    ComponentLoader, GroupIds, KeyMemory, LoadOutcome, LoadRequest, LookupKey, PartitionWindow,
    Registry, RegistrySettings,
};
use crate::telemetry::Telemetry;

const SEGMENT_BYTES: u64 = 16 << 10;
const LOG: LogSettings = LogSettings {
    segment_bytes: SEGMENT_BYTES,
    budget_bytes: 8 * SEGMENT_BYTES,
    staging_bytes_max: 64 << 10,
};
const BATCHES: BatchSettings = BatchSettings {
    rows_max: 7,
    bytes_max: 4 << 10,
    age_max: Duration::from_millis(1),
    interval: PartitionInterval::Day,
};

/// A running server.
pub(super) struct Process {
    pub(super) ingest: Arc<Ingest>,
    pub(super) registry: Arc<Registry>,
    pub(super) progress: Arc<Progress>,
    log: Log,
    flush: JoinHandle<Result<(), FlushError>>,
    loader: JoinHandle<()>,
}

impl Process {
    /// Starts on what `disk` and `database` have.
    pub(super) fn start(
        disk: &MemoryDisk,
        database: &Arc<Mutex<Database>>,
        clock: &Arc<ManualClock>,
        luck: &mut Luck,
    ) -> Self {
        let node = NodeNumber::new(0).unwrap();
        let mut identity = Identity::load_or_create(disk).unwrap();
        let group_ids = GroupIds::new(node, identity.take_group_block(disk).unwrap());
        let registry = Arc::new(Registry::new(
            RegistrySettings { series_max: 1000, components_max: 1000 },
            group_ids,
        ));
        let (keys, telemetry) = (Arc::<KeyMemory>::default(), Arc::new(Telemetry::new()));
        let window = Arc::new(PartitionWindow::new(PartitionInterval::Day, 4));
        if !luck.once_in(3) {
            for component in stored(&database.lock(), clock.now()) {
                registry.restore(&component, clock.now().seconds());
            }
        }
        let mut replay = Replay::new(&registry, &keys, &window, clock.now());
        let log = Log::open(Arc::new(disk.clone()), LOG, Arc::clone(&telemetry), &mut |record| {
            replay.record(&record);
        })
        .unwrap();
        assert_eq!(replay.finish().unreadable, 0);
        let (loader, requests) = ComponentLoader::new(16);
        let loads = Loads {
            database: Arc::clone(database),
            registry: Arc::clone(&registry),
            clock: Arc::clone(clock),
            luck: luck.fork(),
        };
        let parts = IngestParts {
            registry: Arc::clone(&registry),
            appender: log.appender(),
            window,
            keys,
            outlines: Arc::default(),
            loader,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            telemetry: Arc::clone(&telemetry),
        };
        let sink = MemorySink::new(database, faults(luck.fork()));
        let progress = log.progress();
        let flusher = Flusher::new(sink, Arc::clone(&progress), Arc::clone(&registry), telemetry);
        Self {
            ingest: Arc::new(Ingest::new(parts, IngestSettings::default())),
            registry,
            progress,
            flush: tokio::spawn(flusher.follow(log.readers(), BATCHES, node)),
            loader: tokio::spawn(loads.run(requests)),
            log,
        }
    }

    /// Waits until nothing moves: all is synced, or a sync is held.
    pub(super) async fn settle(&self, disk: &MemoryDisk) {
        loop {
            // Tasks that were woken run first.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            let idle = self.progress.synced() == self.progress.appended();
            if idle || disk.holds_a_sync() || self.progress.is_closed() {
                break;
            }
            std::thread::yield_now();
        }
    }

    /// Waits until all that is synced is in the database.
    pub(super) async fn flushed(&mut self) {
        tokio::select! {
            () = self.progress.wait_flushed(self.progress.synced()) => {}
            ended = &mut self.flush => panic!("the flush ended: {ended:?}"),
        }
    }

    pub(super) fn assert_flushing(&self) {
        assert!(!self.flush.is_finished(), "the flush ended while the process lives");
    }

    /// The process is no more: nothing of it reaches the database from here on.
    pub(super) fn die(self, disk: &MemoryDisk) {
        // Both run on this very thread, hence not now, and not again.
        self.flush.abort();
        self.loader.abort();
        disk.permit_syncs(None);
        drop(self.log);
    }

    /// Stops in good order; everything is in the database then.
    pub(super) async fn stop(self) {
        let Self { log, flush, .. } = self;
        let end = log.close().unwrap();
        flush.await.unwrap().unwrap();
        assert_eq!(self.progress.flushed(), end);
        self.loader.abort();
    }
}

/// A database that fails every third time, in one way or the other.
fn faults(mut luck: Luck) -> Faults {
    Box::new(move || match luck.below(6) {
        0 => Fault::Before,
        1 => Fault::After,
        _ => Fault::None,
    })
}

/// The components as `recovery` reads them from PostgreSQL.
fn stored(database: &Database, now: Timestamp) -> Vec<StoredComponent> {
    let component = |(key, id): (&_, &_)| {
        let of_it = database.series.iter().filter(|(_, (owner, _))| owner == key);
        let series = of_it.map(|(&(group, slot), (_, definition))| StoredSeries {
            group,
            slot,
            definition: definition.as_slice().into(),
        });
        StoredComponent {
            key: Clone::clone(key),
            runtime_id: *id,
            profile: Profile::seen(Timestamp::MIN),
            last_heartbeat: now,
            series: series.collect(),
        }
    };
    database.components.iter().map(component).collect()
}

/// Loads components from a database that is away at times.
struct Loads {
    database: Arc<Mutex<Database>>,
    registry: Arc<Registry>,
    clock: Arc<ManualClock>,
    luck: Luck,
}

impl Loads {
    async fn run(mut self, mut requests: mpsc::Receiver<LoadRequest>) {
        while let Some(LoadRequest { key, reply }) = requests.recv().await {
            if reply.send(self.load(&key)).is_err() {
                // Its client has gone, which is how a life ends.
                break;
            }
        }
    }

    fn load(&mut self, key: &LookupKey) -> LoadOutcome {
        if self.luck.once_in(3) {
            return LoadOutcome::Unavailable;
        }
        let now = self.clock.now();
        match stored(&self.database.lock(), now).iter().find(|one| key.names(one)) {
            Some(component) => {
                self.registry.restore(component, now.seconds());
                LoadOutcome::Loaded
            }
            None => LoadOutcome::Absent,
        }
    }
}
