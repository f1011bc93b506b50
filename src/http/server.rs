//! The listening socket, and the tasks of all connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use super::api::Api;
use super::connection;
use crate::shutdown::Stop;

/// How the port is served.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// How long a connection may be silent, and a request's head take.
    pub keep_alive: Duration,
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

/// An open port.
pub struct Server {
    listener: TcpListener,
    settings: ServerSettings,
    address: SocketAddr,
}

impl Server {
    /// Opens the port.
    pub async fn bind(settings: ServerSettings) -> Result<Self, BindError> {
        let failed = |source| BindError { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, settings, address })
    }

    /// The address that was bound; its port is chosen by the OS when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, then answers what is in progress and returns how many
    /// connections were left when `drain` was over.
    pub async fn run(self, api: Arc<Api>, mut stop: Stop, drain: Duration) -> usize {
        let permits = Arc::new(Semaphore::new(self.settings.connections_max));
        let mut connections = JoinSet::new();
        let stopped = stop.clone();
        loop {
            tokio::select! {
                () = stop.requested() => break,
                Some(ended) = connections.join_next() => report_panic(ended),
                accepted = self.accept(&permits) => {
                    let Some((stream, permit)) = accepted else { continue };
                    let (api, stopped, keep_alive) = (Arc::clone(&api), stopped.clone(), self.settings.keep_alive);
                    let open = api.parts.telemetry.http.connections.clone();
                    connections.spawn(async move {
                        open.inc();
                        connection::serve(stream, api, keep_alive, stopped).await;
                        open.dec();
                        drop(permit);
                    });
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
            Ok((stream, _)) => Some((stream, permit)),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task died; this is a fault of the server");
    }
}
