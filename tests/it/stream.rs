//! A stream of reports to be disturbed, and the account of what was acknowledged.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::client::Client;
use crate::output::until;
use crate::server::Server;

/// Workers that report at once.
pub(crate) const WORKERS: usize = 4;

/// Workers that report until they are told to stop, or until the server is gone. Each report has a
/// value and a time of its own and is sent once; the acknowledged ones are written down.
pub(crate) struct Stream<'a> {
    component: &'a str,
    sent: AtomicUsize,
    acknowledged: Mutex<Vec<usize>>,
    stop: AtomicBool,
    /// Workers that found the server gone.
    gone: AtomicUsize,
}

impl<'a> Stream<'a> {
    /// Workers of one component that have not begun.
    pub(crate) fn new(component: &'a str) -> Self {
        Self {
            component,
            sent: AtomicUsize::new(0),
            acknowledged: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
            gone: AtomicUsize::new(0),
        }
    }

    /// Reports to the server of `client` while `disturb` runs.
    pub(crate) fn run(&self, client: &Client, disturb: impl FnOnce(&Self)) {
        self.stop.store(false, Ordering::Relaxed);
        self.gone.store(0, Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) {
                        if !self.send(client) {
                            self.gone.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                    }
                });
            }
            // A test that fails here must not be waited for by workers that never stop.
            let outcome = catch_unwind(AssertUnwindSafe(|| disturb(self)));
            self.stop.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
    }

    /// Waits until every worker has found the server gone. Each has sent one report then that is
    /// not acknowledged.
    pub(crate) fn wait_gone(&self) {
        until("the end of the server", || {
            (self.gone.load(Ordering::Relaxed) == WORKERS).then_some(())
        });
    }

    /// Sends the next report; `false` when the server is gone.
    fn send(&self, client: &Client) -> bool {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.try_number(client, number)
    }

    /// Sends a report, under a key of its own; `false` when the server is gone.
    pub(crate) fn try_number(&self, client: &Client, number: usize) -> bool {
        let key = format!("{}-{number}", self.component);
        let headers = [("idempotency-key", key.as_str())];
        let Ok(answer) = client.try_post(&headers, self.report(number).as_bytes()) else {
            return false;
        };
        assert_eq!(answer.ok()["durable"], true);
        self.acknowledged.lock().unwrap().push(number);
        true
    }

    /// Two metrics, so that a report stored in half would be seen.
    fn report(&self, number: usize) -> String {
        let metric = |name: &str| {
            json!({"metric_name": name, "metric_type": "counter", "metric_value": number,
                   "timestamp": 1_704_110_400 + number})
        };
        json!({"component_name": self.component, "metrics": [metric("a"), metric("b")]}).to_string()
    }

    /// The numbers of those that were sent and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> Vec<usize> {
        let acknowledged = self.acknowledged.lock().unwrap();
        let sent = self.sent.load(Ordering::Relaxed);
        (0..sent).filter(|number| !acknowledged.contains(number)).collect()
    }

    /// How many are acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits until `count` more are acknowledged.
    pub(crate) fn wait_for(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        until("acknowledgements", || (self.acknowledged() >= wanted).then_some(()));
    }

    /// Whether all that was acknowledged is stored once, and nothing but what was sent.
    pub(crate) fn assert_stored_once(&self, server: &Server) {
        // A query waits for the flush of everything that was acknowledged.
        server.client().query(&[("component_name", self.component), ("limit", "1")]);
        let stored: Vec<(i64, i64, f64)> = server.sql().rows(&format!(
            "SELECT count(*), count(DISTINCT metric_name), metric_value FROM noetl.metrics
              WHERE component_name = '{}' GROUP BY metric_value ORDER BY metric_value",
            self.component
        ));
        for (samples, series, number) in &stored {
            assert_eq!((*samples, *series), (2, 2), "report {number}");
        }
        let mut acknowledged = self.acknowledged.lock().unwrap().clone();
        acknowledged.sort_unstable();
        let is_stored = |number: &usize| {
            stored.binary_search_by(|(.., value)| value.total_cmp(&(*number as f64))).is_ok()
        };
        let lost: Vec<_> = acknowledged.iter().filter(|number| !is_stored(number)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let unacknowledged = self.sent.load(Ordering::Relaxed) - acknowledged.len();
        let surplus = stored.len() - acknowledged.len();
        assert!(surplus <= unacknowledged, "{surplus} more than were acknowledged");
    }
}
