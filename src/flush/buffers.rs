//! The memory of rows, used again batch after batch: a batch is some megabytes, and the kernel clears all of
//! it each time that it is allocated anew.

use parking_lot::Mutex;

use crate::postgres::copy::CopyBuffer;

/// One that is filled, one that waits and one that is being committed.
const KEPT_MAX: usize = 3;

/// Empty buffers. They are as large as those before them had to be, and shrink with them.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<CopyBuffer>>);

impl Buffers {
    /// One that nobody uses, or a new one.
    pub(super) fn take(&self) -> CopyBuffer {
        self.0.lock().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, mut buffer: CopyBuffer) {
        buffer.clear();
        let mut buffers = self.0.lock();
        if buffers.len() < KEPT_MAX {
            buffers.push(buffer);
        }
    }
}
