//! What outlives a process, and how its lives follow each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::clients::{Clients, Memory};
use super::mishaps::Mishaps;
use super::process::{Process, StartError, Surroundings};
use super::server::{Condition, Server};
use super::story::Story;
use super::{Luck, oracle};
use crate::clock::{Clock, ManualClock};
use crate::log::by_hand::{self, Turn};
use crate::log::memory_disk::{MemoryDisk, Survival};
use crate::log::{LogSettings, OpenError};
use crate::model::Timestamp;
use crate::telemetry::Telemetry;

/// 2024-01-01T12:00:00Z.
const NOON: i64 = 1_704_110_400_000_000;
/// Starts that may fail one after the other before the mishaps end.
const STARTS_MAX: usize = 8;
/// Rounds in which everybody has a turn, after which nothing may be left to do.
const ROUNDS_MAX: usize = 20_000;

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
        let segment_bytes = luck.pick(&[8 << 10, 12 << 10, 16 << 10]);
        // An eighth of a roomy budget holds the keys of several segments.
        let segments = if roomy { 48 } else { 3 + luck.below(6) };
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let latest_s = around.clock.now().seconds();
        Self {
            luck,
            around,
            clients: Clients::default(),
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

    fn start(&mut self, mishaps: &Arc<Mishaps>) -> Result<Process, StartError> {
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
        self.leave(&process);
        drop(process);
        self.end_process();
    }

    /// Nobody hears of the process any more.
    fn leave(&mut self, process: &Process) {
        process.asked().for_each(|body| self.clients.lose_answers(body));
    }

    /// The process, or the machine, is no more.
    fn end_process(&mut self) {
        let (disk, luck) = (&self.around.disk, &mut self.luck);
        disk.set_fates(None);
        let mut some = luck.fork();
        let (how, disk) = match luck.below(6) {
            0 | 1 => ("the process is killed", disk.after_kill()),
            2 => ("power fails, nothing is left", disk.crash(&mut |_| false)),
            3 => {
                let serial = disk.serial().saturating_sub(some.below(40));
                let sectors = some.below(9) as usize;
                (
                    "power fails, the order is kept",
                    disk.survivor(&mut Survival::Prefix { serial, sectors }),
                )
            }
            4 => ("power fails", disk.crash(&mut |_| some.once_in(2))),
            _ => ("power fails, much is left", disk.crash(&mut |_| !some.once_in(6))),
        };
        self.around.story.tell(format_args!("{how}"));
        self.around.disk = disk;
    }

    /// A bit of an older segment is not what it was: the start says where, and changes nothing.
    fn damage(&mut self) {
        let segments = by_hand::complete_segments(&self.around.disk);
        if segments.is_empty() {
            return;
        }
        let (number, name, range) = &segments[self.luck.below(segments.len() as u64) as usize];
        let at = range.start + self.luck.below((range.end - range.start) as u64) as usize;
        // The rest of the header's page means nothing.
        let at = if (64..4096).contains(&at) { at % 64 } else { at };
        let bit = 1 << self.luck.below(8);
        self.around.story.tell(format_args!("a bit of {name} is flipped at {at}"));
        self.around.disk.damage(name, |bytes| bytes[at] ^= bit);
        let mishaps = Mishaps::new(&mut self.luck, &self.around.story);
        mishaps.end();
        let error = self.start(&mishaps).err().expect("a damaged log is refused");
        assert!(
            matches!(error, StartError::Log(OpenError::Corrupt { segment, .. }) if segment == *number),
            "damage of {name} at {at}: {error}"
        );
        self.around.disk.damage(name, |bytes| bytes[at] ^= bit);
        self.around.disk = self.around.disk.after_kill();
    }

    /// Everything goes well, and everybody gets an answer.
    fn last_life(&mut self) {
        let story = self.around.story.clone();
        story.tell(format_args!("all is well from now on"));
        let mishaps = Mishaps::new(&mut self.luck, &story);
        mishaps.end();
        let mut process = self.start(&mishaps).expect("nothing is in the way of the last start");
        {
            let mut server = self.around.server.lock();
            server.trouble_once_in = 0;
            server.set_condition(Condition::Well);
        }
        self.rounds(&mut process, "everybody has an answer", |world, process| {
            for body in world.clients.waiting() {
                process.send(&mut world.clients, body);
            }
            !world.clients.anybody_waits()
        });
        self.stop(&mut process);
        let flushed = process.following.ended().map(Result::is_ok);
        assert_eq!(flushed, Some(true), "{:?}", process.following.ended());
        assert_eq!(self.around.server.lock().database.position, process.progress.appended());
    }

    /// Stops in good order.
    fn stop(&mut self, process: &mut Process) {
        self.around.story.tell(format_args!("it stops"));
        process.mishaps.end();
        self.around.server.lock().set_condition(Condition::Well);
        process.log.close();
        self.rounds(process, "it has stopped", |_, process| process.following.ended().is_some());
        let done = matches!(process.following.ended(), Some(Ok(())));
        assert!(!done || process.progress.flushed() == process.progress.synced());
    }

    /// Gives everybody a turn until it is `done`.
    fn rounds(
        &mut self,
        process: &mut Process,
        what: &str,
        mut done: impl FnMut(&mut Self, &mut Process) -> bool,
    ) {
        for _ in 0..ROUNDS_MAX {
            if done(self, process) {
                return;
            }
            self.turn += 1;
            let mut moved = process.log.write() == Turn::Done;
            moved |= process.log.prepare() == Turn::Done;
            moved |= process.following.batch(true) == Turn::Done;
            self.flush(process);
            self.answers(process);
            process.load(&self.around, &mut self.luck);
            self.around.server.lock().work();
            if !moved {
                self.pass_time(process, Duration::from_secs(1));
            }
            self.check_bounds(process);
        }
        panic!("it is never true that {what}");
    }
}
