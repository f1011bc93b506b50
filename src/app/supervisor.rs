//! What systemd is told, where it started the server (`Type=notify` or `notify-reload`): ready,
//! reloading, stopping, and that the server lives. Its protocol is one datagram per word, see sd_notify(3).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::log::Progress;

/// The way to systemd; without it, everything here does nothing.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of life before it ends the server.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment of this process says.
    pub(super) fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|address| {
            let opened = open(&address);
            opened
                .inspect_err(|error| tracing::warn!(%error, "systemd cannot be told anything"))
                .ok()
        });
        let meant = env::var("WATCHDOG_PID")
            .map_or(Ok(true), |pid| pid.parse::<u32>().map(|pid| pid == std::process::id()));
        let watchdog = env::var("WATCHDOG_USEC")
            .ok()
            .and_then(|micros| micros.parse().ok().filter(|micros| *micros > 0))
            .filter(|_| meant == Ok(true))
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// Requests are answered.
    pub(super) fn ready(&self) {
        self.say("READY=1");
    }

    /// Files are read again, from now until [`Self::ready`] is said once more.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        // `Type=notify-reload` tells by the time which signal this is about.
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Gives signs of life as long as the runtime has this task run and the log moves: what waited
    /// for the disk at one turn is synced by the next. A server for which that is not so takes
    /// nothing any more and does not end either, so that only another start can help.
    pub(super) async fn watch(self: Arc<Self>, progress: Arc<Progress>) {
        let Some(watchdog) = self.watchdog else { return };
        let mut awaited = progress.appended();
        let mut turns = tokio::time::interval(watchdog / 3);
        loop {
            turns.tick().await;
            if progress.synced() >= awaited {
                self.say("WATCHDOG=1");
                awaited = progress.appended();
            } else {
                tracing::warn!(
                    "the log's disk has not finished what waited for it at the last turn"
                );
            }
        }
    }

    fn say(&self, word: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(word.as_bytes(), address) {
            tracing::warn!(%error, word, "systemd was not told");
        }
    }
}

/// A path, or a name without a file, which begins with `@`.
fn open(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    // Whoever does not read must not hold the server up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}
