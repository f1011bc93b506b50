//! Readiness: latches that hold it up, dropped one by one at the start and raised at the end.
//!
//! Owns which of them are up. Guarantees that the server calls itself ready only while none is, and
//! that they are shown in one order. Refuses to know what drops them; that is the application's.

use std::sync::atomic::{AtomicU8, Ordering};

/// Something that must be so before requests should be sent here, in the order in which it comes
/// to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// The port is open.
    Port,
    /// PostgreSQL is reached and migrated, or a registered server goes on without it.
    Database,
    /// Components and series are read from PostgreSQL, as far as that can be had.
    Memory,
    /// The log is open and read, and takes records.
    Log,
    /// The flush and the jobs run, and requests have their handlers.
    Tasks,
    /// Nobody has told the server to stop.
    Stopping,
}

impl Latch {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Port, Self::Database, Self::Memory, Self::Log, Self::Tasks, Self::Stopping];

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Database => "database",
            Self::Memory => "memory",
            Self::Log => "log",
            Self::Tasks => "tasks",
            Self::Stopping => "stopping",
        }
    }

    /// What is the matter while it is up, in one sentence.
    fn matter(self) -> &'static str {
        match self {
            Self::Port => "the port is not open",
            Self::Database => {
                "PostgreSQL is not reached and migrated yet; the first start of a server waits for it"
            }
            Self::Memory => "components and series are being read from PostgreSQL",
            Self::Log => "the write-ahead log is being read",
            Self::Tasks => "the flush and the jobs do not run",
            Self::Stopping => "the server is stopping",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The latches of a server.
#[derive(Debug)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Those of a server that has just begun to start.
    pub fn starting() -> Self {
        let all = Latch::ALL.into_iter().filter(|latch| *latch != Latch::Stopping);
        Self(AtomicU8::new(all.fold(0, |bits, latch| bits | latch.bit())))
    }

    /// It is so.
    pub fn drop_latch(&self, latch: Latch) {
        self.0.fetch_and(!latch.bit(), Ordering::AcqRel);
        tracing::debug!(latch = latch.name(), "a latch of the readiness was dropped");
    }

    /// It is not so any more.
    pub fn raise(&self, latch: Latch) {
        self.0.fetch_or(latch.bit(), Ordering::AcqRel);
        tracing::debug!(latch = latch.name(), "a latch of the readiness was raised");
    }

    /// All of them at one moment.
    pub(super) fn now(&self) -> Latches {
        Latches(self.0.load(Ordering::Acquire))
    }
}

/// Which latches are up, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latches(u8);

impl Latches {
    /// The same with one more that is up.
    pub(super) fn with(self, latch: Latch) -> Self {
        Self(self.0 | latch.bit())
    }

    /// The code of the error and what is the matter; none where the server is ready. That it stops
    /// comes before all that it undoes by that.
    pub(super) fn problem(self) -> Option<(&'static str, &'static str)> {
        let code = |latch| if latch == Latch::Stopping { "stopping" } else { "starting" };
        let first = [Latch::Stopping].into_iter().chain(Latch::ALL).find(|one| self.is_up(*one));
        first.map(|latch| (code(latch), latch.matter()))
    }

    /// As the answer lists them.
    pub(super) fn json(self) -> String {
        let each = Latch::ALL
            .map(|latch| format!("{{\"name\":\"{}\",\"up\":{}}}", latch.name(), self.is_up(latch)));
        format!("[{}]", each.join(","))
    }

    fn is_up(self, latch: Latch) -> bool {
        self.0 & latch.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_the_last_latch_is_dropped() {
        let readiness = Readiness::starting();
        for latch in Latch::ALL {
            if latch == Latch::Stopping {
                break;
            }
            // The first that is up is what it waits for, whatever else is.
            assert_eq!(readiness.now().problem(), Some(("starting", latch.matter())));
            readiness.drop_latch(latch);
        }
        assert_eq!(readiness.now().problem(), None);
        let log = readiness.now().with(Latch::Log);
        assert_eq!(log.problem(), Some(("starting", Latch::Log.matter())));
        assert_eq!(readiness.now().problem(), None, "what was asked changes nothing");
    }

    #[test]
    fn a_server_that_stops_says_that_and_not_what_it_undoes() {
        let readiness = Readiness::starting();
        for latch in Latch::ALL {
            readiness.drop_latch(latch);
        }
        for latch in [Latch::Stopping, Latch::Port, Latch::Tasks, Latch::Log, Latch::Database] {
            readiness.raise(latch);
            assert_eq!(readiness.now().problem(), Some(("stopping", "the server is stopping")));
        }
        assert_eq!(
            readiness.now().json(),
            "[{\"name\":\"port\",\"up\":true},{\"name\":\"database\",\"up\":true},\
             {\"name\":\"memory\",\"up\":false},{\"name\":\"log\",\"up\":true},\
             {\"name\":\"tasks\",\"up\":true},{\"name\":\"stopping\",\"up\":true}]"
        );
    }
}
