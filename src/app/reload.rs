//! SIGHUP: what an operator changes while the server runs is read again.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::block_in_place;

use super::supervisor::Supervisor;
use super::{access, tls};
use crate::access::Gate;
use crate::config::Settings;
use crate::http::Tls;
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
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) supervisor: Arc<Supervisor>,
}

impl Reload {
    fn reload(&self) {
        access::reload(&self.gate, &self.settings);
        if let Some(tls) = &self.tls {
            tls::reload(tls, &self.settings);
        }
        if self.tls.is_none() && self.gate.is_open() {
            tracing::info!("SIGHUP: there are neither tokens nor certificates to read again");
        }
    }

    /// Runs until `stop` says so.
    pub(super) async fn run(mut self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.requested() => return,
                signal = self.hang_ups.0.recv() => {
                    if signal.is_none() {
                        return;
                    }
                    self.supervisor.reloading();
                    block_in_place(|| self.reload());
                    self.supervisor.ready();
                }
            }
        }
    }
}
