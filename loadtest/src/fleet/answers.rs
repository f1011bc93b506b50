//! How often the server answered what.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::wire::Head;

/// Counters that the connections of a thread share.
#[derive(Debug)]
pub(crate) struct Answers {
    taken: AtomicU64,
    over_budget: AtomicU64,
    unavailable: AtomicU64,
    other: AtomicU64,
    unanswered: AtomicU64,
    retry_after_s_min: AtomicU64,
    retry_after_s_max: AtomicU64,
}

/// Their values at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AnswerCounts {
    /// 2xx.
    pub(crate) taken: u64,
    /// 429.
    pub(crate) over_budget: u64,
    /// 503.
    pub(crate) unavailable: u64,
    /// Any other status.
    pub(crate) other: u64,
    /// No connection, or no answer on one.
    pub(crate) unanswered: u64,
    /// The shortest and the longest `Retry-After` in seconds, where there was one.
    pub(crate) retry_after_s: Option<(u64, u64)>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            taken: AtomicU64::new(0),
            over_budget: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            other: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            retry_after_s_min: AtomicU64::new(u64::MAX),
            retry_after_s_max: AtomicU64::new(0),
        }
    }
}

impl Answers {
    /// Counts the outcome of one attempt.
    pub(crate) fn count(&self, answer: &io::Result<Head>) {
        let Ok(head) = answer else { return self.count_unanswered() };
        let counter = match head.status {
            200..=299 => &self.taken,
            429 => &self.over_budget,
            503 => &self.unavailable,
            _ => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(after) = head.retry_after {
            self.retry_after_s_min.fetch_min(after.as_secs(), Ordering::Relaxed);
            self.retry_after_s_max.fetch_max(after.as_secs(), Ordering::Relaxed);
        }
    }

    /// Counts an attempt that met nobody.
    pub(crate) fn count_unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> AnswerCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (min, max) = (of(&self.retry_after_s_min), of(&self.retry_after_s_max));
        AnswerCounts {
            taken: of(&self.taken),
            over_budget: of(&self.over_budget),
            unavailable: of(&self.unavailable),
            other: of(&self.other),
            unanswered: of(&self.unanswered),
            retry_after_s: (min <= max).then_some((min, max)),
        }
    }
}

impl AnswerCounts {
    /// Adds those of another thread or fleet.
    pub(crate) fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.over_budget += other.over_budget;
        self.unavailable += other.unavailable;
        self.other += other.other;
        self.unanswered += other.unanswered;
        self.retry_after_s = match (self.retry_after_s, other.retry_after_s) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

impl std::fmt::Display for AnswerCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { taken, over_budget, unavailable, other, unanswered, .. } = self;
        write!(
            f,
            "200: {taken}, 429: {over_budget}, 503: {unavailable}, other: {other}, none: {unanswered}"
        )?;
        match self.retry_after_s {
            Some((min, max)) => write!(f, ", Retry-After {min} to {max} s"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn answers_are_counted_by_status_and_added() {
        let answers = Answers::default();
        for (status, after) in [(200, None), (429, Some(7)), (429, Some(31)), (503, Some(5))] {
            let retry_after = after.map(Duration::from_secs);
            answers.count(&Ok(Head { status, body: 0..0, closes: false, retry_after }));
        }
        answers.count(&Err(io::ErrorKind::UnexpectedEof.into()));
        let mut total = answers.read();
        total.add(AnswerCounts::default());
        let text = "200: 1, 429: 2, 503: 1, other: 0, none: 1, Retry-After 5 to 31 s";
        assert_eq!(total.to_string(), text);
        assert_eq!(Answers::default().read().retry_after_s, None);
    }
}
