//! One throw-away PostgreSQL for the tests of this process; each test gets its own database.
//!
//! Statics are not dropped, so the cluster is held by a shell that waits for the end of its
//! standard input: when this process ends, however it does, the pipe closes, and the shell
//! stops PostgreSQL and removes its files.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::postgres::{connect, schema};

/// A database of the test's own.
pub(crate) struct TestDatabase {
    pub(crate) options: PgConnectOptions,
}

impl TestDatabase {
    pub(crate) async fn connect(&self) -> PgConnection {
        connect::connect(&self.options).await.unwrap()
    }
}

/// A database with the schema.
pub(crate) async fn database() -> TestDatabase {
    let database = empty_database().await;
    schema::migrate(&database.options).await.unwrap();
    database
}

/// A database with nothing in it.
pub(crate) async fn empty_database() -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let cluster = cluster();
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut conn = connect::connect(&cluster.options("postgres")).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    TestDatabase { options: cluster.options(&name) }
}

struct Cluster {
    directory: PathBuf,
    /// Holds the pipe whose end stops the cluster.
    _keeper: Child,
}

impl Cluster {
    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.directory)
            .username("postgres")
            .database(database)
    }
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

const KEEPER: &str = r#"
set -e
directory=$(mktemp -d)
cd "$directory"
chmod 755 .
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C --no-sync >initdb.log
"$1/pg_ctl" -D data -l server.log -w start >start.log -o "-k '$directory' -c listen_addresses= \
    -c fsync=off -c max_connections=200 -c autovacuum=off"
echo "$directory"
cat >/dev/null || true
"$1/pg_ctl" -D data -m immediate stop >stop.log
cd /
rm -rf "$directory"
"#;

fn start() -> Cluster {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    let mut keeper = command
        .args(["-c", KEEPER, "sh"])
        .arg(binaries())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let directory = PathBuf::from(line.trim_end());
    assert!(directory.is_dir(), "PostgreSQL did not start; its message stands above");
    Cluster { directory, _keeper: keeper }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest installed version.
fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort_by_key(|bin| version_of(bin));
    found.pop().expect("the tests need PostgreSQL: apt-get install postgresql")
}

fn version_of(bin: &Path) -> u32 {
    bin.parent()
        .and_then(|version| version.file_name())
        .and_then(|name| name.to_string_lossy().parse().ok())
        .unwrap_or(0)
}
