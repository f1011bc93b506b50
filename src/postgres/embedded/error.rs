//! What can go wrong with the private server, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Exit;

/// Why the private PostgreSQL cannot be made, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Neither initdb nor postgres was found.
    #[error(
        "no PostgreSQL programs (initdb and postgres) in {searched}: install them (Debian and \
         Ubuntu: `apt-get install postgresql`, whose own system cluster is not used here), name \
         the directory that holds them, or name a running database in DATABASE_URL"
    )]
    NoBinaries {
        /// Where was looked.
        searched: String,
    },

    /// The cluster was made by another major version than those installed.
    #[error(
        "the cluster {} was made by PostgreSQL {cluster}, and installed is {installed}: install \
         PostgreSQL {cluster} (Debian and Ubuntu: `apt-get install postgresql-{cluster}`), or \
         move the cluster over with pg_upgrade", .dir.display()
    )]
    OtherVersion {
        /// The cluster's directory.
        dir: PathBuf,
        /// Its major version.
        cluster: u32,
        /// The major versions installed.
        installed: String,
    },

    /// There is no unprivileged account to run PostgreSQL as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`: \
         create one, or start this server as another user than root"
    )]
    NoAccount,

    /// The account that PostgreSQL runs as cannot reach its directory.
    #[error(
        "PostgreSQL runs as user {account}, who may not enter {}: use a --data-dir such as \
         /var/lib/noetl-metrics, or allow it with `chmod o+x {}`", .dir.display(), .dir.display()
    )]
    Untraversable {
        /// The directory that it may not enter.
        dir: PathBuf,
        /// The account's name.
        account: String,
    },

    /// A directory belongs to a user that this process cannot act as.
    #[error(
        "{} belongs to user id {owner} and not to {expected}: start this server as the user that \
         made it, or use another --data-dir", .dir.display()
    )]
    OtherOwner {
        /// The directory.
        dir: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who should.
        expected: u32,
    },

    /// The filesystem is full, or too full to begin.
    #[error(
        "no space for PostgreSQL: {} has {free_bytes} bytes free and {needed_bytes} are needed; \
         free some, or use a --data-dir on another filesystem", .dir.display()
    )]
    DiskFull {
        /// A directory on that filesystem.
        dir: PathBuf,
        /// Bytes free for unprivileged users.
        free_bytes: u64,
        /// Bytes without which there is no point in trying.
        needed_bytes: u64,
    },

    /// initdb failed.
    #[error("initdb could not make a cluster ({exit}); nothing of it is left. It said:\n{said}")]
    Initdb {
        /// How it ended.
        exit: std::process::ExitStatus,
        /// The last lines of its output.
        said: String,
    },

    /// A program on this cluster that is not a server and must not be disturbed.
    #[error(
        "process {pid} works on the cluster {} in single-user mode: wait for it to end, then \
         start again", .dir.display()
    )]
    SingleUser {
        /// The cluster's directory.
        dir: PathBuf,
        /// The process id.
        pid: i32,
    },

    /// Processes of a server that is gone hold on to the cluster.
    #[error(
        "the processes {pids:?} of a PostgreSQL that died still use the cluster {} and did not \
         end when told to: end them, then start again", .dir.display()
    )]
    LeftBehind {
        /// The cluster's directory.
        dir: PathBuf,
        /// The process ids.
        pids: Vec<i32>,
    },

    /// The server ended while it was starting.
    #[error("PostgreSQL ended while it started ({exit}). The end of its log:\n{log}")]
    Ended {
        /// How it ended.
        exit: Exit,
        /// The last lines of its log.
        log: String,
    },

    /// The server did not take connections in time.
    #[error(
        "PostgreSQL took no connection within {waited:?} ({last}); when it is recovering from a \
         crash, allow it a longer start timeout. The end of its log:\n{log}"
    )]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// What the last attempt met.
        last: String,
        /// The last lines of the server's log.
        log: String,
    },

    /// The database could not be made.
    #[error("make the database noetl: {0}; the server is up, so its log says more")]
    Database(#[source] sqlx::Error),

    /// The server does not end.
    #[error(
        "PostgreSQL (process {pid}) did not end when told to shut down immediately: it is left \
         running and adopted by the next start"
    )]
    StillRunning {
        /// The postmaster's process id.
        pid: i32,
    },

    /// No private server was ever started here.
    #[error(
        "there is no private PostgreSQL in the data directory {}: start the server once without \
         DATABASE_URL, or name the --data-dir it uses", .dir.display()
    )]
    NoCluster {
        /// The data directory.
        dir: PathBuf,
    },

    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to which path.
        doing: String,
        /// The reason.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// An I/O error under a verb and the path it was about.
    pub(super) fn io(verb: &str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { doing: format!("{verb} {}", path.display()), source: source.into() }
    }
}
