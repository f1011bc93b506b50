//! The reused memory of decoding and arranging one report.

use parking_lot::Mutex;

use super::record::{KEPT_BYTES_MAX, Record};
use crate::protocol::{Reading, ReportDecoder};

/// Workspaces kept for later; as many reports are worked on at once as there are threads.
const POOLED_MAX: usize = 64;

/// The memory of one report's way into the log.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) decoder: ReportDecoder,
    /// A copy of the document, which decoding overwrites.
    pub(super) document: Vec<u8>,
    /// What an outline read.
    pub(super) readings: Vec<Reading>,
    pub(super) record: Record,
}

impl Workspace {
    fn trim(&mut self) {
        self.decoder.trim();
        self.record.trim();
        self.document.clear();
        self.document.shrink_to(KEPT_BYTES_MAX);
        self.readings.clear();
    }
}

/// Workspaces that nobody uses at the moment.
#[derive(Debug, Default)]
pub(super) struct WorkspacePool {
    free: Mutex<Vec<Workspace>>,
}

impl WorkspacePool {
    pub(super) fn take(&self) -> Workspace {
        let free = self.free.lock().pop();
        free.unwrap_or_default()
    }

    pub(super) fn put(&self, mut workspace: Workspace) {
        workspace.trim();
        let mut free = self.free.lock();
        if free.len() < POOLED_MAX {
            free.push(workspace);
        }
    }
}
