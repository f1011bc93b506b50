//! What the log costs: staging and sealing alone, with a disk, and reading it all again.

#[path = "support/null_disk.rs"]
mod null_disk;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noetl_metrics::log::entry::{Entries, Entry, RowHead, encode_row};
use noetl_metrics::log::{AppendError, Appender, Disk, Log, LogSettings, RealDisk, Ticket};
use noetl_metrics::model::{GroupId, LogPosition, NodeNumber, Timestamp};
use noetl_metrics::telemetry::Telemetry;
use null_disk::NullDisk;

const SAMPLES: usize = 10;

fn open(disk: Arc<dyn Disk>) -> Log {
    let settings = LogSettings { budget_bytes: 1 << 40, ..LogSettings::default() };
    Log::open(disk, settings, Arc::new(Telemetry::new()), &mut |_| {}).expect("the log opens")
}

fn temporary_disk() -> (tempfile::TempDir, Arc<dyn Disk>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = RealDisk::new(dir.path()).expect("the disk opens");
    (dir, Arc::new(disk))
}

fn row_head() -> RowHead {
    let time = Timestamp::from_micros(1_704_110_400_000_000).expect("a valid time");
    RowHead {
        group: GroupId::new(NodeNumber::new(1).expect("a valid number"), 1),
        timestamp: time,
        received_at: time,
        present: (1 << SAMPLES) - 1,
    }
}

/// A report of ten samples.
fn payload() -> Vec<u8> {
    let mut payload = Vec::new();
    encode_row(&mut payload, &row_head(), &[45.2; SAMPLES], None);
    payload
}

/// Appends, waiting where the disk is behind.
fn append(appender: &Appender, payload: &[u8]) -> Ticket {
    loop {
        match appender.append(payload, 1) {
            Ok(ticket) => return ticket,
            Err(AppendError::StagingFull) => std::thread::yield_now(),
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

fn entries(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_entry");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let (head, values) = (row_head(), [45.2; SAMPLES]);
    let mut out = Vec::new();
    group.bench_function("encode_row_of_10", |b| {
        b.iter(|| {
            out.clear();
            encode_row(&mut out, black_box(&head), black_box(&values), None);
        });
    });
    let payload = payload();
    group.bench_function("decode_row_of_10", |b| {
        b.iter(|| {
            let mut sum = 0.0;
            for entry in Entries::new(black_box(&payload)) {
                if let Ok(Entry::Row(row)) = entry {
                    sum += row.values().sum::<f64>();
                }
            }
            sum
        });
    });
    group.finish();
}

/// Staging, sealing and settling, all the log's own work, over a disk that costs nothing.
fn append_unsynced(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_append_null_disk");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let payload = payload();
    for threads in [1_u64, 2] {
        group.bench_function(format!("threads_{threads}"), |b| {
            let log = open(Arc::new(NullDisk));
            let progress = log.progress();
            b.iter_custom(|records| {
                let started = Instant::now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let appender = log.appender();
                        let (payload, progress) = (&payload, &progress);
                        scope.spawn(move || {
                            for n in (thread..records).step_by(threads as usize) {
                                drop(append(&appender, payload));
                                if n % 4096 == 0 {
                                    progress.set_flushed(progress.synced());
                                }
                            }
                        });
                    }
                });
                let barrier = log.appender().barrier().expect("the log is sound");
                barrier.wait_blocking().expect("the log is sound");
                started.elapsed()
            });
        });
    }
    group.finish();
}

/// So many tasks, each of which waits for its record before it appends the next.
fn append_synced(c: &mut Criterion) {
    let mut group = c.benchmark_group("log_append_synced");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("the runtime starts");
    let payload: Arc<[u8]> = payload().into();
    for waiters in [1_u64, 16, 64] {
        let (_dir, disk) = temporary_disk();
        let log = open(disk);
        group.bench_function(format!("waiters_{waiters}"), |b| {
            b.iter_custom(|records| {
                let started = Instant::now();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..waiters)
                        .map(|waiter| {
                            let (appender, payload) = (log.appender(), Arc::clone(&payload));
                            tokio::spawn(async move {
                                for _ in (waiter..records).step_by(waiters as usize) {
                                    let ticket = appender.append(&payload, 1).expect("room");
                                    ticket.await.expect("the log is sound");
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.expect("the task ends");
                    }
                });
                log.progress().set_flushed(log.progress().synced());
                started.elapsed()
            });
        });
    }
    group.finish();
}

/// Reading a segment's worth from the page cache, as the batcher and recovery do.
fn read(c: &mut Criterion) {
    const RECORDS: u64 = 500_000;
    let (_dir, disk) = temporary_disk();
    let payload = payload();
    let record_bytes = 32 + payload.len().next_multiple_of(8) as u64;
    let log = open(Arc::clone(&disk));
    for _ in 0..RECORDS {
        drop(append(&log.appender(), &payload));
    }
    let barrier = log.appender().barrier().expect("the log is sound");
    barrier.wait_blocking().expect("the log is sound");

    let mut group = c.benchmark_group("log_read");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(RECORDS * record_bytes));
    group.bench_function("reader", |b| {
        b.iter(|| {
            let mut reader = log.reader(LogPosition::ZERO).expect("the log starts at zero");
            let mut rows = 0;
            while let Some(record) = reader.next().expect("the log is sound") {
                rows += u64::from(record.rows);
            }
            assert_eq!(rows, RECORDS);
        });
    });
    log.close().expect("the log is sound");
    group.bench_function("open", |b| {
        b.iter_custom(|times| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..times {
                let started = Instant::now();
                let log = open(Arc::clone(&disk));
                elapsed += started.elapsed();
                log.close().expect("the log is sound");
            }
            elapsed
        });
    });
    group.finish();
}

criterion_group!(benches, entries, append_unsynced, append_synced, read);
criterion_main!(benches);
