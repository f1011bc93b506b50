//! What outlives a process: the disk, the database, and the clients with their reports.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::process::Process;
use super::{Luck, oracle};
use crate::clock::{Clock, ManualClock};
use crate::flush::memory_sink::Database;
use crate::ingest::IngestError;
use crate::log::memory_disk::MemoryDisk;
use crate::model::Timestamp;

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;
const COMPONENTS: u64 = 4;
const SERIES: usize = 5;

/// A report as its client knows it.
pub(super) struct Report {
    pub(super) component: usize,
    /// The series and their values, no two of which are the same in a world.
    pub(super) samples: Vec<(usize, f64)>,
    pub(super) state: State,
    /// Whether nothing else of its component was on its way with it, nor had to be tried again.
    pub(super) alone: bool,
    document: String,
    key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its client has no answer and will ask again.
    Waiting,
    /// It was acknowledged.
    Acknowledged,
    /// Its client has gone without an answer.
    GivenUp,
}

pub(super) struct World {
    luck: Luck,
    disk: MemoryDisk,
    database: Arc<Mutex<Database>>,
    clock: Arc<ManualClock>,
    reports: Vec<Report>,
}

type Attempt = (usize, JoinHandle<Result<Vec<u8>, IngestError>>);

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            luck: Luck::new(seed),
            disk: MemoryDisk::default(),
            database: Arc::default(),
            clock: Arc::new(ManualClock::new(Timestamp::from_micros(NOON).unwrap())),
            reports: Vec::new(),
        }
    }

    /// Lives several lives, asks the oracle, and says how many reports were acknowledged.
    pub(super) async fn live(mut self) -> usize {
        for _ in 0..=self.luck.below(4) {
            let process = self.start();
            self.life(process).await;
        }
        let process = self.start();
        self.try_again(&process).await;
        process.stop().await;
        oracle::ask(&self.reports, &self.database.lock());
        self.reports.iter().filter(|report| report.state == State::Acknowledged).count()
    }

    fn start(&mut self) -> Process {
        Process::start(&self.disk, &self.database, &self.clock, &mut self.luck)
    }

    async fn life(&mut self, mut process: Process) {
        self.try_again(&process).await;
        for _ in 0..self.luck.below(30) {
            self.event(&mut process).await;
        }
        match self.luck.below(4) {
            0 => process.stop().await,
            1 => {
                // What is on its way when a sync fails is never acknowledged.
                self.disk.set_sync_fails(true);
                self.crash(process).await;
            }
            _ => {
                self.disk.permit_syncs(Some(self.luck.below(3) as usize));
                self.crash(process).await;
            }
        }
    }

    /// One thing that happens in a life.
    async fn event(&mut self, process: &mut Process) {
        match self.luck.below(12) {
            0 => process.progress.request_flush(),
            1 => self.clock.advance(self.luck.below(40_000_000).cast_signed()),
            2 if !self.is_waiting() => {
                // Idempotency keys are forgotten after ten minutes, so nobody may wait.
                self.clock.advance(self.luck.below(100_000_000_000).cast_signed());
            }
            3 => {
                let (flushed, all) = (process.progress.flushed(), u32::MAX);
                process.registry.evict_idle(all, flushed);
            }
            4 => process.flushed().await,
            _ => {
                let count = 1 + self.luck.below(4);
                let attempts = self.report(process, count);
                self.await_all(attempts).await;
            }
        }
    }

    /// Sends reports that nobody gets an answer to, perhaps, and crashes.
    async fn crash(&mut self, process: Process) {
        let count = self.luck.below(12);
        let attempts = self.report(&process, count);
        process.settle(&self.disk).await;
        for (report, attempt) in attempts {
            if attempt.is_finished() {
                self.answered(report, attempt.await.unwrap().is_ok());
            } else {
                attempt.abort();
            }
        }
        // Of what was written and not synced, all survives, nothing, or any part.
        let (survives, luck) = (self.luck.below(3), &mut self.luck);
        let survivor = self.disk.crash(&mut |_| match survives {
            0 => true,
            1 => false,
            _ => luck.once_in(2),
        });
        process.die(&self.disk);
        self.disk = survivor;
    }

    /// Every client that waits for an answer asks again, and gives up now and then.
    async fn try_again(&mut self, process: &Process) {
        for report in 0..self.reports.len() {
            if self.reports[report].state == State::Waiting {
                self.reports[report].alone = false;
                self.ask_again(process, report).await;
            }
            if self.reports[report].state == State::Waiting && self.luck.once_in(4) {
                self.reports[report].state = State::GivenUp;
            }
        }
    }

    /// Asks until there is room in the log: a report without a key may not be overtaken by the
    /// next one of its component.
    async fn ask_again(&mut self, process: &Process, report: usize) {
        loop {
            let (_, attempt) = self.send(process, report);
            match attempt.await.unwrap() {
                Ok(_) => break self.answered(report, true),
                // Time stands still unless everyone waits, the flush after a failure included.
                Err(IngestError::Log(_)) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    process.assert_flushing();
                }
                Err(error) => panic!("report {report}: {error}"),
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.reports.iter().any(|report| report.state == State::Waiting)
    }

    async fn await_all(&mut self, attempts: Vec<Attempt>) {
        for (report, attempt) in attempts {
            let answer = attempt.await.unwrap();
            self.answered(report, answer.is_ok());
        }
    }

    fn answered(&mut self, report: usize, acknowledged: bool) {
        if acknowledged {
            self.reports[report].state = State::Acknowledged;
        }
    }

    /// Sends `count` new reports at once.
    fn report(&mut self, process: &Process, count: u64) -> Vec<Attempt> {
        let first = self.reports.len();
        for _ in 0..count {
            let component = self.luck.below(COMPONENTS) as usize;
            let busy = |one: &Report| one.component == component && one.state == State::Waiting;
            let alone = !self.reports.iter().any(busy);
            for one in &mut self.reports[first..] {
                one.alone &= one.component != component;
            }
            // Without a key, only the last values tell a repeat; so the others may not change
            // them in between.
            if !alone && self.reports.iter().any(|one| busy(one) && one.key.is_none()) {
                continue;
            }
            self.compose(component, alone);
        }
        (first..self.reports.len()).map(|report| self.send(process, report)).collect()
    }

    fn compose(&mut self, component: usize, alone: bool) {
        let serial = self.reports.len();
        let mut series: Vec<usize> = (0..SERIES).filter(|_| self.luck.once_in(2)).collect();
        if series.is_empty() {
            series.push(0);
        }
        let samples: Vec<_> =
            series.iter().map(|&series| (series, value_of(serial, series))).collect();
        // Its own time, or a second attempt would be another sample.
        let now = jiff::Timestamp::from_microsecond(self.clock.now().micros()).unwrap();
        let metrics: Vec<_> = samples
            .iter()
            .map(|(series, value)| {
                format!(
                    "{{\"metric_name\":\"s{series}\",\"metric_type\":\"gauge\",\
                      \"metric_value\":{value},\"timestamp\":\"{now}\"}}"
                )
            })
            .collect();
        let document = format!(
            "{{\"component_name\":\"c{component}\",\"component_type\":\"t\",\"metrics\":[{}]}}",
            metrics.join(",")
        );
        let key = (!alone || self.luck.once_in(2)).then(|| format!("key-{serial}"));
        let state = State::Waiting;
        self.reports.push(Report { component, samples, state, alone, document, key });
    }

    fn send(&self, process: &Process, report: usize) -> Attempt {
        let Report { document, key, .. } = &self.reports[report];
        let (ingest, document, key) = (Arc::clone(&process.ingest), document.clone(), key.clone());
        let attempt = tokio::spawn(async move {
            ingest.report(document.as_bytes(), key.as_deref().map(str::as_bytes)).await
        });
        (report, attempt)
    }
}

/// The value of a series in a report, which no other report of the world has.
fn value_of(report: usize, series: usize) -> f64 {
    (report * SERIES + series) as f64
}

/// The report and the series of a value.
#[expect(clippy::cast_sign_loss, reason = "the values are counted from 0")]
pub(super) fn origin_of(value: f64) -> (usize, usize) {
    (value as usize / SERIES, value as usize % SERIES)
}
