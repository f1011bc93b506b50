//! A private PostgreSQL under the data directory, for where no database is named.
//!
//! Owns `<data-dir>/postgres`: the cluster, its socket, its log and the server process.
//!
//! Guarantees: an interrupted creation leaves no half-made cluster; a server that outlived its
//! owner is adopted, never doubled; it listens on a private Unix socket only; a signal from the
//! terminal does not reach it before its owner has drained.
//!
//! Refuses to know: what is in the database. The caller holds the lock on the data directory, so
//! that no two owners meet here.
//!
//! ```text
//! postgres/data          the cluster; made as data.new, then renamed
//! postgres/run           the socket's directory (under /tmp where this path is too long)
//! postgres/postgres.log  what the server says, bounded
//! ```

mod account;
mod binaries;
mod cluster;
mod disk;
mod error;
mod layout;
mod postmaster;
mod processes;
mod server_log;
mod settings;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use cluster::Cluster;
pub use error::EmbeddedError;
use layout::Layout;
pub use postmaster::Exit;
use postmaster::Postmaster;
pub use settings::EmbeddedSettings;

/// How often the log's size is looked at while the server runs.
const LOG_CHECK: Duration = Duration::from_secs(60);

/// How long an immediate shutdown may take. The postmaster itself kills what has not ended
/// five seconds after it was told to.
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);

/// The pause before the first attempt to start an ended server again; it doubles up to
/// [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause between attempts; a server that ran for longer counts as healthy.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A running private PostgreSQL.
///
/// Dropping it leaves the server running, as a crash of this process would: the next
/// [`Embedded::start`] adopts it. Only [`Embedded::stop`], [`Embedded::supervise`] and
/// [`Embedded::tell_to_stop`] end it.
#[derive(Debug)]
pub struct Embedded {
    cluster: Cluster,
    /// `None` until a server was started or found.
    postmaster: Option<Postmaster>,
}

impl Embedded {
    /// Makes the cluster when there is none, adopts the server that already runs on it or starts
    /// one, waits until it takes connections, and makes the database `noetl` when it is absent.
    ///
    /// Waits at most `start_timeout` for the server, not counting the time to make the cluster
    /// (about a second). A server that is not ready by then is stopped again.
    pub async fn start(settings: EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let mut embedded = Self::open(settings).await?;
        if let Err(error) = embedded.restart().await {
            if let Err(unstoppable) = embedded.stop().await {
                warn!("after a failed start: {unstoppable}");
            }
            return Err(error);
        }
        Ok(embedded)
    }

    /// Makes the cluster when there is none, and starts nothing: [`Embedded::restart`] and
    /// [`Embedded::supervise`] do.
    pub async fn open(settings: EmbeddedSettings) -> Result<Self, EmbeddedError> {
        Ok(Self { cluster: Cluster::open(settings).await?, postmaster: None })
    }

    /// Where the database is, for psql and sqlx alike; see [`url_of`].
    pub fn url(&self) -> String {
        self.cluster.layout().url()
    }

    /// Whether the running server was found running, rather than started by this process.
    pub fn was_adopted(&self) -> bool {
        self.postmaster.as_ref().is_some_and(Postmaster::is_adopted)
    }

    /// The process id of the postmaster, 0 before there is one.
    pub fn pid(&self) -> i32 {
        self.postmaster.as_ref().map_or(0, |postmaster| postmaster.pid().as_raw_pid())
    }

