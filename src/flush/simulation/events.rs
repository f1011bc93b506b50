//! What happens in a life, one thing a turn.

use std::time::Duration;

use super::clients::{Meaning, Memory, Occasion, State};
use super::process::{Kind, Process};
use super::server::Condition;
use super::world::World;
use crate::clock::Clock;
use crate::flush::{BatcherError, FlushError};
use crate::log::ReadError;
use crate::log::by_hand::Turn;

impl World {
    /// One thing that happens. The log's threads and the flush have most turns: somebody has to
    /// do the work.
    pub(super) fn event(&mut self, process: &mut Process) {
        self.turn += 1;
        match self.luck.below(64) {
            0..14 => {
                if process.log.write() == Turn::Done {
                    let synced = process.progress.synced();
                    self.around.story.tell(format_args!("writer: synced {synced}"));
                }
            }
            14..18 => {
                if process.log.prepare() == Turn::Done {
                    self.around.story.tell(format_args!("preparer"));
                }
            }
            18..27 => {
                let old = self.luck.once_in(2);
                if process.following.batch(old) == Turn::Done {
                    self.around.story.tell(format_args!("batcher"));
                }
            }
            27..36 => self.flush(process),
            36..40 => self.answers(process),
            40..42 => {
                process.load(&self.around, &mut self.luck);
            }
            42..45 => self.around.server.lock().work(),
            45..48 => {
                let by = self.luck.pick(&[100, 1000, 5000]);
                self.pass_time(process, Duration::from_millis(by));
            }
            48..57 => self.report(process),
            57..60 => self.ask_again(process),
            60 => self.client_leaves(process),
            61 if self.luck.once_in(2) => self.other_body(process),
            61 => self.clock_jumps(),
            62 => self.something_else(process),
            _ => self.trouble(process),
        }
        self.check_bounds(process);
    }

    /// The flusher has its turn. It ends early only for a reason.
    pub(super) fn flush(&mut self, process: &mut Process) {
        if process.following.ended().is_some() {
            return;
        }
        let Some(ended) = process.following.flush() else { return };
        self.around.story.tell(format_args!("the flush ends, well: {}", ended.is_ok()));
        let disk_failed = process.mishaps.broke() || self.around.disk.is_dead();
        match ended {
            Ok(()) => {}
            Err(FlushError::Permanent(_)) => {}
            Err(FlushError::Batcher(BatcherError::Read(ReadError::Io { .. }))) if disk_failed => {}
            Err(FlushError::Gap(ReadError::Io { .. })) if disk_failed => {}
            Err(error) => panic!("the flush ends: {error}"),
        }
    }

    pub(super) fn answers(&mut self, process: &mut Process) {
        for (kind, reports, meaning) in process.answers() {
            if kind == Kind::OtherBody {
                let remembered = self.clients.reports[reports.start].remembered;
                let right = meaning == Meaning::OtherReport || meaning == Meaning::NotNow;
                assert!(right || !self.remembers(&remembered), "another body: {meaning:?}");
                continue;
            }
            let mut lines = self.clients.reports[reports.clone()].iter();
            if kind == Kind::Lines && lines.any(|report| report.from_the_future) {
                // Some lines were taken, some not.
                self.clients.lose_answers(reports.clone());
                self.clients.give_up(reports);
                continue;
            }
            if let Meaning::Acknowledged { metrics } = meaning {
                let sent =
                    self.clients.reports[reports.clone()].iter().map(|one| one.samples.len());
                assert_eq!(metrics, sent.sum::<usize>(), "of {reports:?}");
            }
            // Lines before the one that was refused may be in the log.
            let meaning = match meaning {
                Meaning::NotNow if kind == Kind::Lines => Meaning::Unknown,
                meaning => meaning,
            };
            for serial in reports {
                self.clients.answered(serial, meaning, self.turn);
            }
        }
    }

    /// Some time passes. It is short, for the sake of those who wait.
    pub(super) fn pass_time(&mut self, process: &Process, by: Duration) {
        self.around.story.tell(format_args!("{by:?} pass"));
        self.advance(by);
        process.log.end_pause();
    }

