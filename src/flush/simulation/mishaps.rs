//! What befalls the disk: errors, interruptions, the end of the process; and which of the log's
//! threads goes on while the other one waits for the disk.

use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Luck;
use super::story::Story;
use crate::log::by_hand::{ByHand, Turn};
use crate::log::memory_disk::{Call, Fate, MemoryDisk, Operation};

/// `EIO`.
const EIO: i32 = 5;

/// The mishaps of one process.
pub(super) struct Mishaps {
    state: Mutex<State>,
    log: Mutex<Weak<ByHand>>,
    story: Story,
}

struct State {
    luck: Luck,
    /// Whether anything goes wrong at all.
    on: bool,
    /// After so many operations that change something, the process ends.
    ends_in: Option<u64>,
    /// One operation in so many fails from now on; 0 is none.
    error_once_in: u64,
    /// No file can grow.
    full: bool,
    /// Errors of a broken disk that were given so far.
    broken: u64,
    /// Refusals of a full disk that were given so far.
    refused: u64,
}

impl Mishaps {
    pub(super) fn new(luck: &mut Luck, story: &Story) -> Arc<Self> {
        let state = State {
            luck: luck.fork(),
            on: true,
            ends_in: None,
            error_once_in: 0,
            full: false,
            broken: 0,
            refused: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            log: Mutex::new(Weak::new()),
            story: story.clone(),
        })
    }

    /// Decides about the disk's operations from now on.
    pub(super) fn befall(self: &Arc<Self>, disk: &MemoryDisk) {
        let mishaps = Arc::clone(self);
        disk.set_fates(Some(Arc::new(move |call: &Call<'_>| mishaps.fate(call))));
    }

    /// The log whose threads go on meanwhile.
    pub(super) fn interleave(&self, log: &Arc<ByHand>) {
        *self.log.lock() = Arc::downgrade(log);
    }

    /// Nothing goes wrong any more.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        (state.on, state.full) = (false, false);
    }

    pub(super) fn end_process_in(&self, operations: u64) {
        self.state.lock().ends_in = Some(operations);
    }

    pub(super) fn set_error_once_in(&self, operations: u64) {
        self.state.lock().error_once_in = operations;
    }

    pub(super) fn set_full(&self, full: bool) {
        self.state.lock().full = full;
    }

    pub(super) fn is_full(&self) -> bool {
        self.state.lock().full
    }

    /// Whether any operation has failed.
    pub(super) fn happened(&self) -> bool {
        let state = self.state.lock();
        state.broken + state.refused > 0
    }

    /// Whether any operation has failed for a worse reason than a full disk.
    pub(super) fn broke(&self) -> bool {
        self.state.lock().broken > 0
    }

    fn fate(&self, call: &Call<'_>) -> Fate {
        if self.state.lock().goes_on_meanwhile() {
            self.go_on_meanwhile();
        }
        let fate = self.state.lock().fate(call);
        match &fate {
            Fate::Done | Fate::Short(_) => {}
            Fate::Fails { error, .. } if error.kind() == io::ErrorKind::Interrupted => {}
            Fate::Fails { error, done } => self.story.tell(format_args!(
                "disk: {:?} of {} fails: {:?}, done {done}",
                call.operation,
                kind_of_name(call.name),
                error.kind()
            )),
            Fate::Dies { done } => self.story.tell(format_args!(
                "the process ends in {:?} of {}, done {done}",
                call.operation,
                kind_of_name(call.name)
            )),
        }
        fate
    }

    /// Whichever thread is not at the disk already has its turn.
    fn go_on_meanwhile(&self) {
        let Some(log) = self.log.lock().upgrade() else { return };
        if log.write() == Turn::Done {
            self.story.tell(format_args!("meanwhile the writer has a turn"));
        } else if log.prepare() == Turn::Done {
            self.story.tell(format_args!("meanwhile the preparer has a turn"));
        }
    }
}

impl State {
    fn goes_on_meanwhile(&mut self) -> bool {
        self.on && self.luck.once_in(6)
    }

    fn fate(&mut self, call: &Call<'_>) -> Fate {
        let changes =
            !matches!(call.operation, Operation::List | Operation::Open | Operation::Read);
        if !self.on {
            return Fate::Done;
        }
        if changes && let Some(left) = &mut self.ends_in {
            if *left == 0 {
                return Fate::Dies { done: self.luck.once_in(2) };
            }
            *left -= 1;
        }
        let takes_bytes = matches!(call.operation, Operation::Read | Operation::Write);
        if (takes_bytes || call.operation == Operation::Allocate) && self.luck.once_in(24) {
            return Fate::Fails { error: io::ErrorKind::Interrupted.into(), done: false };
        }
        let grows = call.grows || call.operation == Operation::Create;
        // Keys may be given up for a full disk, which is no matter of this world.
        if self.full && grows && call.name != "keys.new" {
            self.refused += 1;
            return Fate::Fails { error: io::ErrorKind::StorageFull.into(), done: false };
        }
        if changes && self.luck.once_in(self.error_once_in) {
            self.broken += 1;
            let done = self.luck.once_in(2);
            return Fate::Fails { error: io::Error::from_raw_os_error(EIO), done };
        }
        if takes_bytes && call.bytes > 1 && self.luck.once_in(12) {
            return Fate::Short(self.luck.below(call.bytes as u64) as usize);
        }
        Fate::Done
    }
}

/// A name without what is random in it.
fn kind_of_name(name: &str) -> &str {
    match name.strip_suffix(".spare") {
        Some(_) => "a spare",
        None => name,
    }
}
