//! SIGHUP: what an operator changes while the server runs is read again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::block_in_place;

use super::access;
use crate::access::Gate;
use crate::config::Settings;
use crate::shutdown::Stop;

/// The signal. From the moment when this is made, it does not end the process.
pub(super) struct HangUps(Signal);

impl HangUps {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }
}

/// Reads files again at each signal.
pub(super) struct Reload {
    pub(super) hang_ups: HangUps,
    pub(super) settings: Settings,
    pub(super) gate: Arc<Gate>,
}

impl Reload {
    /// Runs until `stop` says so.
    pub(super) async fn run(mut self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.requested() => return,
                signal = self.hang_ups.0.recv() => {
                    if signal.is_none() {
                        return;
                    }
                    block_in_place(|| access::reload(&self.gate, &self.settings));
                }
            }
        }
    }
}
