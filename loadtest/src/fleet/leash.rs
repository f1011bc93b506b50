//! What holds a fleet from outside while it works: it is watched, told to finish, or ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::fleet::answers::AnswerCounts;
use crate::fleet::progress::Live;

/// The two ways to end.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    finish: AtomicBool,
    now: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Ends when it is told after this call.
    pub(crate) fn told(&self) -> Notified<'_> {
        self.told.notified()
    }

    fn tell(&self, how: &AtomicBool) {
        how.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Nothing further is to be sent.
    pub(crate) fn no_more(&self) -> bool {
        self.finish.load(Ordering::Relaxed) || self.at_once()
    }

    /// Not even what was sent is to be tried again.
    pub(crate) fn at_once(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }
}

/// Holds one fleet.
#[derive(Clone, Debug)]
pub(crate) struct Leash {
    stop: Arc<Stop>,
    live: Vec<Arc<Live>>,
    quiet: bool,
}

impl Leash {
    /// For a fleet of at most `threads` threads.
    pub(crate) fn new(threads: u32) -> Self {
        let live = (0..threads).map(|_| Arc::default()).collect();
        Self { stop: Arc::default(), live, quiet: false }
    }

    /// The same for a fleet that does not show its progress.
    pub(crate) fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Whether nothing is to be shown.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Has the fleet end when what is under way is acknowledged.
    pub(crate) fn finish(&self) {
        self.stop.tell(&self.stop.finish);
    }

    /// Samples acknowledged up to now.
    pub(crate) fn samples(&self) -> u64 {
        self.live.iter().map(|live| live.samples.load(Ordering::Relaxed)).sum()
    }

    /// Connections opened up to now.
    pub(crate) fn connected(&self) -> u64 {
        self.live.iter().map(|live| live.connected.load(Ordering::Relaxed)).sum()
    }

    /// Attempts made again up to now.
    pub(crate) fn retries(&self) -> u64 {
        self.live.iter().map(|live| live.retries.load(Ordering::Relaxed)).sum()
    }

    /// What the server answered up to now.
    pub(crate) fn answers(&self) -> AnswerCounts {
        let mut total = AnswerCounts::default();
        self.live.iter().for_each(|live| total.add(live.answers.read()));
        total
    }

    /// The counters of each thread; there are no more threads than connections.
    pub(super) fn live(&self, connections: u32) -> &[Arc<Live>] {
        &self.live[..self.live.len().min(connections as usize)]
    }

    /// Ends the threads when the fleet's future is dropped.
    pub(super) fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(Arc::clone(&self.stop))
    }
}

/// Tells the threads to stop at its end.
#[derive(Debug)]
pub(super) struct StopOnDrop(Arc<Stop>);

impl StopOnDrop {
    pub(super) fn now(&self) {
        self.0.tell(&self.0.now);
    }

    pub(super) fn shared(&self) -> Arc<Stop> {
        Arc::clone(&self.0)
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.now();
    }
}
