//! What must hold at every turn.

use super::process::{BATCHES, Process};
use super::world::World;

/// No record of a world is larger.
const RECORD_BYTES_MAX: usize = 2 << 10;

impl World {
    /// Memory and disk stay within their bounds, and the log fails only for a reason, of which a
    /// full disk is none.
    pub(super) fn check_bounds(&self, process: &Process) {
        let settings = &self.around.settings;
        let staged = process.log.staged_bytes();
        assert!(staged <= settings.staging_bytes_max, "{staged} bytes wait for a sync");
        let batch = process.following.batch_bytes();
        assert!(batch < BATCHES.bytes_max + RECORD_BYTES_MAX, "a batch has {batch} bytes");
        let disk = &self.around.disk;
        let names = disk.names();
        // While a segment goes, its keys stand beside it.
        let goes = |name: &str| match name.strip_suffix(".keys") {
            Some(number) => names.contains(&format!("{number}.log")),
            None => name == "keys.new",
        };
        let counts = |name: &str| name.contains('.') && !name.starts_with("identity");
        let bytes = disk.bytes_of(|name| counts(name) && !goes(name));
        let in_budget = bytes <= settings.budget_bytes || !process.log.has_looked();
        assert!(in_budget, "the log takes {bytes} bytes: {names:?}");
        if let Some(failed) = process.log.failure() {
            assert!(process.mishaps.broke() || disk.is_dead(), "{failed}");
        }
    }
}
