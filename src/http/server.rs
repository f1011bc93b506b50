//! The listening socket, and the tasks of all connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::connection::{self, ConnectionTimes};
use super::front::Front;
use super::tls::Tls;
use crate::shutdown::Stop;

/// How the port is served.
#[derive(Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// How long a client may keep each of them.
    pub times: ConnectionTimes,
    /// How TLS is spoken; none where it is not.
    pub tls: Option<Arc<Tls>>,
}

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {source}; choose another address with --listen")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// How long to wait after an accept that failed, for descriptors to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the kernel holds until they are accepted, if its own bound (`somaxconn`) lets
/// it. What does not fit is dropped and comes again after one second, then after three: a fleet
/// that connects at once, as after a restart, should fit.
const QUEUE_CONNECTIONS_MAX: u32 = 4096;

/// An open port.
pub struct Server {
    listener: TcpListener,
    settings: ServerSettings,
    address: SocketAddr,
}

impl Server {
    /// Opens the port.
    pub fn bind(settings: ServerSettings) -> Result<Self, BindError> {
        let failed = |source| BindError { address: settings.listen, source };
        let listener = listen(settings.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, settings, address })
    }

    /// The address that was bound; its port is chosen by the OS when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, then answers what is in progress and returns how many
    /// connections were left when `drain` was over.
    pub async fn run(self, front: Arc<Front>, mut stop: Stop, drain: Duration) -> usize {
        let permits = Arc::new(Semaphore::new(self.settings.connections_max));
        let mut connections = JoinSet::new();
        let stopped = stop.clone();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(ended) = connections.join_next() => report_panic(ended),
                accepted = self.accept(&permits) => {
                    let Some((stream, permit)) = accepted else { continue };
                    let (front, stopped, times) = (Arc::clone(&front), stopped.clone(), self.settings.times);
                    let held = Held::new(&front.telemetry.http.connections, permit);
                    // Two tasks of different sizes: a plain connection has no room for TLS.
                    match self.settings.tls.clone() {
                        None => {
                            connections.spawn(connection::serve(stream, held, front, times, stopped))
                        }
                        Some(tls) => connections.spawn(serve_tls(stream, held, tls, front, times, stopped)),
                    };
                }
            }
        }
        drop(self.listener);
        let finish = async {
            while let Some(ended) = connections.join_next().await {
                report_panic(ended);
            }
        };
        // Past the deadline the rest is ended where it stands.
        drop(tokio::time::timeout(drain, finish).await);
        connections.len()
    }

    /// Waits for a permit first: a connection that cannot be served stays in the kernel's queue.
    async fn accept(&self, permits: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection ended before it began");
                    return None;
                }
                Some((stream, permit))
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// What a connection takes while it lasts: its place among all of them.
///
/// It goes with the connection's future and does not hold it: a future within another one is stored
/// twice, as what was given and as what is awaited.
pub(super) struct Held {
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    fn new(open: &IntGauge, permit: OwnedSemaphorePermit) -> Self {
        open.inc();
        Self { open: open.clone(), _permit: permit }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Serves whoever comes to terms in the time of a head.
async fn serve_tls(
    stream: TcpStream,
    held: Held,
    tls: Arc<Tls>,
    front: Arc<Front>,
    times: ConnectionTimes,
    mut stop: Stop,
) {
    let spoken = tokio::select! {
        spoken = tls.handshake(stream, times.head) => spoken,
        () = stop.requested() => None,
    };
    match spoken {
        Some(stream) => connection::serve(stream, held, front, times, stop).await,
        None => front.telemetry.http.handshakes_failed.inc(),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a server that has just stopped must not keep the next one out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE_CONNECTIONS_MAX)
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task died; this is a fault of the server");
    }
}
