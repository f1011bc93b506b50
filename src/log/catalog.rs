//! The segments that are retained, oldest first; the last one is being written.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::LogPosition;
use super::segment::Segment;
use crate::telemetry::Telemetry;

/// Complete segments that are kept though they are flushed: recovery reads the last values and
/// the memory of retries from them.
const COMPLETE_SEGMENTS_KEPT: usize = 1;

/// The retained segments. Never empty.
pub(super) struct Catalog {
    segments: Mutex<VecDeque<Arc<Segment>>>,
    telemetry: Arc<Telemetry>,
}

impl Catalog {
    /// `segments` must hold at least the active one, which stands last.
    pub(super) fn new(segments: VecDeque<Arc<Segment>>, telemetry: Arc<Telemetry>) -> Self {
        assert!(!segments.is_empty(), "a log has an active segment");
        let catalog = Self { segments: Mutex::new(segments), telemetry };
        catalog.show(&catalog.segments.lock());
        catalog
    }

    /// The position of the oldest record retained.
    pub(super) fn first(&self) -> LogPosition {
        self.segments.lock().front().map_or(LogPosition::ZERO, |oldest| oldest.header.first)
    }

    /// Bytes of all retained segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.lock().iter().map(|segment| segment.bytes).sum()
    }

    /// The newest segment that starts at or below `position`; `None` when that was deleted.
    pub(super) fn holding(&self, position: LogPosition) -> Option<Arc<Segment>> {
        let segments = self.segments.lock();
        segments.iter().rfind(|segment| segment.header.first <= position).cloned()
    }

    /// The segment after the one of `number`; `None` when that was deleted.
    pub(super) fn after(&self, number: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.lock();
        segments.iter().find(|segment| segment.header.number == number + 1).cloned()
    }

    /// Completes the active segment at `end` and makes `segment` the active one.
    pub(super) fn roll(&self, end: LogPosition, segment: Arc<Segment>) {
        let mut segments = self.segments.lock();
        // A reader that sees the end asks for the next segment, and waits for this lock.
        if let Some(active) = segments.back() {
            active.complete(end);
        }
        segments.push_back(segment);
        self.show(&segments);
    }

    /// Takes out the oldest segment when it is flushed and not kept for other reasons.
    pub(super) fn release(&self, flushed: LogPosition) -> Option<Arc<Segment>> {
        let mut segments = self.segments.lock();
        let spare_complete = segments.len() > COMPLETE_SEGMENTS_KEPT + 1;
        let oldest_end = segments.front()?.end();
        if !spare_complete || oldest_end.is_none_or(|end| end > flushed) {
            return None;
        }
        let released = segments.pop_front();
        self.show(&segments);
        released
    }

    /// What must be flushed before [`Catalog::release`] has something; `None` when more segments
    /// are needed first.
    pub(super) fn release_at(&self) -> Option<LogPosition> {
        let segments = self.segments.lock();
        let spare_complete = segments.len() > COMPLETE_SEGMENTS_KEPT + 1;
        segments.front().filter(|_| spare_complete)?.end()
    }

    fn show(&self, segments: &VecDeque<Arc<Segment>>) {
        let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        self.telemetry.log.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.telemetry.log.segments.set(i64::try_from(segments.len()).unwrap_or(i64::MAX));
    }
}
