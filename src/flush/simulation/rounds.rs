//! What happens when nothing goes wrong: everybody gets turns until there is nothing left to do.

use std::time::Duration;

use super::mishaps::Mishaps;
use super::process::Process;
use super::server::Condition;
use super::world::World;
use crate::log::by_hand::Turn;

/// Rounds in which everybody has a turn, after which nothing may be left to do.
const ROUNDS_MAX: usize = 5000;

impl World {
    /// Everything goes well, and everybody gets an answer.
    pub(super) fn last_life(&mut self) {
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
        let server = self.around.server.lock();
        for component in process.registry.all() {
            let stored = server.database.components.get(component.key());
            let known = component.runtime_id();
            assert!(stored.is_none_or(|id| *id == known), "{:?} is {known}", component.key());
        }
        drop(server);
        assert_eq!(self.around.server.lock().database.position, process.progress.appended());
    }

    /// Stops in good order.
    pub(super) fn stop(&mut self, process: &mut Process) {
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
        let mut idle = 0;
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
            idle = if moved { 0 } else { idle + 1 };
            if idle > 0 {
                // Those who wait in vain are given up after minutes.
                self.pass_time(process, Duration::from_secs(1 << (idle / 4).min(6)));
            }
            self.check_bounds(process);
        }
        let files = self.around.disk.names();
        let bytes: Vec<_> =
            files.iter().map(|name| self.around.disk.bytes_of(|one| one == name)).collect();
        panic!(
            "it is never true that {what}; {:?}, flushed {}, files {files:?} of {bytes:?} bytes",
            self.around.settings,
            process.progress.flushed()
        );
    }
}
