//! The faults: what each is called, where it can be done, and which go together. Pure.

use clap::ValueEnum;
use serde::Serialize;

use crate::torture::chance::Chance;

/// Something that goes wrong. Its name on the command line is that of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The server is killed by SIGKILL and started again.
    ServerKill,
    /// The server drains after SIGTERM and is started again.
    ServerTerm,
    /// The server is stopped by SIGSTOP for a while.
    ServerFreeze,
    /// The postmaster is killed by SIGKILL.
    PostmasterKill,
    /// A backend of the server is killed by SIGKILL, so PostgreSQL restarts all of them.
    BackendKill,
    /// PostgreSQL is shut down fast, as `pg_ctl stop -m fast` does it.
    PostgresFast,
    /// PostgreSQL is shut down at once, as `pg_ctl stop -m immediate` does it.
    PostgresImmediate,
    /// All of PostgreSQL's processes are stopped by SIGSTOP for a while.
    PostgresFreeze,
    /// Every transaction is read-only for a while.
    ReadOnly,
    /// Somebody else has all connections, and the server's own are ended.
    NoConnections,
    /// The session that copies is ended in the middle of it, by `pg_terminate_backend`.
    CopyTerminate,
    /// The disk of the tables is full for a while.
    TablesDiskFull,
    /// The disk of PostgreSQL's own log is full for a while.
    WalDiskFull,
    /// The disk of the server's log is full for a while, and PostgreSQL hangs.
    LogDiskFull,
    /// All connections to PostgreSQL are cut, and for a while no new ones are let through.
    NetworkCut,
    /// The network to PostgreSQL is slow for a while.
    NetworkSlow,
    /// The network to PostgreSQL lets nothing through for a while.
    NetworkStall,
    /// One direction of all connections to PostgreSQL is closed.
    NetworkHalfClose,
    /// The connection that copies is cut in the middle of it.
    CopyCut,
    /// The connection is cut after a commit was sent and before its answer.
    CommitUnanswered,
}

/// Whom a fault is done to. Two faults at a time have different victims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Server,
    Postgres,
    Network,
}

/// What a place has that faults can be done to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    /// PostgreSQL's processes may be signalled.
    pub(crate) processes: bool,
    /// Its role may set and end everything.
    pub(crate) superuser: bool,
    /// There are small disks to fill.
    pub(crate) disks: bool,
    /// There is a proxy in between.
    pub(crate) proxy: bool,
    /// PostgreSQL is the server's own, and stops with it.
    pub(crate) embedded: bool,
}

impl Fault {
    /// All of them.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Whom it is done to.
    pub(crate) fn victim(self) -> Victim {
        match self {
            Self::ServerKill | Self::ServerTerm | Self::ServerFreeze => Victim::Server,
            Self::NetworkCut
            | Self::NetworkSlow
            | Self::NetworkStall
            | Self::NetworkHalfClose
            | Self::CopyCut
            | Self::CommitUnanswered => Victim::Network,
            _ => Victim::Postgres,
        }
    }

    /// Whether it can be done where there are these means.
    pub(crate) fn is_possible(self, means: Means) -> bool {
        match self {
            Self::ServerKill | Self::ServerTerm | Self::ServerFreeze => true,
            Self::ReadOnly | Self::NoConnections | Self::CopyTerminate => means.superuser,
            Self::TablesDiskFull | Self::WalDiskFull | Self::LogDiskFull => means.disks,
            Self::PostmasterKill
            | Self::BackendKill
            | Self::PostgresFast
            | Self::PostgresImmediate
            | Self::PostgresFreeze => means.processes,
            _ => means.proxy,
        }
    }

    /// It shows only while the server runs and flushes, so nothing else may be broken when it begins.
    fn needs_a_flush(self) -> bool {
        matches!(
            self,
            Self::CopyTerminate
                | Self::CopyCut
                | Self::CommitUnanswered
                | Self::LogDiskFull
                | Self::TablesDiskFull
                | Self::WalDiskFull
                | Self::BackendKill
                | Self::NoConnections
                | Self::NetworkHalfClose
        )
    }

    /// Whether `second` may be done while this one lasts.
    fn may_be_joined_by(self, second: Self, embedded: bool) -> bool {
        // A frozen PostgreSQL cannot be stopped in time by a server that drains, and whether a
        // frozen server is to blame for a fault without effect cannot be told.
        let hopeless = self == Self::PostgresFreeze && second == Self::ServerTerm
            || self == Self::LogDiskFull && second != Self::ServerFreeze
            || self == Self::ServerTerm && embedded
            // The system wakes a stopped process when its parent goes.
            || self == Self::PostgresFreeze && second == Self::ServerKill && embedded;
        self.victim() != second.victim() && !second.needs_a_flush() && !hopeless
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The faults of a place, drawn without repeating one before all others have been drawn.
#[derive(Debug)]
pub(crate) struct Deck {
    possible: Vec<Fault>,
    left: Vec<Fault>,
    embedded: bool,
}

impl Deck {
    /// Of the faults wanted, those that are possible.
    pub(crate) fn new(wanted: &[Fault], means: Means) -> Self {
        let possible = wanted.iter().copied().filter(|fault| fault.is_possible(means)).collect();
        Self { possible, left: Vec::new(), embedded: means.embedded }
    }

    /// Which faults it has.
    pub(crate) fn possible(&self) -> &[Fault] {
        &self.possible
    }

    /// One fault, or two of which the second joins the first. None where none is possible.
    pub(crate) fn draw(&mut self, chance: &mut Chance) -> Vec<Fault> {
        if self.left.is_empty() {
            self.left.clone_from(&self.possible);
            chance.shuffle(&mut self.left);
        }
        let mut drawn: Vec<Fault> = self.left.pop().into_iter().collect();
        if let Some(first) = drawn.first().filter(|_| chance.coin()) {
            let joining = |second: &&Fault| first.may_be_joined_by(**second, self.embedded);
            let seconds: Vec<Fault> = self.possible.iter().filter(joining).copied().collect();
            if !seconds.is_empty() {
                drawn.push(seconds[chance.below(seconds.len())]);
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Means =
        Means { processes: true, superuser: true, disks: true, proxy: true, embedded: false };

    #[test]
    fn every_fault_comes_before_one_comes_again() {
        let mut deck = Deck::new(Fault::all(), ALL);
        let mut chance = Chance::new(3);
        for _ in 0..5 {
            let mut first: Vec<Fault> =
                Fault::all().iter().map(|_| deck.draw(&mut chance)[0]).collect();
            first.sort_unstable();
            assert_eq!(first, Fault::all());
        }
    }

    #[test]
    fn two_faults_have_different_victims() {
        let mut deck = Deck::new(Fault::all(), ALL);
        let mut chance = Chance::new(5);
        let pairs: Vec<_> =
            (0..1_000).map(|_| deck.draw(&mut chance)).filter(|drawn| drawn.len() == 2).collect();
        assert!((300..700).contains(&pairs.len()));
        assert!(pairs.iter().all(|pair| pair[0].victim() != pair[1].victim()));
    }

    #[test]
    fn what_a_place_lacks_is_left_out() {
        let nothing =
            Means { processes: false, superuser: false, disks: false, proxy: false, ..ALL };
        let deck = Deck::new(Fault::all(), nothing);
        assert!(deck.possible().iter().all(|fault| fault.victim() == Victim::Server));
        assert!(Deck::new(&[], ALL).draw(&mut Chance::new(1)).is_empty());
    }
}
