//! How the log is cut into batches.

use tokio::sync::mpsc;

use super::*;
use crate::log::RealDisk;
use crate::postgres::copy::decoder::Decoder;

/// A batcher on a thread, and what it sends.
struct Running {
    batches: mpsc::Receiver<Batch>,
    thread: std::thread::JoinHandle<Result<(), BatcherError>>,
}

fn run(log: &Log, from: u64, settings: BatchSettings) -> Running {
    let (sender, batches) = mpsc::channel(1);
    let reader = log.reader(position(from)).unwrap();
    let batcher = Batcher::new(reader, log.progress(), settings, node(), sender);
    Running { batches, thread: std::thread::spawn(move || batcher.run()) }
}

impl Running {
    fn next(&mut self) -> Option<Batch> {
        self.batches.blocking_recv()
    }

    /// The bounds of the remaining batches, and how the batcher ended.
    fn rest(mut self) -> (Vec<(u64, u64)>, Result<(), BatcherError>) {
        let bounds = std::iter::from_fn(|| self.next().as_ref().map(bounds)).collect();
        (bounds, self.thread.join().unwrap())
    }
}

fn bounds(batch: &Batch) -> (u64, u64) {
    (batch.from.get(), batch.to.get())
}

/// The values of the batch, partition by partition.
fn values(batch: &Batch) -> Vec<f64> {
    let rows = batch.partitions().flat_map(|one| Decoder::new(&one.rows.to_bytes()).rows());
    rows.flat_map(|row| row.values).map(Option::unwrap).collect()
}

#[test]
fn batches_are_full_and_the_last_one_has_the_rest() {
    let check = |settings: BatchSettings, from: u64, expected: &[(u64, u64)]| {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::new(directory.path()).unwrap());
        let log = Log::open(disk, LOG, Arc::new(Telemetry::new()), &mut |_| {}).unwrap();
        (0..10).for_each(|n| log_value(&log, n));
        let running = run(&log, from, settings);
        log.close().unwrap();
        let (bounds, ended) = running.rest();
        assert_eq!(bounds, expected);
        ended.unwrap();
    };
    check(PATIENT, 0, &[(0, 4), (4, 8), (8, 10)]);
    check(PATIENT, 3, &[(3, 7), (7, 10)]);
    check(PATIENT, 10, &[]);
    check(BatchSettings { rows_max: 5, ..PATIENT }, 0, &[(0, 5), (5, 10)]);
    check(BatchSettings { rows_max: 1 << 60, ..PATIENT }, 2, &[(2, 10)]);
    // A record of one row and one value has 41 bytes.
    let bytes_max = |bytes_max| BatchSettings { bytes_max, ..PATIENT };
    check(bytes_max(1), 7, &[(7, 8), (8, 9), (9, 10)]);
    check(bytes_max(42), 6, &[(6, 8), (8, 10)]);
}

#[test]
fn a_batch_has_rows_by_partition_and_definitions_in_order() {
    let log = open_log();
    Payload::default()
        .component("w")
        .series("w", group(1), 0, "a")
        .series("w", group(1), 1, "b")
        .row(group(1), NOON, &[1.0, 2.0])
        .row(group(1), NOON - DAY, &[3.0])
        .log(&log);
    Payload::default().series("w", group(1), 0, "a").row(group(1), NOON + 1, &[4.0]).log(&log);
    let mut running = run(&log, 0, PATIENT);
    log.close().unwrap();
    let batch = running.next().unwrap();
    assert_eq!((bounds(&batch), batch.records(), batch.rows(), batch.samples()), ((0, 3), 2, 3, 4));
    assert_eq!(values(&batch), [3.0, 1.0, 2.0, 4.0], "the day before comes first");
    assert_eq!(batch.partitions().count(), 2);
    let slots: Vec<_> = batch.series.iter().map(|series| series.slot.get()).collect();
    assert_eq!((batch.components.len(), slots), (1, vec![0, 1, 0]));
    let reports: Vec<_> = batch
        .partitions()
        .flat_map(|one| Decoder::new(&one.rows.to_bytes()).rows())
        .map(|row| row.integers[3])
        .collect();
    assert_eq!(reports, [1, 0, 2], "each row has the position it has in the log");
}

#[test]
fn a_batch_that_is_old_enough_is_sent_without_being_full() {
    let log = open_log();
    let mut running = run(&log, 0, BatchSettings { age_max: Duration::from_millis(1), ..PATIENT });
    for n in 0..3 {
        log_value(&log, n);
        let batch = running.next().unwrap();
        assert_eq!(bounds(&batch), (n, n + 1));
        assert!(batch.pace().next().is_some(), "nobody waits for it");
    }
    log.close().unwrap();
    assert!(running.rest().0.is_empty());
}

#[test]
fn a_batch_that_is_full_or_wanted_has_no_time() {
    let log = open_log();
    let mut running = run(&log, 0, PATIENT);
    (0..4).for_each(|n| log_value(&log, n));
    let full = running.next().unwrap();
    assert_eq!((bounds(&full), full.pace().next()), ((0, 4), None));
    log_value(&log, 4);
    log.progress().request_flush();
    let wanted = running.next().unwrap();
    assert_eq!((bounds(&wanted), wanted.pace().next()), ((4, 5), None));
    log.close().unwrap();
    running.rest().1.unwrap();
}

#[test]
fn a_request_is_answered_with_everything_synced_before_it() {
    let log = open_log();
    let mut running = run(&log, 0, PATIENT);
    for round in 0..50 {
        // Two full batches and a rest, which alone would wait for an hour.
        let first = round * 10;
        (first..first + 10).for_each(|n| log_value(&log, n));
        log.progress().request_flush();
        let mut reached = first;
        while reached < first + 10 {
            let batch = running.next().unwrap();
            assert_eq!(batch.from.get(), reached, "nothing is left out and nothing comes twice");
            reached = batch.to.get();
        }
    }
    log.close().unwrap();
    assert!(running.rest().0.is_empty());
}

#[test]
fn a_request_while_a_batch_waits_for_further_rows_sends_it() {
    let log = open_log();
    let mut running = run(&log, 0, PATIENT);
    log_value(&log, 0);
    log.progress().request_flush();
    assert_eq!(running.next().as_ref().map(bounds), Some((0, 1)));
    // With nothing to flush, a request is over at once and does not cut the next batch.
    log.progress().request_flush();
    (1..4).for_each(|n| log_value(&log, n));
    log.close().unwrap();
    let (batches, outcome) = running.rest();
    outcome.unwrap();
    assert_eq!(batches, [(1, 4)]);
}

#[test]
fn whoever_takes_no_batches_ends_the_batcher() {
    let log = open_log();
    let Running { batches, thread } = run(&log, 0, PATIENT);
    drop(batches);
    (0..4).for_each(|n| log_value(&log, n));
    thread.join().unwrap().unwrap();
}

#[test]
fn an_unreadable_record_is_named() {
    let log = open_log();
    log_value(&log, 0);
    Payload { bytes: vec![99, 1, 2], rows: 7 }.log(&log);
    let (bounds, ended) = run(&log, 0, PATIENT).rest();
    assert_eq!(bounds, []);
    let error = ended.unwrap_err();
    assert!(matches!(&error, BatcherError::Unreadable(one) if one.position == position(1)));
    assert!(error.to_string().contains("the log's record at position 1"), "{error}");
}
