//! What the flusher makes of a sink's answers. Time stands still but for the waits of the
//! flusher, so that those cost nothing.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::super::memory_sink::{Database, Fault, MemorySink};
use super::super::simulation::Luck;
use super::*;
use crate::model::LogPlace;
use crate::model::{ComponentKey, Profile, StoredComponent};

/// A sink that does what `script` says, call by call, and then what it is asked to.
fn scripted(script: &[Fault]) -> (MemorySink, Arc<Mutex<Database>>) {
    let database = Arc::<Mutex<Database>>::default();
    let mut script: VecDeque<Fault> = script.iter().copied().collect();
    let faults = Box::new(move || script.pop_front().unwrap_or(Fault::None));
    (MemorySink::new(&database, faults), database)
}

fn log_of(reports: u64) -> Log {
    let log = open_log();
    (0..reports).for_each(|n| log_value(&log, n));
    log
}

fn values(database: &Database) -> Vec<f64> {
    database.samples().into_iter().map(|(_, _, _, value)| value).collect()
}

fn count(values: std::ops::Range<u64>) -> Vec<f64> {
    values.map(|value| value as f64).collect()
}

#[tokio::test(start_paused = true)]
async fn every_row_is_taken_once_and_in_order_whatever_the_sink_does() {
    for seed in 0..200_u64 {
        let mut luck = Luck::new(seed);
        let database = Arc::<Mutex<Database>>::default();
        let faults = Box::new(move || match luck.below(4) {
            0 => Fault::Before,
            1 => Fault::After,
            _ => Fault::None,
        });
        let sink = MemorySink::new(&database, faults);
        let (ended, telemetry) = flush_all(log_of(25), sink, PATIENT).await;
        ended.unwrap();
        let database = database.lock();
        assert_eq!(values(&database), count(0..25), "seed {seed}");
        assert_eq!((database.position, database.commits), (position(25), 7));
        let flush = &telemetry.flush;
        assert_eq!((flush.rows.get(), flush.batches.get()), (25, 7), "seed {seed}");
        assert_eq!(flush.postgres_up.get(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_stay_bounded() {
    let (sink, database) = scripted(&[Fault::Before; 100]);
    let began = tokio::time::Instant::now();
    let (ended, telemetry) = flush_all(log_of(1), sink, PATIENT).await;
    ended.unwrap();
    assert_eq!(telemetry.flush.failures.get(), 100);
    // 0.1, 0.2, 0.4 and so on to 3.2 s, then 5 s each.
    let expected = 6.3 + 94.0 * 5.0;
    assert!((began.elapsed().as_secs_f64() - expected).abs() < 1.0, "{:?}", began.elapsed());
    assert_eq!(database.lock().position, position(1));
}

#[tokio::test(start_paused = true)]
async fn a_position_that_somebody_else_moved_stops_the_flush() {
    let (sink, database) = scripted(&[Fault::None, Fault::Moved(position(3))]);
    let (ended, _) = flush_all(log_of(10), sink, PATIENT).await;
    let error = ended.unwrap_err();
    assert!(
        matches!(error, FlushError::Moved { found, from, to }
            if [found, from, to].map(|place| place.position.get()) == [3, 0, 4]),
        "{error}"
    );
    assert!(error.to_string().contains("stored up to position 3"), "{error}");
    assert_eq!(database.lock().rows.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_wants_a_person_stops_the_flush() {
    for script in [vec![Fault::Permanent], vec![Fault::None, Fault::Before, Fault::Permanent]] {
        let (sink, database) = scripted(&script);
        let (ended, _) = flush_all(log_of(10), sink, PATIENT).await;
        let error = ended.unwrap_err();
        assert!(matches!(&error, FlushError::Permanent(reason) if reason == "it wants a person"));
        assert_eq!(database.lock().position, position(0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_flush_goes_on_where_the_sink_is() {
    let (sink, database) = scripted(&[]);
    {
        let mut database = database.lock();
        database.position = position(7);
        database.series.insert((group(1), Slot::new(0).unwrap()), (key("w"), definition("a")));
    }
    let log = log_of(10);
    let progress = log.progress();
    flush_all(log, sink, PATIENT).await.0.unwrap();
    assert_eq!(values(&database.lock()), count(7..10));
    assert_eq!(progress.flushed(), position(10));
}

#[tokio::test(start_paused = true)]
async fn a_position_beyond_the_log_is_said() {
    let (sink, database) = scripted(&[]);
    database.lock().position = position(11);
    let error = flush_all(log_of(10), sink, PATIENT).await.0.unwrap_err();
    assert!(matches!(error, FlushError::Gap(_)), "{error}");
    assert!(
        error.to_string().contains("position 11 is 1 rows beyond the log's end, 10"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_ends_the_flush_with_its_position() {
    let log = log_of(5);
    Payload { bytes: vec![99], rows: 1 }.log(&log);
    let (sink, database) = scripted(&[]);
    let error = flush_all(log, sink, PATIENT).await.0.unwrap_err();
    assert!(error.to_string().contains("the log's record at position 5"), "{error}");
    assert_eq!(database.lock().position, position(4), "what was complete before it is stored");
}

#[tokio::test(start_paused = true)]
async fn the_ids_that_the_sink_has_are_learned_though_an_answer_be_lost() {
    for fault in [Fault::None, Fault::Before, Fault::After] {
        // Calls: position, commit, then whatever follows from a fault, then the ids.
        let (sink, database) = scripted(&[Fault::None, fault, Fault::None, fault]);
        database.lock().components.insert(key("w"), RuntimeId::from_raw(77));
        let registry = registry();
        // As PostgreSQL had it before somebody registered it anew.
        let before = StoredComponent {
            key: key("w"),
            runtime_id: RuntimeId::from_raw(76),
            profile: Profile::seen(Timestamp::MIN),
            last_heartbeat: at(NOON),
            series: Vec::new(),
        };
        let component = registry.restore(&before, 0);
        let log = log_of(3);
        let (flusher, _) = flusher(&log, sink, &registry);
        let readers = log.readers();
        log.close().unwrap();
        flusher.follow(readers, PATIENT, node()).await.unwrap();
        assert_eq!(component.runtime_id(), RuntimeId::from_raw(77), "{fault:?}");
        assert!(registry.find_by_id(RuntimeId::from_raw(77)).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn ids_of_components_that_only_the_log_has_told_of_are_asked_for() {
    let (sink, database) = scripted(&[Fault::None, Fault::Before]);
    {
        let mut database = database.lock();
        database.position = position(3);
        database.components.insert(key("w"), RuntimeId::from_raw(77));
    }
    let registry = registry();
    let (known, new) = (registry.find_or_insert(key("w")), registry.find_or_insert(key("new")));
    let log = log_of(3);
    let (flusher, _) = flusher(&log, sink, &registry);
    let readers = log.readers();
    log.close().unwrap();
    flusher.follow(readers, PATIENT, node()).await.unwrap();
    assert_eq!(known.runtime_id(), RuntimeId::from_raw(77));
    assert_eq!(new.runtime_id(), RuntimeId::derive(&key("new")));
}

#[tokio::test(start_paused = true)]
async fn refused_records_are_set_aside_and_nothing_else() {
    let all = |refused: &[u64]| {
        let refused: Vec<u64> = refused.to_vec();
        (0..40_u64).map(move |n| (n, refused.contains(&n)))
    };
    for refused in [vec![0], vec![39], vec![17], vec![3, 4, 5, 30], (0..40).collect()] {
        for faults in [[Fault::None; 3], [Fault::Before, Fault::None, Fault::After]] {
            let database = Arc::<Mutex<Database>>::default();
            database.lock().refused = refused.iter().map(|n| (*n as f64).to_bits()).collect();
            let mut turn = faults.into_iter().cycle();
            let sink = MemorySink::new(&database, Box::new(move || turn.next().unwrap()));
            let settings = BatchSettings { rows_max: 32, ..PATIENT };
            let (ended, telemetry) = flush_all(log_of(40), sink, settings).await;
            ended.unwrap();
            let database = database.lock();
            let stored: Vec<f64> =
                all(&refused).filter(|(_, refused)| !refused).map(|(n, _)| n as f64).collect();
            assert_eq!(values(&database), stored, "{refused:?}");
            let aside: Vec<u64> =
                database.aside.iter().map(|one| one.from.position.get()).collect();
            assert_eq!(aside, refused);
            assert_eq!(database.position, position(40));
            assert_eq!(telemetry.flush.quarantined_rows.get(), refused.len() as u64);
            for record in &database.aside {
                assert_eq!(record.reason, format!("{} is refused", record.from.position));
                let row = entry::Entries::new(&record.payload).last().unwrap().unwrap();
                let entry::Entry::Row(row) = row else { panic!("{row:?}") };
                assert_eq!(row.values().next(), Some(record.from.position.get() as f64));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_refused_record_costs_a_logarithmic_number_of_commits() {
    let (sink, database) = scripted(&[]);
    database.lock().refused.insert(777.0_f64.to_bits());
    let settings = BatchSettings { rows_max: 1024, ..PATIENT };
    flush_all(log_of(1024), sink, settings).await.0.unwrap();
    let database = database.lock();
    assert_eq!(database.rows.len(), 1023);
    assert!(database.commits <= 20, "{} commits", database.commits);
}

/// A sink whose first connection hangs without a word.
struct Hanging {
    sink: MemorySink,
    hangs: usize,
}

impl Hanging {
    async fn hang(&mut self) {
        if self.hangs > 0 {
            self.hangs -= 1;
            std::future::pending::<()>().await;
        }
    }
}

impl Sink for Hanging {
    async fn position(&mut self) -> Result<LogPlace, SinkError> {
        self.hang().await;
        self.sink.position().await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<(), SinkError> {
        self.hang().await;
        self.sink.commit(batch).await
    }

    async fn set_aside(&mut self, record: &RefusedRecord) -> Result<(), SinkError> {
        self.sink.set_aside(record).await
    }

    async fn runtime_ids(
        &mut self,
        components: &[&ComponentKey],
    ) -> Result<Vec<(ComponentKey, RuntimeId)>, SinkError> {
        self.hang().await;
        self.sink.runtime_ids(components).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_is_given_up_and_asked_again() {
    let (sink, database) = scripted(&[]);
    let began = tokio::time::Instant::now();
    let (ended, telemetry) = flush_all(log_of(6), Hanging { sink, hangs: 3 }, PATIENT).await;
    ended.unwrap();
    assert_eq!(values(&database.lock()), count(0..6));
    assert_eq!(telemetry.flush.failures.get(), 3);
    assert!(began.elapsed() > Duration::from_secs(1800), "{:?}", began.elapsed());
}
