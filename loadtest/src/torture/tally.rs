//! What a torture comes to: for a person as a table, for a program as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::fleet::AnswerCounts;
use crate::torture::fault::Fault;
use crate::verify::Exactness;

/// What one kind of fault has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct FaultTally {
    /// How often it was done, and showed.
    pub(crate) done: u32,
    /// How often it was not alone.
    pub(crate) joined: u32,
    /// The longest time without an acknowledgement in a round with it.
    pub(crate) without_acks_s_max: f64,
    /// The longest time from its end until reports were acknowledged and flushed again.
    pub(crate) recovery_s_max: f64,
}

/// All figures of a torture.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Decides faults and moments.
    pub(crate) seed: u64,
    /// Rounds that were passed.
    pub(crate) rounds: u32,
    /// How long it took.
    pub(crate) elapsed_s: f64,
    /// By kind.
    pub(crate) faults: BTreeMap<Fault, FaultTally>,
    /// Faults that this machine does not allow, and why.
    pub(crate) left_out: BTreeMap<Fault, String>,
    /// Starts of the server.
    pub(crate) server_starts: u32,
    /// The longest of them but the first.
    pub(crate) server_start_s_max: f64,
    /// The most memory that the server had.
    pub(crate) server_memory_bytes_max: u64,
    /// Attempts of the fleet that were made again.
    pub(crate) retries: u64,
    /// What it was answered.
    pub(crate) answers: AnswerCounts,
    /// Comparisons of the ledger with the tables.
    pub(crate) checks: u32,
    /// The sum of all fleets' last comparisons.
    pub(crate) exactness: Exactness,
    /// The longest time without an acknowledgement.
    pub(crate) without_acks_s_max: f64,
}

impl Tally {
    /// Counts a round.
    pub(crate) fn count(&mut self, faults: &[Fault], without_acks: Duration, recovery: Duration) {
        self.rounds += 1;
        let without_acks_s = without_acks.as_secs_f64();
        self.without_acks_s_max = self.without_acks_s_max.max(without_acks_s);
        for fault in faults {
            let of = self.faults.entry(*fault).or_default();
            of.done += 1;
            of.joined += u32::from(faults.len() > 1);
            of.without_acks_s_max = of.without_acks_s_max.max(without_acks_s);
            of.recovery_s_max = of.recovery_s_max.max(recovery.as_secs_f64());
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{:<20} {:>5} {:>7} {:>12} {:>10}",
            "fault", "done", "joined", "no acks s", "back s"
        )?;
        for (fault, of) in &self.faults {
            writeln!(
                f,
                "{fault:<20} {:>5} {:>7} {:>12.1} {:>10.1}",
                of.done, of.joined, of.without_acks_s_max, of.recovery_s_max
            )?;
        }
        for (fault, reason) in &self.left_out {
            writeln!(f, "{fault:<20}  LEFT OUT: {reason}")?;
        }
        writeln!(f, "rounds       {} in {:.0} s, seed {}", self.rounds, self.elapsed_s, self.seed)?;
        writeln!(
            f,
            "server       {} starts, the longest {:.1} s; at most {:.0} MiB of memory",
            self.server_starts,
            self.server_start_s_max,
            self.server_memory_bytes_max as f64 / f64::from(1 << 20)
        )?;
        writeln!(f, "answers      {}; {} retries", self.answers, self.retries)?;
        writeln!(f, "without acks {:.1} s at most", self.without_acks_s_max)?;
        writeln!(f, "exactness    {} in {} checks", self.exactness, self.checks)
    }
}
