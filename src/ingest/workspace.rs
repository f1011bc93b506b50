//! The reused memory of decoding and arranging one report.

use parking_lot::Mutex;

use super::rows::RowBuilder;
use crate::protocol::ReportDecoder;

/// Workspaces kept for later; as many reports are worked on at once as there are threads.
const POOLED_MAX: usize = 64;
/// A buffer larger than this is given back, so that one huge report is not paid for for ever.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// The memory of one report's way into the log.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) decoder: ReportDecoder,
    /// The document, which decoding overwrites.
    pub(super) document: Vec<u8>,
    /// Per sample its entry in the component, or [`REJECTED`].
    pub(super) entries: Vec<u32>,
    pub(super) rows: RowBuilder,
    /// The record's payload.
    pub(super) payload: Vec<u8>,
    pub(super) values: Vec<f64>,
    pub(super) offsets_us: Vec<u32>,
}

/// Marks a sample that was not placed.
pub(super) const REJECTED: u32 = u32::MAX;

impl Workspace {
    fn trim(&mut self) {
        self.decoder.trim();
        self.rows.trim();
        for buffer in [&mut self.document, &mut self.payload] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
        self.entries.clear();
        self.entries.shrink_to(KEPT_BYTES_MAX / size_of::<u32>());
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
