//! A PostgreSQL of somebody else: on TCP with a password, and on a Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::sql::Sql;

/// The password of the servers' role, as it is and as a URL has it.
pub(crate) const PASSWORD: &str = "p@ss:w%rd/";
pub(crate) const PASSWORD_IN_URL: &str = "p%40ss%3Aw%25rd%2F";

/// Makes a cluster, obeys `start` and `stop`, and takes everything away when its input closes: with
/// the [`Cluster`] or with this process, however that ends.
const KEEPER: &str = r#"
set -e
trap '' INT TERM
bin=$1 port=$2
directory=$(mktemp -d)
cd "$directory"
chmod 755 .
echo unused >password
"$bin/initdb" -D data -U postgres -A scram-sha-256 --auth-local=trust --pwfile=password \
    -E UTF8 --locale=C --no-sync >initdb.log
cat >>data/postgresql.conf <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$directory'
fsync = off
max_connections = 200
END
start() { "$bin/pg_ctl" -D data -l server.log -w start >>pg_ctl.log; }
stop() { "$bin/pg_ctl" -D data -m fast -w stop >>pg_ctl.log; }
start
echo "$directory"
while read -r command; do
    "$command"
    echo "$command"
done
"$bin/pg_ctl" -D data -m immediate stop >>pg_ctl.log 2>&1 || true
cd /
rm -rf "$directory"
"#;

/// A running cluster with a role `metrics` that has no privileges but on its own databases.
pub(crate) struct Cluster {
    keeper: Child,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
    port: u16,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one whose processes have these variables.
    pub(crate) fn start_with(variables: &[(&str, String)]) -> Self {
        // The port is free now; that another process takes it within a moment is unlikely.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut keeper = command
            .args(["-c", KEEPER, "sh"])
            .arg(programs())
            .arg(port.to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(keeper.stdout.take().unwrap());
        let mut directory = String::new();
        answers.read_line(&mut directory).unwrap();
        let directory = PathBuf::from(directory.trim_end());
        assert!(directory.is_dir(), "PostgreSQL did not start; its message stands above");
        let cluster = Self { keeper, answers, directory, port };
        cluster.admin("postgres").run(&format!("CREATE ROLE metrics LOGIN PASSWORD '{PASSWORD}'"));
        cluster
    }

    /// Makes a database of the servers' role.
    pub(crate) fn create(&self, database: &str) {
        self.admin("postgres").run(&format!("CREATE DATABASE {database} OWNER metrics"));
    }

    /// The URL of a database by TCP, with the password as the URL has to have it.
    pub(crate) fn tcp_url(&self, database: &str, password: &str) -> String {
        format!("postgres://metrics:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a database by the Unix socket, where no password is asked for.
    pub(crate) fn socket_url(&self, database: &str) -> String {
        self.socket_url_as("metrics", database)
    }

    /// A connection as the superuser.
    pub(crate) fn admin(&self, database: &str) -> Sql {
        Sql::open(&self.socket_url_as("postgres", database))
    }

    fn socket_url_as(&self, user: &str, database: &str) -> String {
        let directory = self.directory.to_str().unwrap().replace('/', "%2F");
        format!("postgres:///{database}?host={directory}&port={}&user={user}", self.port)
    }

    /// Its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Stops PostgreSQL.
    pub(crate) fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts it again.
    pub(crate) fn start_again(&mut self) {
        self.tell("start");
    }

    fn tell(&mut self, command: &str) {
        let commands = self.keeper.stdin.as_mut().unwrap();
        writeln!(commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), command, "the cluster's keeper ended; see above");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

/// The directory of PostgreSQL's programs: as the server is told, or the newest installed.
pub(crate) fn programs() -> PathBuf {
    if let Some(told) = std::env::var_os("NOETL_POSTGRES_BIN_DIR") {
        return told.into();
    }
    let version_of =
        |path: &PathBuf| -> Option<u32> { path.parent()?.file_name()?.to_str()?.parse().ok() };
    std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(version_of)
        .expect("the tests need PostgreSQL; `make test` installs it")
}
