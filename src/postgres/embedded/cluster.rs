//! The cluster: made once, then served by one postmaster after another.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

use super::account::Account;
use super::binaries::Installation;
use super::disk;
use super::layout::{Layout, NOETL, PORT};
use super::postmaster::Postmaster;
use super::processes::Held;
use super::server_log::last_lines;
use super::{EmbeddedError, EmbeddedSettings, Exit};

/// How often a starting server is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A cluster that exists, with all that it takes to serve it.
#[derive(Debug)]
pub(super) struct Cluster {
    layout: Layout,
    account: Account,
    installation: Installation,
    settings: EmbeddedSettings,
}

impl Cluster {
    /// Opens the cluster of a data directory, and makes it when there is none.
    pub(super) async fn open(settings: EmbeddedSettings) -> Result<Self, EmbeddedError> {
        let data_dir = &settings.data_dir;
        let at = fs::create_dir_all(data_dir)
            .and_then(|()| data_dir.canonicalize())
            .map_err(|source| EmbeddedError::io("create the data directory", data_dir, source))?;
        let layout = Layout::new(&at);
        let account = Account::of(layout.home())?;
        layout.prepare(&account)?;
        let made_by = layout.cluster_version()?;
        let made_by = made_by.map(|version| (layout.data(), version));
        let installation =
            Installation::find(settings.bin_dir.as_deref(), &account, made_by).await?;
        let exists = made_by.is_some();
        let cluster = Self { layout, account, installation, settings };
        if !exists {
            cluster.create().await?;
        }
        Ok(cluster)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn settings(&self) -> &EmbeddedSettings {
        &self.settings
    }

    /// Makes the cluster beside its place and moves it there once it is whole and synced.
    async fn create(&self) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        let (home, unfinished) = (self.layout.home(), self.layout.unfinished());
        disk::require_free(home, disk::TO_CREATE_BYTES)?;
        remove_tree(&unfinished)?;
        let initdb = self.installation.program("initdb");
        let output = self
            .account
            .command(&initdb)
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username", NOETL, "--encoding", "UTF8", "--no-locale", "--data-checksums"])
            .args(["--auth-local", "trust", "--auth-host", "reject"])
            // One sync of the filesystem replaces a thousand of files: 0.04 s instead of 1.3 s.
            .arg("--no-sync")
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| EmbeddedError::io("run", &initdb, source))?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let failure = disk::full(home, &said, disk::TO_CREATE_BYTES).unwrap_or_else(|| {
                EmbeddedError::Initdb { exit: output.status, said: last_lines(&said) }
            });
            remove_tree(&unfinished)?;
            return Err(failure);
        }
        sync_filesystem_of(&unfinished).await?;
        let data = self.layout.data();
        fs::rename(&unfinished, data)
            .map_err(|source| EmbeddedError::io("move the new cluster to", data, source))?;
        File::open(home)
            .and_then(|home| home.sync_all())
            .map_err(|source| EmbeddedError::io("sync", home, source))?;
        let (major, took) = (self.installation.major(), began.elapsed());
        info!("made a PostgreSQL {major} cluster in {} within {took:.1?}", data.display());
        Ok(())
    }

    /// The server that runs on the cluster, else a new one. It need not take connections yet.
    ///
    /// Cancel-safe: there is no await after a server was started.
    pub(super) async fn adopt_or_spawn(
        &self,
        deadline: Instant,
    ) -> Result<Postmaster, EmbeddedError> {
        let data = self.layout.data();
        let proc = |source| EmbeddedError::io("look for processes on", data, source);
        if let Some(pid) = self.layout.recorded_pid()?
            && let Some(held) = Held::of(pid.saturating_abs(), data).map_err(proc)?
        {
            if pid < 0 {
                return Err(EmbeddedError::SingleUser { dir: data.to_owned(), pid: -pid });
            }
            info!("PostgreSQL runs on {} already, as process {pid}", data.display());
            return Ok(Postmaster::adopt(held));
        }
        self.end_left_behind(Held::all_of(data).map_err(proc)?, deadline).await?;
        self.layout.remove_stale()?;
        disk::require_free(data, disk::TO_START_BYTES)?;
        self.spawn()
    }

    /// Ends the processes of a server whose postmaster was killed, the way that it would have.
    /// Most notice by themselves; one that is busy does not, and keeps the next server out.
    async fn end_left_behind(
        &self,
        left: Vec<Held>,
        deadline: Instant,
    ) -> Result<(), EmbeddedError> {
        let data = self.layout.data();
        for process in &left {
            warn!("process {} outlived its PostgreSQL", process.pid().as_raw_pid());
            process
                .signal(Signal::QUIT)
                .map_err(|source| EmbeddedError::io("end the processes on", data, source))?;
        }
        for (at, process) in left.iter().enumerate() {
            if timeout_at(deadline, process.ended()).await.is_err() {
                let pids = left[at..].iter().map(|left| left.pid().as_raw_pid()).collect();
                return Err(EmbeddedError::LeftBehind { dir: data.to_owned(), pids });
            }
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Postmaster, EmbeddedError> {
        let log = self.layout.log();
        let open = || {
            log.trim()?;
            let file = log.open()?;
            Ok((Stdio::from(file.try_clone()?), Stdio::from(file)))
        };
        let (stdout, stderr) =
            open().map_err(|source: io::Error| EmbeddedError::io("open", log.path(), source))?;
        let postgres = self.installation.program("postgres");
        let mut command = self.account.command(&postgres);
        // The path stands as an argument of its own: `processes` looks for it.
        command.arg("-D").arg(self.layout.data()).stdout(stdout).stderr(stderr);
        // The value is a list; quoted, a path is one item of it whatever its characters.
        let socket_dir = self.layout.socket_dir().display().to_string().replace('"', "\"\"");
        command.arg("-c").arg(format!("unix_socket_directories=\"{socket_dir}\""));
        command.arg("-c").arg(format!("port={PORT}"));
        for (name, value) in self.settings.of_server(self.installation.major()) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        Postmaster::spawn(command).map_err(|source| EmbeddedError::io("run", &postgres, source))
    }

    /// Why a server ended before it was ready.
    pub(super) fn start_failure(&self, exit: Exit) -> EmbeddedError {
        let log = self.layout.log().tail();
        disk::full(self.layout.data(), &log, disk::TO_START_BYTES)
            .unwrap_or(EmbeddedError::Ended { exit, log })
    }

    /// Waits until the server takes connections, and makes the database when it is absent.
    pub(super) async fn ready(&self, deadline: Instant) -> Result<(), EmbeddedError> {
        let options = self.layout.maintenance();
        let mut last = String::from("no attempt was made");
        let made = timeout_at(deadline, async {
            let connection = first_connection(&options, &mut last).await;
            make_database(connection).await.map_err(EmbeddedError::Database)
        });
        made.await.unwrap_or_else(|_| {
            let (waited, log) = (self.settings.start_timeout, self.layout.log().tail());
            Err(EmbeddedError::NotReady { waited, last, log })
        })
    }
}

/// Tries to connect until that succeeds; `last` says what the last attempt met.
async fn first_connection(options: &PgConnectOptions, last: &mut String) -> PgConnection {
    loop {
        match options.connect().await {
            Ok(connection) => return connection,
            Err(error) => *last = error.to_string(),
        }
        sleep(TRY_EVERY).await;
    }
}

/// Makes the database unless it exists. It is looked for at each start, as a first start may
/// have died between making the cluster and this.
async fn make_database(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(NOETL)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        sqlx::query("CREATE DATABASE noetl").execute(&mut connection).await?;
    }
    connection.close().await
}

/// Removes a directory with all that is in it, if it is there.
fn remove_tree(dir: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| EmbeddedError::io("remove", dir, source)),
    }
}

/// Syncs the filesystem that `dir` stands on.
async fn sync_filesystem_of(dir: &Path) -> Result<(), EmbeddedError> {
    let path = dir.to_owned();
    let sync = move || Ok(rustix::fs::syncfs(File::open(path)?)?);
    let synced: io::Result<()> = match tokio::task::spawn_blocking(sync).await {
        Ok(synced) => synced,
        Err(panicked) => Err(panicked.into()),
    };
    synced.map_err(|source| EmbeddedError::io("sync", dir, source))
}
