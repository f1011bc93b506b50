//! What a person sees while the fleet works: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::fleet::answers::Answers;
use crate::plan::{Amount, Plan};
use crate::report::grouped;

/// The counters of one thread, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Live {
    /// Samples acknowledged.
    pub(crate) samples: AtomicU64,
    /// Connections that were opened.
    pub(crate) connected: AtomicU64,
    /// Attempts that failed and are made again.
    pub(crate) retries: AtomicU64,
    /// The first failure, for a person.
    pub(crate) first_failure: OnceLock<String>,
    /// What the server answered.
    pub(crate) answers: Answers,
}

/// The display.
#[derive(Debug)]
pub(crate) struct Progress {
    live: Vec<Arc<Live>>,
    bar: ProgressBar,
    on_terminal: bool,
    by_samples: bool,
    last: (Duration, u64),
    told_failure: bool,
}

impl Progress {
    /// Shows nothing yet.
    pub(crate) fn new(plan: &Plan, live: Vec<Arc<Live>>) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let (length, by_samples) = match (plan.reports, plan.request.amount) {
            (Some(reports), _) => (reports * u64::from(plan.request.metrics), true),
            (None, Amount::For(duration)) => (duration.as_millis() as u64, false),
            (None, Amount::Samples(samples)) => (samples, true),
        };
        let draw = if on_terminal {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(length), draw);
        if let Ok(style) = ProgressStyle::with_template(
            "{elapsed_precise} [{bar:30}] {percent:>3} %, {eta} to go, {msg}",
        ) {
            bar.set_style(style.progress_chars("=> "));
        }
        let last = (Duration::ZERO, 0);
        Self { live, bar, on_terminal, by_samples, last, told_failure: false }
    }

    /// How often to call `show`.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(if self.on_terminal { 250 } else { 5_000 })
    }

    /// Shows how far the fleet is after `elapsed`.
    pub(crate) fn show(&mut self, elapsed: Duration) {
        let sum = |count: fn(&Live) -> &AtomicU64| -> u64 {
            self.live.iter().map(|live| count(live).load(Ordering::Relaxed)).sum()
        };
        let samples = sum(|live| &live.samples);
        let retries = sum(|live| &live.retries);
        let seconds = (elapsed.saturating_sub(self.last.0)).as_secs_f64();
        if seconds < 0.1 {
            return;
        }
        let rate = (samples - self.last.1) as f64 / seconds;
        self.last = (elapsed, samples);
        let (rate, acknowledged) = (grouped(rate), grouped(samples as f64));
        let text = format!("{rate} samples/s, {acknowledged} acknowledged, {retries} retries");
        self.bar.set_position(if self.by_samples { samples } else { elapsed.as_millis() as u64 });
        self.bar.set_message(text.clone());
        if !self.on_terminal {
            eprintln!("{:6.1} s  {text}", elapsed.as_secs_f64());
        }
        let failure = self.live.iter().find_map(|live| live.first_failure.get());
        if let Some(failure) = failure.filter(|_| !self.told_failure) {
            self.told_failure = true;
            self.bar.suspend(|| eprintln!("first failure: {failure}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
