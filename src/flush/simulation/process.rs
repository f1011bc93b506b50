//! One life of the server: what is lost when it ends.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Luck;
use super::clients::{Clients, Meaning, State};
use super::following::Following;
use super::mishaps::Mishaps;
use super::server::{Condition, Server, ServerSink};
use super::story::Story;
use super::task::Task;
use crate::access::Caller;
use crate::clock::{Clock, ManualClock};
use crate::flush::memory_sink::Database;
use crate::flush::{BatchSettings, Flusher};
use crate::ingest::{Ingest, IngestError, IngestParts, IngestSettings};
use crate::log::by_hand::ByHand;
use crate::log::memory_disk::MemoryDisk;
use crate::log::{Disk, Identity, IdentityError, LogSettings, OpenError, Progress};
use crate::model::{
    NodeNumber, PartitionInterval, Profile, StoredComponent, StoredSeries, Timestamp,
};
use crate::recovery::Replay;
use crate::registry::{
    ComponentLoader, GroupIds, KeyMemory, LoadOutcome, LoadRequest, LookupKey, PartitionWindow,
    Registry, RegistrySettings,
};
use crate::telemetry::Telemetry;

pub(super) const BATCHES: BatchSettings = BatchSettings {
    rows_max: 7,
    bytes_max: 2 << 10,
    age_max: Duration::from_secs(3600),
    interval: PartitionInterval::Day,
};

/// What is there before a process and after it.
pub(super) struct Surroundings {
    pub(super) disk: MemoryDisk,
    pub(super) server: Arc<Mutex<Server>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) settings: LogSettings,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) story: Story,
}

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Log(#[from] OpenError),
}

/// A running server.
pub(super) struct Process {
    pub(super) registry: Arc<Registry>,
    pub(super) progress: Arc<Progress>,
    pub(super) log: Arc<ByHand>,
    pub(super) following: Following,
    pub(super) mishaps: Arc<Mishaps>,
    pub(super) attempts: Vec<Attempt>,
    /// Whether it knows what the database had when it started.
    pub(super) filled: bool,
    ingest: Arc<Ingest>,
    loads: mpsc::Receiver<LoadRequest>,
    story: Story,
}

/// A request on its way.
pub(super) struct Attempt {
    pub(super) kind: Kind,
    /// The reports that it carries.
    pub(super) reports: Range<usize>,
    task: Task<Result<Vec<u8>, IngestError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Lines,
    /// The key of a report with another body.
    OtherBody,
}

impl Process {
    /// Starts on what there is.
    pub(super) fn start(
        around: &Surroundings,
        mishaps: Arc<Mishaps>,
        luck: &mut Luck,
    ) -> Result<Self, StartError> {
        let Surroundings { disk, server, clock, settings, telemetry, story } = around;
        let node = NodeNumber::new(0).unwrap();
        let mut identity = Identity::load_or_create(disk)?;
        let group_ids = GroupIds::new(node, identity.take_group_block(disk)?);
        let registry = Arc::new(Registry::new(RegistrySettings::new(1000, 1000), group_ids));
        let (keys, now) = (Arc::<KeyMemory>::default(), clock.now());
        let window = Arc::new(PartitionWindow::new(PartitionInterval::Day, 4));
        let filled = server.lock().condition == Condition::Well && !luck.once_in(3);
        if filled {
            for component in stored(&server.lock().database, now) {
                registry.restore(&component, now.seconds());
            }
        }
        let mut replay = Replay::new(&registry, &keys, &window, now);
        let shared = Arc::new(disk.clone()) as Arc<dyn Disk>;
        let log = ByHand::open(shared, *settings, Arc::clone(telemetry), &mut |record| {
            replay.record(&record);
        })?;
        assert_eq!(replay.finish().unreadable, 0);
        let log = Arc::new(log);
        mishaps.interleave(&log);
        let (loader, loads) = ComponentLoader::new(16);
        let parts = IngestParts {
            registry: Arc::clone(&registry),
            appender: log.log.appender(),
            window,
            keys,
            outlines: Arc::default(),
            loader,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            telemetry: Arc::clone(telemetry),
        };
        let sink = ServerSink(Arc::clone(server));
        let progress = log.log.progress();
        let flusher =
            Flusher::new(sink, Arc::clone(&progress), Arc::clone(&registry), Arc::clone(telemetry));
        story.tell(format_args!(
            "started: log {}..{}, filled {filled}",
            log.log.first(),
            progress.synced()
        ));
        Ok(Self {
            following: Following::new(flusher, log.log.readers(), BATCHES, node),
            ingest: Arc::new(Ingest::new(parts, IngestSettings::default())),
            registry,
            progress,
            log,
            mishaps,
            attempts: Vec::new(),
            filled,
            loads,
            story: story.clone(),
        })
    }