    /// New reports come, each with a connection of its own or as lines of one body.
    fn report(&mut self, process: &mut Process) {
        let memory = Memory { clock_s: self.latest_s, segment: self.newest_segment() };
        let now = self.around.clock.now().micros();
        let occasion = Occasion { turn: self.turn, now, memory };
        let wanted = 1 + self.luck.below(5);
        let first = self.clients.reports.len();
        for _ in 0..wanted {
            self.clients.compose(&mut self.luck, &occasion);
        }
        let composed = first..self.clients.reports.len();
        for report in &self.clients.reports[composed.clone()] {
            if report.poisoned {
                let value = report.samples[0].1.to_bits();
                self.around.server.lock().database.refused.insert(value);
            }
        }
        if composed.len() > 1 && self.luck.once_in(4) {
            self.clients.bind(composed.clone());
            process.send(&mut self.clients, composed);
        } else {
            composed.for_each(|one| process.send(&mut self.clients, one..one + 1));
        }
        if !self.luck.once_in(4) {
            self.answers(process);
        }
    }

    fn ask_again(&mut self, process: &mut Process) {
        self.forget_keys();
        let mut bodies = self.clients.waiting();
        match self.luck.below(4) {
            0 => bodies.reverse(),
            // One comes and the others do not.
            1 if !bodies.is_empty() => {
                let nth = self.luck.below(bodies.len() as u64) as usize;
                bodies = vec![bodies.swap_remove(nth)];
            }
            _ => {}
        }
        for body in bodies {
            if self.luck.once_in(8) {
                self.clients.give_up(body);
            } else {
                process.send(&mut self.clients, body);
            }
        }
        self.answers(process);
    }

    /// A connection breaks; its client comes back, or does not.
    fn client_leaves(&mut self, process: &mut Process) {
        if process.attempts.is_empty() {
            return;
        }
        let nth = self.luck.below(process.attempts.len() as u64) as usize;
        let attempt = process.attempts.swap_remove(nth);
        self.around.story.tell(format_args!("the client of {:?} is gone", attempt.reports));
        if attempt.kind == Kind::OtherBody {
            return;
        }
        self.clients.lose_answers(attempt.reports.clone());
        if self.luck.once_in(2) {
            self.clients.give_up(attempt.reports);
        }
    }

    fn other_body(&mut self, process: &mut Process) {
        let settled = |serial: &usize| {
            let report = &self.clients.reports[*serial];
            report.state == State::Acknowledged && report.key.is_some() && report.body.len() == 1
        };
        let keys: Vec<usize> = (0..self.clients.reports.len()).filter(settled).collect();
        if keys.is_empty() {
            return;
        }
        let serial = keys[self.luck.below(keys.len() as u64) as usize];
        // A key that is forgotten would be taken, and that is right.
        if self.remembers(&self.clients.reports[serial].remembered) {
            process.send_other_body(&self.clients, serial);
            self.answers(process);
        }
    }

    fn clock_jumps(&mut self) {
        let seconds = match self.luck.below(4) {
            0 => -self.luck.below(2000).cast_signed(),
            // Last values and keys have their time, so nobody may wait.
            1 if !self.clients.anybody_waits() => self.luck.below(100_000).cast_signed(),
            _ => self.luck.below(40).cast_signed(),
        };
        self.around.clock.advance(seconds * 1_000_000);
        self.latest_s = self.latest_s.max(self.around.clock.now().seconds());
        self.around.story.tell(format_args!("the clock jumps by {seconds} s"));
        self.clients.come_from_the_future(self.around.clock.now().micros());
    }

    fn something_else(&mut self, process: &mut Process) {
        match self.luck.below(3) {
            0 => process.progress.request_flush(),
            1 if !self.clients.anybody_waits_without_key() => {
                let gone = process.registry.evict_idle(u32::MAX, process.progress.flushed());
                self.around.story.tell(format_args!("{gone} series leave the memory"));
            }
            // Longer than any connection to the database is waited for.
            _ if !self.clients.anybody_waits() => {
                self.pass_time(process, Duration::from_secs(700));
            }
            _ => {}
        }
    }

    /// Something goes wrong from now on, or goes well again.
    fn trouble(&mut self, process: &Process) {
        let condition = self.around.server.lock().condition;
        match self.luck.below(8) {
            0 | 1 if condition == Condition::Well => {
                self.around.server.lock().set_condition(Condition::Away);
            }
            2 if self.luck.once_in(4) => {
                self.around.server.lock().set_condition(Condition::WantsPerson);
            }
            3 => {
                let full = !process.mishaps.is_full();
                self.around.story.tell(format_args!("the disk is full: {full}"));
                process.mishaps.set_full(full);
            }
            4 => {
                self.around.story.tell(format_args!("the disk begins to fail"));
                process.mishaps.set_error_once_in(1 + self.luck.below(20));
            }
            _ => self.around.server.lock().set_condition(Condition::Well),
        }
    }
}