    /// Resolves when the server has ended, and again at once until [`Embedded::restart`]; never
    /// where none was started. Meanwhile it keeps the server's log within its bound. Cancel-safe.
    pub async fn exited(&mut self) -> Exit {
        let mut log_check = interval(LOG_CHECK);
        log_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                exit = ended(&mut self.postmaster) => return exit,
                _ = log_check.tick() => {
                    if let Err(error) = self.cluster.layout().log().trim() {
                        warn!("trim PostgreSQL's log: {error}");
                    }
                }
            }
        }
    }

    /// Starts the server, again after it ended, and waits until it takes connections.
    ///
    /// Cancel-safe, and may be repeated after an error: a server that is still recovering when
    /// `start_timeout` passes is left to go on, and the next call waits for it again.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + self.cluster.settings().start_timeout;
        self.postmaster = Some(self.cluster.adopt_or_spawn(deadline).await?);
        self.ready(deadline).await
    }

    /// Keeps the server running until `until` resolves, then stops it: that it does not run yet
    /// is answered by a start, and whatever ends it by a restart, with growing pauses while that fails.
    ///
    /// # Errors
    /// Only those of [`Embedded::stop`].
    pub async fn supervise(mut self, until: impl Future<Output = ()>) -> Result<(), EmbeddedError> {
        let mut until = pin!(until);
        let mut pause = PAUSE_MIN;
        loop {
            let since = Instant::now();
            if self.postmaster.is_some() {
                let exit = tokio::select! {
                    biased;
                    () = &mut until => break,
                    exit = self.exited() => exit,
                };
                warn!("PostgreSQL ended ({exit}) and is started again");
            }
            if since.elapsed() > PAUSE_MAX {
                pause = PAUSE_MIN;
            }
            tokio::select! {
                biased;
                () = &mut until => break,
                () = self.revive(&mut pause) => info!("PostgreSQL is back as {}", self.pid()),
            }
        }
        self.stop().await
    }

    /// Restarts the server until that succeeds. Cancel-safe, as [`Embedded::restart`] is.
    async fn revive(&mut self, pause: &mut Duration) {
        loop {
            sleep(*pause).await;
            *pause = PAUSE_MAX.min(*pause * 2);
            match self.restart().await {
                Ok(()) => return,
                Err(error) => warn!("start PostgreSQL again: {error}"),
            }
        }
    }

    /// Stops the server: sessions are ended and everything is checkpointed (a fast shutdown).
    /// Where that takes longer than `stop_timeout`, says so and shuts down immediately: nothing
    /// committed is lost, and the next start recovers.
    ///
    /// # Errors
    /// [`EmbeddedError::StillRunning`] when even that did not end it.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        let limit = self.cluster.settings().stop_timeout;
        if let Some(postmaster) = &mut self.postmaster {
            postmaster.signal(Signal::INT)?;
            if timeout(limit, postmaster.exited()).await.is_err() {
                warn!("PostgreSQL did not stop within {limit:?} and is shut down immediately");
                postmaster.signal(Signal::QUIT)?;
                if timeout(IMMEDIATE_STOP, postmaster.exited()).await.is_err() {
                    let pid = postmaster.pid().as_raw_pid();
                    return Err(EmbeddedError::StillRunning { pid });
                }
            }
        }
        self.cluster.layout().leave_socket_dir();
        Ok(())
    }

    /// Tells the server to stop and does not wait for it, for where nothing can be waited for any more.
    pub fn tell_to_stop(&self) {
        if let Some(postmaster) = &self.postmaster
            && let Err(error) = postmaster.signal(Signal::INT)
        {
            warn!("PostgreSQL runs on: {error}");
        }
    }

    /// Waits until the server takes connections and the database exists.
    async fn ready(&mut self, deadline: Instant) -> Result<(), EmbeddedError> {
        loop {
            let exit = tokio::select! {
                biased;
                exit = ended(&mut self.postmaster) => exit,
                ready = self.cluster.ready(deadline) => return ready,
            };
            if !self.was_adopted() {
                return Err(self.cluster.start_failure(exit));
            }
            // What was adopted was on its way out.
            self.postmaster = Some(self.cluster.adopt_or_spawn(deadline).await?);
        }
    }
}

/// Resolves when there is a postmaster and it has ended. Cancel-safe.
async fn ended(postmaster: &mut Option<Postmaster>) -> Exit {
    match postmaster {
        Some(postmaster) => postmaster.exited().await,
        None => std::future::pending().await,
    }
}

/// Where the private database of a data directory is reached: a URL that psql and sqlx read
/// alike, whatever `PG…` variables surround them. It is the same whether the server runs or not.
///
/// # Errors
/// [`EmbeddedError::NoCluster`] when no server was ever started on this data directory.
pub fn url_of(data_dir: &Path) -> Result<String, EmbeddedError> {
    let no_cluster = || EmbeddedError::NoCluster { dir: data_dir.to_owned() };
    let at = match data_dir.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_cluster()),
        at => at.map_err(|source| EmbeddedError::io("resolve", data_dir, source))?,
    };
    let layout = Layout::new(&at);
    layout.cluster_version()?.ok_or_else(no_cluster)?;
    Ok(layout.url())
}