    /// Sends one report, or several as lines of one body.
    pub(super) fn send(&mut self, clients: &mut Clients, body: Range<usize>) {
        let reports = &mut clients.reports[body.clone()];
        for report in &mut *reports {
            assert_eq!((report.state, &report.body), (State::Waiting, &body));
            report.state = State::Asking;
        }
        let lines: Vec<&str> = reports.iter().map(|one| one.document.as_str()).collect();
        let kind = if lines.len() > 1 { Kind::Lines } else { Kind::One };
        self.ask(kind, body, lines.join("\n"), reports[0].key.clone());
    }

    /// Sends a report of its own under the key of another one.
    pub(super) fn send_other_body(&mut self, clients: &Clients, report: usize) {
        let key = clients.reports[report].key.clone();
        let body = clients.reports[report].document.replace("gauge", "counter");
        self.ask(Kind::OtherBody, report..report + 1, body, key);
    }

    fn ask(&mut self, kind: Kind, reports: Range<usize>, body: String, key: Option<String>) {
        self.story.tell(format_args!("client: {kind:?} {reports:?}, key {}", key.is_some()));
        let ingest = Arc::clone(&self.ingest);
        let task = Task::new(async move {
            let key = key.as_deref().map(str::as_bytes);
            ingest.admit()?;
            match kind {
                Kind::One | Kind::OtherBody => ingest.report(body, key, Caller::trusted()).await,
                Kind::Lines => ingest.report_lines(body, key, Caller::trusted()).await,
            }
        });
        self.attempts.push(Attempt { kind, reports, task });
    }

    /// Every request has its turn; the answers that came.
    pub(super) fn answers(&mut self) -> Vec<(Kind, Range<usize>, Meaning)> {
        let mut answers = Vec::new();
        self.attempts.retain_mut(|attempt| {
            let Some(answer) = attempt.task.turn() else { return true };
            let meaning = Meaning::of(&answer);
            self.story.tell(format_args!("answer to {:?}: {meaning:?}", attempt.reports));
            answers.push((attempt.kind, attempt.reports.clone(), meaning));
            false
        });
        answers
    }

    /// The reports that are being asked.
    pub(super) fn asked(&self) -> impl Iterator<Item = Range<usize>> {
        let own = self.attempts.iter().filter(|attempt| attempt.kind != Kind::OtherBody);
        own.map(|attempt| attempt.reports.clone())
    }

    /// Answers one request for a component; whether there was one.
    pub(super) fn load(&mut self, around: &Surroundings, luck: &mut Luck) -> bool {
        let Ok(LoadRequest { key, reply }) = self.loads.try_recv() else { return false };
        let outcome = self.look_up(&key, around, luck);
        self.story.tell(format_args!("load of {key:?}: {outcome:?}"));
        if reply.send(outcome).is_err() {
            self.story.tell(format_args!("nobody waited for it"));
        }
        true
    }

    fn look_up(&self, key: &LookupKey, around: &Surroundings, luck: &mut Luck) -> LoadOutcome {
        let server = around.server.lock();
        if server.condition != Condition::Well || luck.once_in(4) {
            return LoadOutcome::Unavailable;
        }
        let now = around.clock.now();
        match stored(&server.database, now).iter().find(|one| key.names(one)) {
            Some(component) => {
                self.registry.restore(component, now.seconds());
                LoadOutcome::Loaded
            }
            None => LoadOutcome::Absent,
        }
    }
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
