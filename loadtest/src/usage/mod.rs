//! CPU time and memory of a process and all its descendants, from `/proc`. CPU time includes
//! children that were there only for a while: what a waited-for child used is found in its parent's `cutime` and
//! `cstime`, and what an orphan used is remembered from when it was last seen.

mod memory;
mod meter;
mod stat;
mod tree;

use serde::Serialize;

pub(crate) use memory::{resident, resident_peak};
pub(crate) use meter::{Meter, own_seconds};

/// CPU seconds (user and system).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CpuSeconds {
    /// Of the processes named.
    pub(crate) roots: f64,
    /// Of all their descendants, gone ones included.
    pub(crate) descendants: f64,
}

/// The most memory that was resident, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PeakBytes {
    /// Of the processes named, since they began.
    pub(crate) roots: u64,
    /// Of all their descendants together, as far as it was seen; shared pages count once.
    pub(crate) descendants: u64,
}

impl PeakBytes {
    /// Of the whole tree. The two peaks need not have been at the same time.
    pub(crate) fn total(self) -> u64 {
        self.roots + self.descendants
    }
}

/// What a process tree has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// CPU since the measuring began.
    pub(crate) cpu: CpuSeconds,
    /// Memory.
    pub(crate) memory: PeakBytes,
}

impl CpuSeconds {
    /// Of the whole tree.
    pub(crate) fn total(self) -> f64 {
        self.roots + self.descendants
    }
}
