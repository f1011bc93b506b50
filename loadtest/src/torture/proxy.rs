//! A TCP proxy before PostgreSQL that breaks on order. It has a thread of its own, so that it
//! goes on whatever the torturer waits for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are passed on at a time, and in how many pieces a second on a slow network.
const CHUNK_BYTES: usize = 16 << 10;
const SLOW_PIECES_PER_S: u32 = 20;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// They pass.
    Flow,
    /// They pass at so many a second.
    Slow(usize),
    /// They wait.
    Stall,
    /// No connection is let through.
    Refuse,
    /// They pass, until the connection that copies has sent so many: then it is cut, once.
    CutInCopy(usize),
    /// They pass, until a connection that has copied commits: it is cut when the answer is there,
    /// once, and the answer is thrown away.
    CutAtCommit,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the server to PostgreSQL.
    Up,
    /// From PostgreSQL to the server.
    Down,
}

#[derive(Clone, Copy, Debug)]
struct Orders {
    traffic: Traffic,
    /// Connections of an earlier number are cut.
    cut: u32,
    /// Of connections of an earlier number, this direction is closed.
    half_closed: (u32, Direction),
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    broken: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy on a free loopback port before `upstream`. It ends when it is dropped.
    pub(crate) fn start(upstream: String) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        listener.set_nonblocking(true).context("prepare the proxy's port")?;
        let address = listener.local_addr().context("find the proxy's port")?;
        let first = Orders { traffic: Traffic::Flow, cut: 0, half_closed: (0, Direction::Up) };
        let (orders, watched) = watch::channel(first);
        let broken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&broken);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start the proxy's runtime")?;
        let serve = move || {
            if let Err(error) = runtime.block_on(accept(listener, upstream, watched, counter)) {
                eprintln!("loadtest: the proxy ended: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(serve);
        thread.context("start the proxy")?;
        Ok(Self { address, orders, broken })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that were broken on order.
    pub(crate) fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// What happens to the bytes from now on.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.orders.send_modify(|orders| orders.traffic = traffic);
    }

    /// Cuts every connection that there is.
    pub(crate) fn cut(&self) {
        self.orders.send_modify(|orders| orders.cut += 1);
    }

    /// Closes one direction of every connection that there is.
    pub(crate) fn half_close(&self, direction: Direction) {
        self.orders.send_modify(|orders| {
            orders.half_closed = (orders.half_closed.0 + 1, direction);
        });
    }
}

async fn accept(
    listener: std::net::TcpListener,
    upstream: String,
    mut orders: watch::Receiver<Orders>,
    broken: Arc<AtomicU64>,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = orders.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return Ok(()),
            },
        };
        // A client that is gone before it was accepted is nobody's error.
        let Ok((client, _)) = accepted else { continue };
        if orders.borrow().traffic == Traffic::Refuse {
            broken.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let link = Link { orders: orders.clone(), broken: Arc::clone(&broken) };
        let upstream = upstream.clone();
        tokio::spawn(async move { link.serve(client, &upstream).await });
    }
}

/// One connection.
struct Link {
    orders: watch::Receiver<Orders>,
    broken: Arc<AtomicU64>,
}

/// A connection is at its end.
struct Ended;

impl Link {
    async fn serve(self, client: TcpStream, upstream: &str) {
        let born = *self.orders.borrow();
        // Where PostgreSQL is away, the client sees its connection closed.
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        let nodelay = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        if nodelay.is_err() {
            return;
        }
        let (unanswered, answered) = watch::channel(false);
        let mut cut = self.orders.clone();
        let up = Pump::new(&self, born, Direction::Up, from_client, to_server);
        let down = Pump::new(&self, born, Direction::Down, from_server, to_client);
        let ended = tokio::select! {
            both = async { tokio::try_join!(up.up(unanswered), down.down(answered)) } => both.is_err(),
            _ = cut.wait_for(|orders| orders.cut != born.cut) => true,
        };
        if ended {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One direction of a connection.
struct Pump {
    orders: watch::Receiver<Orders>,
    born: Orders,
    direction: Direction,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    buffer: Vec<u8>,
}

impl Pump {
    fn new(
        link: &Link,
        born: Orders,
        direction: Direction,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
    ) -> Self {
        let orders = link.orders.clone();
        Self { orders, born, direction, from, to, buffer: vec![0; CHUNK_BYTES] }
    }

    /// From the server to PostgreSQL; the statements are looked for in what passes.
    async fn up(mut self, unanswered: watch::Sender<bool>) -> Result<(), Ended> {
        let mut copied = None;
        while let Some(length) = self.read().await? {
            let traffic = self.orders.borrow().traffic;
            let bytes = &self.buffer[..length];
            if find(bytes, b"COPY noetl.") {
                copied = Some(0);
            }
            let so_far = copied.map(|before| before + length);
            let mut pass = length;
            match (traffic, so_far) {
                (Traffic::CutInCopy(after), Some(so_far)) if so_far > after => {
                    pass = length - (so_far - after).min(length);
                }
                (Traffic::CutAtCommit, Some(_)) if find(bytes, b"COMMIT") => {
                    unanswered.send_replace(true);
                }
                _ => {}
            }
            copied = so_far;
            self.write(pass).await?;
            if pass < length {
                return Err(Ended);
            }
        }
        Ok(())
    }

    /// From PostgreSQL to the server.
    async fn down(mut self, unanswered: watch::Receiver<bool>) -> Result<(), Ended> {
        while let Some(length) = self.read().await? {
            if *unanswered.borrow() {
                return Err(Ended);
            }
            self.write(length).await?;
        }
        Ok(())
    }

    /// Waits for bytes; `None` at their end, which is passed on.
    async fn read(&mut self) -> Result<Option<usize>, Ended> {
        loop {
            let orders = *self.orders.borrow_and_update();
            let closes = orders.half_closed.0 != self.born.half_closed.0
                && orders.half_closed.1 == self.direction;
            let limit = match orders.traffic {
                Traffic::Slow(per_s) => (per_s / SLOW_PIECES_PER_S as usize).clamp(1, CHUNK_BYTES),
                _ => CHUNK_BYTES,
            };
            if closes {
                return self.to.shutdown().await.map(|()| None).map_err(|_| Ended);
            }
            if orders.traffic == Traffic::Stall {
                self.orders.changed().await.map_err(|_| Ended)?;
                continue;
            }
            tokio::select! {
                changed = self.orders.changed() => changed.map_err(|_| Ended)?,
                read = self.from.read(&mut self.buffer[..limit]) => return match read {
                    // The other direction ends when its own sender closes.
                    Ok(0) => self.to.shutdown().await.map(|()| None).map_err(|_| Ended),
                    Ok(length) => Ok(Some(length)),
                    Err(_) => Err(Ended),
                },
            }
        }
    }

    async fn write(&mut self, length: usize) -> Result<(), Ended> {
        let passing = self.orders.wait_for(|orders| orders.traffic != Traffic::Stall).await;
        let slow = matches!(passing.map_err(|_| Ended)?.traffic, Traffic::Slow(_));
        self.to.write_all(&self.buffer[..length]).await.map_err(|_| Ended)?;
        if slow {
            tokio::time::sleep(Duration::from_secs(1) / SLOW_PIECES_PER_S).await;
        }
        Ok(())
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
