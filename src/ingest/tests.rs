use std::task::{Context, Waker};

use super::*;
use crate::clock::ManualClock;
use crate::log::entry::{Entries, Entry};
use crate::log::memory_disk::MemoryDisk;
use crate::log::{Disk, Log, LogSettings, RealDisk};
use crate::model::{
    ComponentKey, LogPosition, NodeNumber, PartitionInterval, RejectKind, SeriesDefinition, Slot,
    Timestamp,
};
use crate::registry::{GroupIds, RegistrySettings};

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;

/// An ingest over a real log in a directory of its own; PostgreSQL is away.
struct Bench {
    ingest: Ingest,
    log: Option<Log>,
    clock: Arc<ManualClock>,
    /// Present where the log lies on a real disk.
    _directory: Option<tempfile::TempDir>,
}

impl Bench {
    fn new() -> Self {
        Self::with(IngestSettings::default(), 100)
    }

    fn with(settings: IngestSettings, series_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::new(directory.path()).unwrap());
        Self { _directory: Some(directory), ..Self::on(disk, settings, series_max) }
    }

    fn on(disk: Arc<dyn Disk>, settings: IngestSettings, series_max: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let log_settings = LogSettings {
            segment_bytes: 1 << 20,
            budget_bytes: 8 << 20,
            staging_bytes_max: 1 << 20,
        };
        let log = Log::open(disk, log_settings, Arc::clone(&telemetry), &mut |_| {}).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(NOON).unwrap()));
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..100);
        let parts = IngestParts {
            registry: Arc::new(Registry::new(RegistrySettings::new(series_max, 1000), ids)),
            appender: log.appender(),
            window: Arc::new(PartitionWindow::new(PartitionInterval::Day, 1)),
            keys: Arc::default(),
            outlines: Arc::default(),
            loader: ComponentLoader::new(1).0,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            telemetry,
        };
        Self { ingest: Ingest::new(parts, settings), log: Some(log), clock, _directory: None }
    }

    async fn report(&self, document: &str) -> Result<String, IngestError> {
        self.ingest
            .report(document.as_bytes(), None, Caller::trusted())
            .await
            .map(|answer| String::from_utf8(answer).unwrap())
    }

    /// What the log holds, one line an entry.
    fn logged(&self) -> Vec<String> {
        let mut reader = self.log.as_ref().unwrap().reader(LogPosition::ZERO).unwrap();
        let mut lines = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            lines.push(format!("record {}", record.rows));
            lines.extend(Entries::new(record.payload).map(|entry| describe(&entry.unwrap())));
        }
        lines
    }
}

fn describe(entry: &Entry<'_>) -> String {
    match entry {
        Entry::Component(component) => {
            format!("component {}/{}", component.component_type, component.name)
        }
        Entry::Series(series) => {
            let definition = SeriesDefinition::parse(series.definition).unwrap();
            format!(
                "series {} at {} help {:?}",
                definition.name(),
                series.slot.get(),
                definition.help()
            )
        }
        Entry::Row(row) => {
            let values: Vec<_> = row.slots().map(Slot::get).zip(row.values()).collect();
            let offsets: Option<Vec<u32>> = row.offsets_us().map(Iterator::collect);
            format!("row {} {values:?} {offsets:?}", row.head.timestamp.micros() - NOON)
        }
        Entry::Key(key) => format!("key {}", String::from_utf8_lossy(key.answer)),
        Entry::Hole(hole) => format!("hole {hole:?}"),
    }
}

fn document(metrics: &str) -> String {
    format!(
        "{{\"component_name\":\"w\",\"component_type\":\"worker_pool\",\"metrics\":[{metrics}]}}"
    )
}

fn metric(name: &str, value: &str, timestamp: &str) -> String {
    format!(
        "{{\"metric_name\":\"{name}\",\"metric_type\":\"gauge\",\"metric_value\":{value},\"timestamp\":\"{timestamp}\"}}"
    )
}

const T0: &str = "2024-01-01T12:00:00Z";
const T1: &str = "2024-01-01T12:00:01Z";

