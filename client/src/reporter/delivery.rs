//! Brings reports to the server, oldest first, each until it is taken or refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::task::Task;
use crate::queue::Number;
use crate::transport::{Backoff, NoAnswer, Outcome, Report};

/// Codes of errors that are remembered as logged.
const LOGGED_MAX: usize = 32;

/// What the delivery remembers between two attempts.
struct Attempts {
    backoff: Backoff,
    /// Failures since the last success.
    failures: u64,
    /// The report that was tried last.
    last: Option<Number>,
    /// Why the worker was not let in, since the last success.
    denied: Option<String>,
    /// What was logged already.
    logged: BTreeSet<String>,
}

impl Task {
    /// Returns when all is delivered after the last report was queued.
    pub(super) async fn deliver(&self) {
        let mut attempts = Attempts {
            backoff: Backoff::new(self.settings.backoff_max, self.seed.wrapping_add(1)),
            failures: 0,
            last: None,
            denied: None,
            logged: BTreeSet::new(),
        };
        loop {
            // Read before the queue: what is queued after this is found by the next round.
            let closing = self.closing.load(Ordering::Acquire);
            match self.on_queue(|queue| queue.front()).await.flatten() {
                Some((number, report)) => self.attempt(number, report, &mut attempts).await,
                None if closing => return,
                None => self.queued.notified().await,
            }
        }
    }

    async fn attempt(&self, number: Number, report: Arc<Report>, attempts: &mut Attempts) {
        if attempts.last.replace(number) == Some(number) {
            self.delivery.retried.inc();
        }
        let answer = self.transport.lock().await.report(&report).await;
        let outcome = match answer {
            Ok(answer) => {
                self.delivery.set_clock_ahead(answer.ahead_s());
                answer.outcome()
            }
            Err(error @ NoAnswer::Certificate { .. }) => {
                Outcome::Denied { code: "certificate".to_owned(), said: error.to_string() }
            }
            Err(error) => Outcome::Again { after: None, said: error.to_string() },
        };
        match outcome {
            Outcome::Taken(rejects) => {
                self.delivery.delivered.inc();
                self.delivery.samples_rejected.add(rejects.count);
                if rejects.count > 0 {
                    attempts.log_once("rejects", || {
                        tracing::warn!(
                            count = rejects.count,
                            reason = rejects.reason,
                            "the server rejects samples; noetl_client_samples_rejected_total \
                             counts them"
                        );
                    });
                }
                if attempts.failures > 0 {
                    tracing::info!(failures = attempts.failures, "reports are delivered again");
                }
                attempts.failures = 0;
                attempts.backoff.reset();
                attempts.denied = None;
                self.on_queue(move |queue| queue.delivered(number)).await;
            }
            Outcome::Refused { code, said } => {
                let (ahead_s, samples) = (self.delivery.clock_ahead_s(), report.samples);
                attempts.log_once(&code, || {
                    tracing::error!(
                        code,
                        said,
                        samples,
                        clock_ahead_s = ahead_s,
                        "the server refuses a report for good; it is dropped"
                    );
                });
                // It is no reason to wait: the next one may be taken.
                attempts.backoff.reset();
                self.on_queue(move |queue| queue.refused(number)).await;
            }
            Outcome::Denied { code, said } => {
                if attempts.denied.as_ref() != Some(&code) {
                    tracing::error!(
                        code,
                        said,
                        "the server does not let this worker in; its reports wait until somebody \
                         changes that"
                    );
                    attempts.denied = Some(code);
                }
                attempts.failures += 1;
                self.pause(attempts.backoff.pause(Some(self.settings.backoff_max))).await;
            }
            Outcome::Unregistered => {
                self.unknown.notify_one();
                self.pause_after(None, "the component is not registered yet", attempts).await;
            }
            Outcome::Again { after, said } => self.pause_after(after, &said, attempts).await,
        }
    }

    async fn pause_after(&self, after: Option<Duration>, said: &str, attempts: &mut Attempts) {
        if attempts.failures == 0 {
            tracing::warn!(said, "a report is not delivered yet; it is tried again");
        }
        attempts.failures += 1;
        self.pause(attempts.backoff.pause(after)).await;
    }
}

impl Attempts {
    fn log_once(&mut self, what: &str, log: impl FnOnce()) {
        if self.logged.len() < LOGGED_MAX && self.logged.insert(what.to_owned()) {
            log();
        }
    }
}
