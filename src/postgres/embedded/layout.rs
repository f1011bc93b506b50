//! Where everything of the private server stands, and how it is reached.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tracing::debug;

use super::EmbeddedError;
use super::account::Account;
use super::binaries;
use super::server_log::ServerLog;

/// The role that owns everything, and the name of the database.
pub(super) const NOETL: &str = "noetl";

/// The port is only a part of the socket's name here.
pub(super) const PORT: u16 = 5432;

/// The name of the socket in its directory.
const SOCKET: &str = ".s.PGSQL.5432";

/// A socket's path must fit `sockaddr_un`, with a zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The paths below one data directory.
#[derive(Debug)]
pub(super) struct Layout {
    data_dir: PathBuf,
    home: PathBuf,
    data: PathBuf,
    socket_dir: PathBuf,
    log: ServerLog,
}

impl Layout {
    /// The layout of a data directory, given as a canonical path: the socket's directory may be
    /// derived from it and must be the same for all who ask.
    pub(super) fn new(data_dir: &Path) -> Self {
        let home = data_dir.join("postgres");
        Self {
            data_dir: data_dir.to_owned(),
            data: home.join("data"),
            socket_dir: socket_dir(&home),
            log: ServerLog::new(home.join("postgres.log")),
            home,
        }
    }

    /// The directory of all that belongs to the private server.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// The cluster.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The cluster while it is being made.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.home.join("data.new")
    }

    /// The directory of the socket.
    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's log.
    pub(super) fn log(&self) -> &ServerLog {
        &self.log
    }

    /// Makes the directories, for `account` only.
    pub(super) fn prepare(&self, account: &Account) -> Result<(), EmbeddedError> {
        account.require_way_to(&self.data_dir)?;
        account.make_private(&self.home)?;
        account.make_private(&self.socket_dir)
    }

    /// The major version of the cluster; `None` when there is no cluster.
    pub(super) fn cluster_version(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.data.join("PG_VERSION");
        let Some(version) = read(&path)? else { return Ok(None) };
        let unreadable =
            || EmbeddedError::io("understand the version in", &path, io::ErrorKind::InvalidData);
        binaries::major(version.trim()).ok_or_else(unreadable).map(Some)
    }

    /// The process that `postmaster.pid` names, alive or not; negative for a single-user one.
    pub(super) fn recorded_pid(&self) -> Result<Option<i32>, EmbeddedError> {
        let pid_file = read(&self.data.join("postmaster.pid"))?;
        Ok(pid_file.and_then(|lines| lines.lines().next()?.trim().parse().ok()))
    }

    /// Removes what a dead server left to say that it lives. PostgreSQL would refuse to start
    /// when their process id is in use again, by whatever process. Only for when no process of
    /// the cluster is alive.
    pub(super) fn remove_stale(&self) -> Result<(), EmbeddedError> {
        let socket = self.socket_dir.join(SOCKET);
        for path in [
            self.data.join("postmaster.pid"),
            socket.with_file_name(format!("{SOCKET}.lock")),
            socket,
        ] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|source| EmbeddedError::io("remove", &path, source))?,
            }
        }
        Ok(())
    }

    /// Takes the socket's directory away where it stands in /tmp, after the server has ended.
    pub(super) fn leave_socket_dir(&self) {
        if !self.socket_dir.starts_with(&self.home)
            && let Err(error) = fs::remove_dir(&self.socket_dir)
        {
            debug!("remove {}: {error}", self.socket_dir.display());
        }
    }

    /// The URL of the database. All that `PG…` variables could change is spelled out; the user
    /// stands among the parameters because a URL with a user and no host is none for sqlx.
    pub(super) fn url(&self) -> String {
        let host = percent_encoded(self.socket_dir.as_os_str().as_encoded_bytes());
        format!("postgresql:///{NOETL}?host={host}&port={PORT}&user={NOETL}&sslmode=disable")
    }

    /// How to connect to the database that every cluster has.
    pub(super) fn maintenance(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(NOETL)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
    }
}

/// The socket's directory: in `home`, or where clients could not name that, one in /tmp whose
/// name follows from `home`.
fn socket_dir(home: &Path) -> PathBuf {
    let dir = home.join("run");
    // libpq reads a comma as the start of another host, and sqlx takes text only.
    let nameable = dir.to_str().is_some_and(|dir| !dir.contains(','));
    if nameable && dir.join(SOCKET).as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return dir;
    }
    let digest = Sha256::digest(home.as_os_str().as_encoded_bytes());
    let mut name = String::from("/tmp/noetl-metrics-");
    for byte in &digest[..8] {
        write!(name, "{byte:02x}").expect("writing to a String cannot fail");
    }
    name.into()
}

/// A file's text; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<String>, EmbeddedError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", path, error)),
    }
}

/// `bytes` as the value of a URL parameter.
fn percent_encoded(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len() + 16);
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlx_reads_the_url_as_it_is_meant() {
        let check = |data_dir: &str| {
            let layout = Layout::new(Path::new(data_dir));
            let options: PgConnectOptions = layout.url().parse().unwrap();
            assert_eq!(options.get_socket().unwrap(), layout.socket_dir(), "{data_dir}");
            assert_eq!(
                (options.get_username(), options.get_database(), options.get_port()),
                ("noetl", Some("noetl"), 5432)
            );
        };
        check("/var/lib/noetl-metrics");
        check("/srv/with space & sign/ü+100%");
        check("/srv/with,comma");
        check(&format!("/srv/{}", "deep/".repeat(40)));
    }

    #[test]
    fn the_socket_stays_beside_the_cluster_while_its_path_fits() {
        let of_length = |bytes: usize| format!("/{}", "d".repeat(bytes - 1));
        let in_home = |data_dir: &str| {
            let layout = Layout::new(Path::new(data_dir));
            layout.socket_dir() == layout.home().join("run")
        };
        // "/postgres/run/.s.PGSQL.5432" takes 27 of the 107 bytes.
        assert!(in_home(&of_length(80)));
        assert!(!in_home(&of_length(81)));
        assert!(!in_home("/srv/with,comma"));
        let far = Layout::new(Path::new(&of_length(81)));
        assert_eq!(far.socket_dir().parent(), Some(Path::new("/tmp")));
        assert_ne!(far.socket_dir(), Layout::new(Path::new(&of_length(82))).socket_dir());
    }
}
