//! From the configuration to a running server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use sqlx::PgConnection;
use tokio::task::JoinHandle;

use super::database::StartedDatabase;
use super::reload::{HangUps, Reload};
use super::supervisor::Supervisor;
use super::{AppError, access, open_files, own_row, tls};
use crate::access::Gate;
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::exposition::{Page, PageSettings};
use crate::flush::{BatchSettings, FlushError, Flusher, PostgresSink, reader_at};
use crate::http::{
    Api, ApiParts, ApiSettings, ConnectionTimes, Front, Latch, Readiness, Server, ServerSettings,
};
use crate::ingest::{Ingest, IngestParts, IngestSettings, Outlines};
use crate::jobs::{
    Maintenance, MaintenanceSettings, MemoryUpkeep, PartitionUpkeep, RuntimeUpkeep, SelfReport,
    SelfReportRequests, SelfReporter,
};
use crate::log::{Disk, Identity, Log, LogSettings, Progress, RealDisk};
use crate::model::NodeNumber;
use crate::postgres::connect;
use crate::postgres::embedded::EmbeddedError;
use crate::protocol::DecodeSettings;
use crate::query::Queries;
use crate::recovery::{self, Loader, Replay};
use crate::registry::{
    ComponentLoader, GroupIds, KeyMemory, PartitionWindow, Registry, RegistrySettings,
};
use crate::shutdown::{self, Switch};
use crate::telemetry::Telemetry;

/// Load requests that may wait.
const LOAD_REQUESTS_MAX: usize = 4096;
/// Connections for queries.
const QUERY_CONNECTIONS: u32 = 8;
/// Bytes of one batch.
const BATCH_BYTES_MAX: usize = 32 << 20;
/// Bytes that may wait for the log's disk.
const STAGING_BYTES_MAX: usize = 128 << 20;

/// A running server: what it consists of, and how to end it.
pub(super) struct Running {
    pub(super) api: Arc<Api>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) log: Log,
    pub(super) progress: Arc<Progress>,
    pub(super) drain_delay: Duration,
    pub(super) drain_timeout: Duration,
    /// Tells the port and the jobs to stop.
    pub(super) stop: Switch,
    pub(super) server: JoinHandle<usize>,
    pub(super) flush: JoinHandle<Result<(), FlushError>>,
    /// Takes its leave in the registry before it ends.
    pub(super) runtime: JoinHandle<()>,
    pub(super) jobs: Vec<JoinHandle<()>>,
    /// Tells the embedded PostgreSQL to stop, last of all.
    pub(super) stop_postgres: Switch,
    pub(super) postgres: Option<JoinHandle<Result<(), EmbeddedError>>>,
    /// How requests reach it.
    url: String,
    psql: String,
}

/// What the ingest and the recovery share.
struct Memory {
    registry: Arc<Registry>,
    keys: Arc<KeyMemory>,
    window: Arc<PartitionWindow>,
    /// Looks after what the window knows.
    partitions: Arc<Maintenance>,
    outlines: Arc<Outlines>,
}

