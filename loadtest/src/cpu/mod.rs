//! CPU time of a process and all its descendants, from `/proc`, including children that were
//! there only for a while: what a waited-for child used is found in its parent's `cutime` and
//! `cstime`, and what an orphan used is remembered from when it was last seen.

mod meter;
mod stat;
mod tree;

use serde::Serialize;

pub(crate) use meter::{Meter, own_seconds};

/// CPU seconds (user and system).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CpuSeconds {
    /// Of the processes named.
    pub(crate) roots: f64,
    /// Of all their descendants, gone ones included.
    pub(crate) descendants: f64,
}

impl CpuSeconds {
    /// Of the whole tree.
    pub(crate) fn total(self) -> f64 {
        self.roots + self.descendants
    }
}
