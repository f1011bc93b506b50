//! Takes StatsD by UDP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::own_counter;
use crate::metrics::{Counter, Metrics, Series};
use crate::statsd::{Change, Update, parse};

/// Bytes of a datagram, more than which UDP does not carry.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Quantiles of what took time or space.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Listens.
pub(super) struct Listener {
    metrics: Metrics,
    updates: Counter,
    refused: Counter,
}

impl Listener {
    pub(super) fn new(metrics: Metrics) -> Self {
        let updates = own_counter(
            &metrics,
            "noetl_statsd_lines_total",
            "Lines of StatsD that were taken",
            "lines",
        );
        let refused = own_counter(
            &metrics,
            "noetl_statsd_lines_refused_total",
            "Lines of StatsD that are none",
            "lines",
        );
        Self { metrics, updates, refused }
    }

    /// Until it is aborted.
    pub(super) async fn run(self, socket: Arc<UdpSocket>) {
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            match socket.recv(&mut datagram).await {
                Ok(length) => self.take(&datagram[..length]),
                Err(error) => {
                    tracing::debug!(%error, "a datagram was not received");
                    // Whatever it is, it is not asked about again and again.
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    pub(super) fn take(&self, datagram: &[u8]) {
        for line in datagram.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            match std::str::from_utf8(line).ok().and_then(|line| parse(line).ok()) {
                Some(update) => {
                    self.updates.inc();
                    self.apply(&update);
                }
                None => self.refused.inc(),
            }
        }
    }

    fn apply(&self, update: &Update<'_>) {
        let mut series = Series::new(update.name);
        for (name, value) in &update.tags {
            series = series.label(name, value);
        }
        match update.change {
            Change::Count(steps) => self.metrics.counter(series).add(steps),
            Change::Set(value) => self.metrics.gauge(series).set(value),
            Change::Move(change) => self.metrics.gauge(series).add(change),
            Change::Observe(value) => self.metrics.summary(series, &QUANTILES).observe(value),
        }
    }
}