impl Running {
    /// Starts the server.
    pub(super) async fn start(
        settings: &Settings,
        hang_ups: HangUps,
        supervisor: &Arc<Supervisor>,
    ) -> Result<Self, AppError> {
        let began = Instant::now();
        let gate = Arc::new(access::gate(settings)?);
        let tls = tls::start(settings)?.map(Arc::new);
        let telemetry = Arc::new(Telemetry::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let server = Server::bind(ServerSettings {
            listen: settings.listen,
            connections_max: open_files::connections_allowed(settings.connections_max),
            times: ConnectionTimes {
                keep_alive: settings.keep_alive,
                head: settings.head_timeout,
                answer: settings.answer_timeout,
            },
            tls: tls.clone(),
        })?;
        let address = server.address();
        let readiness = Arc::new(Readiness::starting());
        let front = Arc::new(Front::new(Arc::clone(&readiness), Arc::clone(&telemetry)));
        let (stop, stopped) = shutdown::channel();
        // From here on it is told what the start waits for. A start that fails ends the process, and
        // with it this task.
        let server =
            tokio::spawn(server.run(Arc::clone(&front), stopped.clone(), settings.drain_timeout));
        readiness.drop_latch(Latch::Port);
        let data_dir = |source| AppError::DataDir { path: settings.data_dir.clone(), source };
        let disk: Arc<dyn Disk> =
            Arc::new(RealDisk::new(&settings.data_dir.join("log")).map_err(data_dir)?);
        let mut identity = Identity::load_or_create(&*disk)?;
        let registered = identity.node().is_some();
        let mut database = StartedDatabase::start(settings, registered).await?;
        let conn = database.prepare(&mut identity, &*disk).await?;
        let number = identity.node().ok_or(AppError::Interrupted)?;
        readiness.drop_latch(Latch::Database);
        let group_ids = GroupIds::new(number, identity.take_group_block(&*disk)?)
            .with_groups_closed_below(identity.groups_closed_below());
        let window = Arc::new(PartitionWindow::new(
            settings.partition_interval,
            settings.past_partitions_max as usize,
        ));
        let memory = Memory {
            registry: Arc::new(Registry::new(registry_settings(settings), group_ids)),
            keys: Arc::default(),
            partitions: Arc::new(Maintenance::new(
                database.options.clone(),
                maintenance_settings(settings),
                Arc::clone(&window),
                Arc::clone(&clock),
                Arc::clone(&telemetry),
            )),
            window,
            outlines: Arc::default(),
        };
        let mut stored = None;
        if let Some(mut conn) = conn {
            telemetry.flush.postgres_up.set(1);
            stored = database.stored_place(&mut conn, number, identity.log_id()).await?;
            // The flush makes the partitions that it needs, as soon as that is possible.
            database.try_in_time("making partitions", memory.partitions.prepare()).await;
            fill(conn, &memory.registry, settings, &*clock).await;
        }
        readiness.drop_latch(Latch::Memory);
        let log = open_log(settings, &disk, &telemetry, &memory, &*clock)?;
        let progress = log.progress();
        if let Some(stored) = stored {
            // The flush asks this again; here it keeps a server from taking what it cannot store.
            reader_at(&log.readers(), stored)?;
        }
        readiness.drop_latch(Latch::Log);

        let (stop_postgres, mut postgres_stopped) = shutdown::channel();
        let (loader, requests) = ComponentLoader::new(LOAD_REQUESTS_MAX);
        let load = Loader::new(
            database.options.clone(),
            Arc::clone(&memory.registry),
            Arc::clone(&clock),
            requests,
        );
        let flush = spawn_flush(settings, &database, &identity, number, &log, &memory, &telemetry);
        let runtime = RuntimeUpkeep {
            options: database.options.clone(),
            registry: Arc::clone(&memory.registry),
            clock: Arc::clone(&clock),
            telemetry: Arc::clone(&telemetry),
            own: own_row::key(settings),
            details: own_row::details(settings),
            sweep_interval: settings.runtime_sweep_interval,
            offline_after: settings.runtime_offline_seconds,
        };
        let upkeep = MemoryUpkeep {
            registry: Arc::clone(&memory.registry),
            outlines: Arc::clone(&memory.outlines),
            progress: Arc::clone(&progress),
            clock: Arc::clone(&clock),
            idle_after_s: u32::try_from(settings.idle_after.as_secs()).unwrap_or(u32::MAX),
            identity,
            disk,
        };
        let partitions = PartitionUpkeep { maintenance: Arc::clone(&memory.partitions) };
        let runtime = tokio::spawn(runtime.run(stopped.clone()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}");
        let reload = Reload {
            hang_ups,
            settings: settings.clone(),
            gate: Arc::clone(&gate),
            tls,
            supervisor: Arc::clone(supervisor),
        };
        let ready = Arc::clone(&readiness);
        let (api, self_report, self_report_requests) =
            build_api(settings, gate, &database, loader, memory, &log, clock, ready, telemetry);
        let jobs = vec![
            tokio::spawn(load.run()),
            tokio::spawn(reload.run(stopped.clone())),
            tokio::spawn(partitions.run(stopped.clone())),
            tokio::spawn(upkeep.run(stopped.clone())),
            tokio::spawn(self_report.run(self_report_requests, stopped)),
        ];
        let postgres = database.embedded.take().map(|embedded| {
            tokio::spawn(embedded.supervise(async move { postgres_stopped.requested().await }))
        });
        front.open(Arc::clone(&api));
        readiness.drop_latch(Latch::Tasks);
        tracing::info!(%address, node = number.get(), took_ms = began.elapsed().as_millis() as u64, "started");
        Ok(Self {
            api,
            readiness,
            log,
            progress,
            drain_delay: settings.drain_delay,
            drain_timeout: settings.drain_timeout,
            stop,
            server,
            flush,
            runtime,
            jobs,
            stop_postgres,
            postgres,
            url,
            psql: std::mem::take(&mut database.psql),
        })
    }

    /// One line for the person who started the server.
    pub(super) fn ready_line(&self) -> String {
        format!("noetl-metrics is ready on {}; database: {}", self.url, self.psql)
    }
}

/// How the configuration wants the memory.
fn registry_settings(settings: &Settings) -> RegistrySettings {
    RegistrySettings {
        series_max: settings.series_max,
        components_max: settings.components_max,
        component_series_max: settings.component_series_max,
        new_series_per_minute_max: Some(settings.new_series_per_minute_max),
        component_new_series_per_minute_max: Some(settings.component_new_series_per_minute_max),
    }
}

/// How the configuration wants the partitions.
pub(super) fn maintenance_settings(settings: &Settings) -> MaintenanceSettings {
    MaintenanceSettings {
        interval: settings.partition_interval,
        ahead: settings.partitions_ahead,
        retention: settings.metrics_retention,
    }
}

/// Fills the registry with the components seen lately. A failure only makes new groups begin.
async fn fill(mut conn: PgConnection, registry: &Registry, settings: &Settings, clock: &dyn Clock) {
    let now = clock.now();
    let idle_us = i64::try_from(settings.idle_after.as_micros()).unwrap_or(i64::MAX);
    match recovery::fill(&mut conn, registry, now.offset_by(-idle_us), now).await {
        Ok(found) => tracing::info!(
            components = found.components,
            series = found.series,
            "read from PostgreSQL"
        ),
        Err(error) => tracing::warn!(%error, "components could not be read; they begin new groups"),
    }
}

fn open_log(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    telemetry: &Arc<Telemetry>,
    memory: &Memory,
    clock: &dyn Clock,
) -> Result<Log, AppError> {
    let log_settings = LogSettings {
        segment_bytes: settings.log_segment_bytes,
        budget_bytes: settings.log_budget_bytes,
        staging_bytes_max: STAGING_BYTES_MAX,
    };
    let mut replay = Replay::new(&memory.registry, &memory.keys, &memory.window, clock.now());
    let log = Log::open(Arc::clone(disk), log_settings, Arc::clone(telemetry), &mut |record| {
        replay.record(&record);
    })?;
    let replayed = replay.finish();
    tracing::info!(
        records = replayed.records,
        samples = replayed.samples,
        unreadable = replayed.unreadable,
        "read from the log"
    );
    Ok(log)
}

fn spawn_flush(
    settings: &Settings,
    database: &StartedDatabase,
    identity: &Identity,
    node: NodeNumber,
    log: &Log,
    memory: &Memory,
    telemetry: &Arc<Telemetry>,
) -> JoinHandle<Result<(), FlushError>> {
    let interval = settings.partition_interval;
    let sink = PostgresSink::new(database.options.clone(), node, identity.log_id(), interval);
    let flusher =
        Flusher::new(sink, log.progress(), Arc::clone(&memory.registry), Arc::clone(telemetry));
    let batches = BatchSettings {
        rows_max: settings.batch_rows_max as u64,
        bytes_max: BATCH_BYTES_MAX,
        age_max: settings.batch_age_max,
        interval,
    };
    tokio::spawn(flusher.follow(log.readers(), batches, node))
}

#[expect(clippy::too_many_arguments, reason = "it is what an API consists of")]
fn build_api(
    settings: &Settings,
    gate: Arc<Gate>,
    database: &StartedDatabase,
    loader: ComponentLoader,
    memory: Memory,
    log: &Log,
    clock: Arc<dyn Clock>,
    readiness: Arc<Readiness>,
    telemetry: Arc<Telemetry>,
) -> (Arc<Api>, SelfReport, SelfReportRequests) {
    let time_zone = settings.time_zone.clone().unwrap_or_else(TimeZone::system);
    let stale_after_s = u32::try_from(settings.stale_after.as_secs()).unwrap_or(u32::MAX);
    let registry = Arc::clone(&memory.registry);
    let page = Page::new(
        Arc::clone(&registry),
        Arc::clone(&clock),
        Arc::clone(&telemetry),
        PageSettings { stale_after_s },
    );
    let ingest_settings = IngestSettings {
        decode: DecodeSettings { limits: settings.limits(), time_zone: time_zone.clone() },
        require_registration: settings.require_registration,
    };
    let ingest_parts = IngestParts {
        registry: memory.registry,
        appender: log.appender(),
        window: memory.window,
        keys: memory.keys,
        outlines: memory.outlines,
        loader: loader.clone(),
        clock: Arc::clone(&clock),
        telemetry: Arc::clone(&telemetry),
    };
    let ingest = Arc::new(Ingest::new(ingest_parts, ingest_settings));
    let own = own_row::key(settings);
    let reports_as = settings.worker_pool_name.as_deref().unwrap_or(own.name());
    let offline_after_s = settings.runtime_offline_seconds.as_secs();
    let self_report = SelfReport {
        ingest: Arc::clone(&ingest),
        registry: Arc::clone(&registry),
        clock: Arc::clone(&clock),
        telemetry: Arc::clone(&telemetry),
        component_name: reports_as.into(),
        own,
        hostname: noetl_metrics_client::system::host_name().unwrap_or_default().into(),
        interval: settings.server_metrics_interval,
        offline_after_s: u32::try_from(offline_after_s).unwrap_or(u32::MAX),
    };
    let (self_reporter, self_report_requests) = SelfReporter::new();
    let pool = connect::query_pool(&database.options, QUERY_CONNECTIONS, settings.query_timeout);
    let parts = ApiParts {
        gate,
        ingest,
        self_reporter,
        page: Arc::new(page),
        registry,
        loader,
        clock,
        queries: Arc::new(Queries::new(pool, settings.query_timeout)),
        partitions: memory.partitions,
        progress: log.progress(),
        readiness,
        telemetry,
    };
    let api_settings = ApiSettings {
        limits: settings.limits(),
        in_flight_bytes_max: settings.in_flight_bytes_max,
        body_timeout: settings.body_timeout,
        query_timeout: settings.query_timeout,
        time_zone,
    };
    (Arc::new(Api::new(parts, api_settings)), self_report, self_report_requests)
}