#[tokio::test(flavor = "multi_thread")]
async fn definitions_stand_before_the_first_row_and_only_there() {
    let bench = Bench::new();
    for (at, a, b) in [(T0, "1", "2"), (T1, "3", "4")] {
        let answer = bench
            .report(&document(&format!("{},{}", metric("a", a, at), metric("b", b, at))))
            .await
            .unwrap();
        assert!(answer.contains("\"metrics_inserted\":2,\"durable\":true"), "{answer}");
    }
    let expected = [
        "record 1",
        "component worker_pool/w",
        "series a at 0 help None",
        "series b at 1 help None",
        "row 0 [(0, 1.0), (1, 2.0)] None",
        "record 1",
        "row 1000000 [(0, 3.0), (1, 4.0)] None",
    ];
    assert_eq!(bench.logged(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_counts_and_is_not_stored_again() {
    let bench = Bench::new();
    let first = document(&format!("{},{}", metric("a", "1", T0), metric("a", "1", T0)));
    for _ in 0..2 {
        let answer = bench.report(&first).await.unwrap();
        assert!(answer.contains("\"metrics_inserted\":2"), "{answer}");
    }
    assert_eq!(bench.logged().iter().filter(|line| line.starts_with("row")).count(), 1);
    let telemetry = &bench.ingest.parts.telemetry.ingest;
    assert_eq!((telemetry.samples.get(), telemetry.samples_repeated.get()), (1, 3));
    bench.report(&document(&metric("a", "2", T0))).await.unwrap();
    assert_eq!(
        bench.logged().last().unwrap(),
        "row 0 [(0, 2.0)] None",
        "another value is no repeat"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_their_own_microseconds_share_a_row() {
    let bench = Bench::new();
    let metrics = [
        metric("a", "1", "2024-01-01T12:00:00.000007"),
        metric("b", "2", "2024-01-01T12:00:00.000003"),
    ];
    bench.report(&document(&metrics.join(","))).await.unwrap();
    assert_eq!(bench.logged().last().unwrap(), "row 3 [(0, 1.0), (1, 2.0)] Some([4, 0])");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_metrics_are_rejected_and_the_good_ones_taken() {
    let bench = Bench::with(IngestSettings::default(), 2);
    let metrics = [
        metric("a", "1", T0),
        metric("b", "\"x\"", T0),
        metric("c", "1", "2024-01-01T12:11:00Z"),
        metric("d", "1", "2023-06-01T00:00:00Z"),
        metric("e", "1", "2023-07-01T00:00:00Z"),
        metric("f", "1", T0),
    ];
    let answer = bench.report(&document(&metrics.join(","))).await.unwrap();
    assert!(answer.contains("\"metrics_inserted\":2"), "{answer}");
    let rejected: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let mut indices: Vec<_> = rejected["metrics_rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["index"].as_u64().unwrap())
        .collect();
    indices.sort_unstable();
    assert_eq!(
        indices,
        [1, 2, 4, 5],
        "value, future, a second past partition, a third series: {answer}"
    );
    let ingest = &bench.ingest.parts.telemetry.ingest;
    for kind in
        [RejectKind::Value, RejectKind::Future, RejectKind::Partition, RejectKind::SeriesLimit]
    {
        assert_eq!(ingest.rejected(kind).get(), 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_which_nothing_is_good_stores_nothing() {
    let bench = Bench::new();
    let error = bench.report(&document(&metric("", "1", T0))).await.unwrap_err();
    assert_eq!(error.code(), "no_valid_metrics");
    assert_eq!(bench.report("{").await.unwrap_err().code(), "invalid_json");
    assert!(bench.logged().is_empty());
    assert_eq!(bench.ingest.parts.registry.component_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_metadata_is_logged_again_for_the_same_slot() {
    let bench = Bench::new();
    let with_help = |help: &str, at: &str| {
        document(&format!(
            "{{\"metric_name\":\"a\",\"metric_type\":\"gauge\",\"metric_value\":1,\"help_text\":\"{help}\",\"timestamp\":\"{at}\"}}"
        ))
    };
    bench.report(&with_help("one", T0)).await.unwrap();
    bench.report(&with_help("two", T1)).await.unwrap();
    let logged = bench.logged();
    assert!(logged.contains(&"series a at 0 help Some(\"two\")".to_owned()), "{logged:?}");
    let rows = logged.len();
    bench.report(&with_help("two", "2024-01-01T12:00:02Z")).await.unwrap();
    assert_eq!(bench.logged().len(), rows + 2, "a record and its row, no definition");
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_can_be_required() {
    let bench =
        Bench::with(IngestSettings { require_registration: true, ..IngestSettings::default() }, 10);
    let report = document(&metric("a", "1", T0));
    let error = bench.report(&report).await.unwrap_err();
    assert_eq!(error.code(), "registry_unavailable", "PostgreSQL may know it");
    let key = ComponentKey::new("worker_pool", "w").unwrap();
    let component = bench.ingest.parts.registry.find_or_insert(key);
    bench.report(&report).await.unwrap();
    let by_id = format!(
        "{{\"runtime_id\":{},\"metrics\":[{}]}}",
        component.runtime_id(),
        metric("a", "2", T1)
    );
    bench.report(&by_id).await.unwrap();
    let unknown = format!("{{\"runtime_id\":77,\"metrics\":[{}]}}", metric("a", "2", T1));
    assert_eq!(bench.report(&unknown).await.unwrap_err().code(), "registry_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_answered_as_the_first_time_and_stored_once() {
    let bench = Bench::new();
    let report = |value: &str| document(&metric("a", value, T0));
    let with_key = async |body: String| {
        bench.ingest.report(body.as_bytes(), Some(b"key-1"), Caller::trusted()).await
    };
    let bad = with_key(document(&metric("", "1", T0))).await.unwrap_err();
    assert_eq!(bad.code(), "no_valid_metrics", "and the key is free again");
    let first = with_key(report("1")).await.unwrap();
    bench.report(&report("5")).await.unwrap();
    assert_eq!(with_key(report("1")).await.unwrap(), first);
    assert_eq!(with_key(report("2")).await.unwrap_err(), IngestError::KeyReused);
    let rows: Vec<_> = bench
        .logged()
        .into_iter()
        .filter(|line| line.starts_with("row") || line.starts_with("key"))
        .collect();
    let answer = String::from_utf8(first).unwrap();
    assert_eq!(
        rows,
        [
            "row 0 [(0, 1.0)] None".to_owned(),
            format!("key {answer}"),
            "row 0 [(0, 5.0)] None".to_owned()
        ]
    );
    bench.clock.advance(601_000_000);
    with_key(report("6")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_taken_one_by_one() {
    let bench = Bench::new();
    let body = format!(
        "{}\n\nnonsense\n{}\r\n",
        document(&metric("a", "1", T0)),
        document(&format!("{},{}", metric("a", "2", T1), metric("", "1", T0)))
    );
    let answer =
        bench.ingest.report_lines(body.as_bytes(), Some(b"k"), Caller::trusted()).await.unwrap();
    let parsed: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (parsed["lines"].as_u64(), parsed["metrics_inserted"].as_u64()),
        (Some(3), Some(2)),
        "{parsed}"
    );
    assert_eq!(parsed["lines_rejected"][0]["line"], 3);
    assert_eq!(
        (&parsed["metrics_rejected"][0]["line"], &parsed["metrics_rejected"][0]["index"]),
        (&4.into(), &1.into())
    );
    let again =
        bench.ingest.report_lines(body.as_bytes(), Some(b"k"), Caller::trusted()).await.unwrap();
    let again: serde_json::Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(again["metrics_inserted"], 2, "a retry is answered with the same numbers");
    assert_eq!(bench.logged().iter().filter(|line| line.starts_with("row")).count(), 2);
    assert_eq!(
        bench.ingest.report_lines(b"\n \n", None, Caller::trusted()).await.unwrap_err(),
        IngestError::NoLines
    );
    assert_eq!(
        bench.ingest.report_lines(b"x\ny\n", None, Caller::trusted()).await.unwrap_err().code(),
        "no_valid_metrics"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_does_not_take_leaves_no_trace_in_memory() {
    let mut bench = Bench::new();
    bench.report(&document(&metric("a", "1", T0))).await.unwrap();
    bench.log.take().unwrap().close().unwrap();
    let error = bench.report(&document(&metric("b", "1", T1))).await.unwrap_err();
    assert_eq!(error.code(), "stopping");
    assert_eq!(bench.ingest.parts.registry.series_count(), 1, "b gave its slot back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_acknowledged_only_once_its_original_is_synced() {
    let disk = MemoryDisk::default();
    let bench = Bench::on(Arc::new(disk.clone()), IngestSettings::default(), 100);
    let (plain, keyed) = (document(&metric("a", "1", T0)), document(&metric("b", "1", T0)));
    // The first report of a component may await its load, which is no matter here.
    bench.report(&document(&metric("c", "1", T0))).await.unwrap();
    disk.permit_syncs(Some(0));
    let report = async |body: &str, key: Option<&[u8]>| {
        bench.ingest.report(body.as_bytes(), key, Caller::trusted()).await.unwrap()
    };
    let mut waiting = [
        Box::pin(report(&plain, None)),
        Box::pin(report(&plain, None)),
        Box::pin(report(&keyed, Some(b"key"))),
        Box::pin(report(&keyed, Some(b"key"))),
    ];
    for (nth, answer) in waiting.iter_mut().enumerate() {
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "report {nth}");
    }
    disk.permit_syncs(None);
    for answer in waiting {
        assert!(String::from_utf8(answer.await).unwrap().contains("\"metrics_inserted\":1"));
    }
    let rows = bench.logged().iter().filter(|line| line.starts_with("row")).count();
    assert_eq!(rows, 3, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_while_a_report_waits_has_no_key_forgotten() {
    const EARLIER: &str = "2024-01-01T10:00:00Z";
    let mut bench = Bench::new();
    let (loader, mut loads) = ComponentLoader::new(2);
    bench.ingest.parts.loader = loader;
    let report = |value: &str| document(&metric("a", value, EARLIER));
    let waits = report("2").replace("\"w\"", "\"other\"");
    let mut waiting =
        Box::pin(bench.ingest.report(waits.as_bytes(), Some(b"waits"), Caller::trusted()));
    let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "its component is being loaded");
    let load = loads.recv().await.unwrap();
    bench.clock.advance(-3_600_000_000);
    let (first, body) = (report("1"), report("9"));
    let stored = bench.ingest.report(first.as_bytes(), Some(b"first"), Caller::trusted());
    let (stored, ()) = tokio::join!(stored, async {
        loads.recv().await.unwrap().reply.send(LoadOutcome::Absent).unwrap();
    });
    stored.unwrap();
    load.reply.send(LoadOutcome::Absent).unwrap();
    waiting.await.unwrap();
    let other = bench.ingest.report(body.as_bytes(), Some(b"first"), Caller::trusted()).await;
    assert_eq!(other.unwrap_err(), IngestError::KeyReused);
}

/// A report of so many metrics whose values depend on `round`.
fn numbered(metrics: usize, round: usize) -> String {
    let metric = |nth: usize| metric(&format!("m{nth}"), &format!("{round}.{nth}"), T0);
    document(&(0..metrics).map(metric).collect::<Vec<_>>().join(","))
}

/// The least that this thread allocated for one of some known reports; sometimes a buffer that is
/// shared with others grows.
async fn allocations_of_a_known_report(metrics: usize) -> u64 {
    let bench = Bench::with(IngestSettings::default(), 2000);
    for round in 0..2 {
        bench.report(&numbered(metrics, round)).await.unwrap();
    }
    let take = |round| {
        let document = numbered(metrics, round);
        let mut step = None;
        let counted = allocation_counter::measure(|| {
            step = Some(bench.ingest.step(document.as_bytes(), None, Caller::trusted(), None));
        });
        assert!(matches!(step, Some(Ok(Step::Logged(_)))));
        counted.count_total
    };
    let allocations = (2..22).map(take).min();
    assert_eq!(bench.ingest.parts.telemetry.ingest.reports_by_outline.get(), 20);
    allocations.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_report_allocates_its_answer_and_nothing_for_its_metrics() {
    for metrics in [1, 10, 100, 1000] {
        assert_eq!(allocations_of_a_known_report(metrics).await, 1, "with {metrics} metrics");
    }
}
