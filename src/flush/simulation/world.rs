//! What outlives a process, and how its lives follow each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::clients::{Clients, Memory};
use super::mishaps::Mishaps;
use super::process::{Process, StartError, Surroundings};
use super::server::Server;
use super::story::Story;
use super::{Luck, oracle};
use crate::clock::{Clock, ManualClock};
use crate::log::LogSettings;
use crate::log::by_hand;
use crate::log::memory_disk::MemoryDisk;
use crate::model::{ComponentKey, RuntimeId, Timestamp};
use crate::telemetry::Telemetry;

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;
/// Segments of these lengths.
const SEGMENT_BYTES: [u64; 3] = [8 << 10, 12 << 10, 16 << 10];
/// A budget is of so many at least.
const SEGMENTS_MIN: u64 = 3;
/// Starts that may fail one after the other before the mishaps end.
const STARTS_MAX: usize = 8;

/// A world in which nothing is left to chance but by its seed.
pub(super) struct World {
    pub(super) luck: Luck,
    pub(super) around: Surroundings,
    pub(super) clients: Clients,
    /// Turns since the world began.
    pub(super) turn: u64,
    /// The latest time that the clock has shown.
    pub(super) latest_s: u32,
    /// How many further segments a key outlives.
    segments_remembered: u64,
    runtime: Runtime,
}

/// What a world came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lived {
    pub(super) acknowledged: usize,
    pub(super) digest: u64,
}

impl World {
    pub(super) fn new(seed: u64, aloud: bool) -> Self {
        let mut luck = Luck::new(seed);
        let story = Story::new(aloud);
        let roomy = luck.once_in(2);
        let segment_bytes = luck.pick(&SEGMENT_BYTES);
        // An eighth of a roomy budget holds the keys of several segments.
        let segments = if roomy { 48 } else { SEGMENTS_MIN + luck.below(6) };
        let settings = LogSettings {
            segment_bytes,
            budget_bytes: segments * segment_bytes,
            staging_bytes_max: luck.pick(&[4 << 10, 6 << 10, 32 << 10]),
        };
        story.tell(format_args!("world {seed}: {settings:?}"));
        let around = Surroundings {
            disk: MemoryDisk::default(),
            server: Server::new(&mut luck, &story),
            clock: Arc::new(ManualClock::new(Timestamp::from_micros(NOON).unwrap())),
            settings,
            telemetry: Arc::new(Telemetry::new()),
            story,
        };
        // Somebody has registered a component before, under an id that no server would give it.
        let known = ComponentKey::new("t", "c1").unwrap();
        if luck.once_in(2) {
            let mut server = around.server.lock();
            server.database.components.insert(known, RuntimeId::from_raw(77));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let latest_s = around.clock.now().seconds();
        let clients = Clients { alike: luck.once_in(3), ..Clients::default() };
        Self {
            luck,
            around,
            clients,
            turn: 0,
            latest_s,
            segments_remembered: if roomy { 4 } else { 1 },
            runtime,
        }
    }

    /// Lives several lives and asks the oracle.
    pub(super) fn live(mut self) -> Lived {
        let handle = self.runtime.handle().clone();
        let _context = handle.enter();
        for _ in 0..=self.luck.below(5) {
            if self.luck.once_in(6) {
                self.damage();
            }
            if let Some(process) = self.start_among_mishaps() {
                self.life(process);
            }
        }
        self.last_life();
        oracle::ask(&self.clients, &self.around.server.lock().database);
        let reports = self.clients.reports.iter();
        let acknowledged = reports.filter(|report| report.acknowledged.is_some()).count();
        Lived { acknowledged, digest: self.around.story.digest() }
    }

    /// The newest segment's number.
    pub(super) fn newest_segment(&self) -> u64 {
        by_hand::newest_segment(&self.around.disk)
    }

    /// Whether the server must still know a key.
    pub(super) fn remembers(&self, memory: &Memory) -> bool {
        self.latest_s - memory.clock_s < 500
            && self.newest_segment() <= memory.segment + self.segments_remembered
    }

    pub(super) fn forget_keys(&mut self) {
        let (newest, latest_s) = (self.newest_segment(), self.latest_s);
        let last = self.segments_remembered;
        self.clients
            .forget(|memory| latest_s - memory.clock_s < 500 && newest <= memory.segment + last);
    }

    /// Moves tokio's clock.
    pub(super) fn advance(&self, by: Duration) {
        self.runtime.block_on(tokio::time::advance(by));
    }

    /// Starts, though the disk may fail or the process end half-way; `None` where that is how
    /// this life ended.
    fn start_among_mishaps(&mut self) -> Option<Process> {
        for _ in 0..STARTS_MAX {
            let mishaps = Mishaps::new(&mut self.luck, &self.around.story);
            match self.luck.below(8) {
                0 => mishaps.end_process_in(self.luck.below(30)),
                1 => mishaps.set_error_once_in(20),
                2 => mishaps.set_full(true),
                _ => {}
            }
            match self.start(&mishaps) {
                Ok(process) => {
                    mishaps.set_error_once_in(0);
                    return Some(process);
                }
                Err(_) if self.around.disk.is_dead() => {
                    self.end_process();
                    return None;
                }
                Err(error) => {
                    assert!(mishaps.happened(), "nothing was in the way of a start: {error}");
                    self.around.story.tell(format_args!("it does not start"));
                    self.end_process();
                }
            }
        }
        None
    }

    pub(super) fn start(&mut self, mishaps: &Arc<Mishaps>) -> Result<Process, StartError> {
        if self.luck.once_in(6) {
            // Somebody has changed the settings.
            let fits = |bytes: &u64| bytes * SEGMENTS_MIN <= self.around.settings.budget_bytes;
            let choices: Vec<u64> = SEGMENT_BYTES.into_iter().filter(fits).collect();
            self.around.settings.segment_bytes = self.luck.pick(&choices);
        }
        self.forget_keys();
        mishaps.befall(&self.around.disk);
        let process = Process::start(&self.around, Arc::clone(mishaps), &mut self.luck)?;
        self.clients.restarted(process.filled);
        Ok(process)
    }

    fn life(&mut self, mut process: Process) {
        let turns = self.luck.pick(&[10, 40, 100, 200]);
        match self.luck.below(4) {
            0 => process.mishaps.end_process_in(self.luck.below(60)),
            1 => process.mishaps.end_process_in(self.luck.below(400)),
            _ => {}
        }
        for _ in 0..turns {
            if self.around.disk.is_dead() || process.following.ended().is_some() {
                break;
            }
            self.event(&mut process);
        }
        if !self.around.disk.is_dead() && self.luck.once_in(3) {
            self.stop(&mut process);
        }
        self.hear_of_failure(&mut process);
        self.leave(&process);
        drop(process);
        self.end_process();
    }

    /// Whoever waits for a log that has failed is told so.
    fn hear_of_failure(&mut self, process: &mut Process) {
        if process.log.failure().is_none() || self.around.disk.is_dead() {
            return;
        }
        while process.load(&self.around, &mut self.luck) {
            self.answers(process);
        }
        self.answers(process);
        assert!(process.attempts.is_empty(), "the log has failed, and somebody still waits");
    }

    /// Nobody hears of the process any more.
    fn leave(&mut self, process: &Process) {
        process.asked().for_each(|body| self.clients.lose_answers(body));
    }
}
