//! How a batch that nobody waits for goes into PostgreSQL: spread over time, for in one go it takes a
//! processor for a tenth of a second, from those who wait for an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::log::Progress;
use crate::model::LogPosition;

/// The longest pause. A batch of few pieces takes no processor for long, and has no need of longer ones.
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// A time over which a batch may be spread.
#[derive(Debug)]
pub(super) struct Spread {
    pub(super) time: Duration,
    pub(super) progress: Arc<Progress>,
}

/// The pauses between the pieces of a batch.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    spread: Option<&'a Spread>,
    /// Where the batch begins.
    from: LogPosition,
    pause: Duration,
    due: Instant,
}

impl<'a> Pace<'a> {
    /// The pace of a batch of so many pieces that begins at `from`.
    pub(super) fn new(spread: Option<&'a Spread>, from: LogPosition, pieces: usize) -> Self {
        let pieces = u32::try_from(pieces.max(1)).unwrap_or(u32::MAX);
        let pause = spread.map_or(Duration::ZERO, |spread| (spread.time / pieces).min(PAUSE_MAX));
        Self { spread, from, pause, due: Instant::now() }
    }

    /// Until when the next piece has time; `None` where it has none, for somebody waits for the batch. What the
    /// pieces before took is part of their pauses.
    pub(super) fn next(&mut self) -> Option<Instant> {
        let spread = self.spread?;
        if spread.progress.is_wanted(self.from) {
            return None;
        }
        self.due += self.pause;
        Some(self.due)
    }
}
