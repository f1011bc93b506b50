//! Against the installed PostgreSQL: as root the unprivileged path, else the plain one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::processes::Held;
use super::*;

/// A data directory that PostgreSQL's user can reach, with no server left on it in the end.
struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.path())
    }

    fn settings(&self) -> EmbeddedSettings {
        EmbeddedSettings::new(self.path())
    }

    async fn start(&self) -> Embedded {
        Embedded::start(self.settings()).await.unwrap()
    }

    async fn refusal(&self) -> String {
        Embedded::start(self.settings()).await.unwrap_err().to_string()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A test that failed half-way leaves its server; the test's runtime still runs here.
        for left in Held::all_of(self.layout().data()).unwrap() {
            left.signal(Signal::KILL).unwrap();
        }
    }
}

async fn one(url: &str) -> i32 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await.unwrap()
}

async fn sql(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

async fn setting(url: &str, name: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let query = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    query.fetch_one(&mut connection).await.unwrap()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn the_first_start_makes_a_private_cluster_and_the_second_keeps_its_data() {
    let sandbox = Sandbox::new();
    let mut settings = sandbox.settings();
    settings.extra.push(("work_mem".into(), "7MB".into()));
    let embedded = Embedded::start(settings).await.unwrap();
    let url = embedded.url();
    assert_eq!((one(&url).await, embedded.was_adopted()), (1, false));
    assert_eq!(url_of(&sandbox.path()).unwrap(), url);
    for (name, expected) in [
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", ""),
        ("wal_level", "minimal"),
        ("synchronous_commit", "on"),
        ("TimeZone", "UTC"),
        ("work_mem", "7MB"),
    ] {
        assert_eq!(setting(&url, name).await, expected, "{name}");
    }
    sql(&url, "CREATE TABLE kept AS SELECT 1 AS one").await;
    let layout = sandbox.layout();
    for dir in [layout.home(), layout.data(), layout.socket_dir()] {
        assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
    }
    assert!(!layout.unfinished().exists());
    embedded.stop().await.unwrap();
    assert!(Held::all_of(layout.data()).unwrap().is_empty());
    PgConnection::connect(&url).await.unwrap_err();

    let embedded = sandbox.start().await;
    sql(&url, "INSERT INTO kept VALUES (2)").await;
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_outlived_its_owner_is_adopted_and_can_be_stopped() {
    let sandbox = Sandbox::new();
    let first = sandbox.start().await;
    let pid = first.pid();
    drop(first);
    let mut second = sandbox.start().await;
    assert_eq!((second.was_adopted(), second.pid()), (true, pid));
    assert_eq!(one(&second.url()).await, 1);
    kill(pid);
    assert!(second.exited().await.to_string().contains("adopted"));
    second.restart().await.unwrap();
    assert_eq!((second.was_adopted(), one(&second.url()).await), (false, 1));
    drop(second);
    let third = sandbox.start().await;
    assert!(third.was_adopted());
    third.stop().await.unwrap();
    assert!(Held::all_of(sandbox.layout().data()).unwrap().is_empty());
}

#[tokio::test]
async fn a_server_found_on_its_way_out_is_followed_by_a_new_one() {
    let sandbox = Sandbox::new();
    let leaving = sandbox.start().await;
    let pid = leaving.pid();
    leaving.postmaster.as_ref().unwrap().signal(Signal::INT).unwrap();
    let embedded = sandbox.start().await;
    assert_ne!(embedded.pid(), pid);
    assert_eq!(one(&embedded.url()).await, 1);
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_started_again() {
    let sandbox = Sandbox::new();
    let mut embedded = sandbox.start().await;
    let url = embedded.url();
    sql(&url, "CREATE TABLE kept (one int)").await;
    // A backend that is busy does not notice that its postmaster is gone.
    let mut busy = PgConnection::connect(&url).await.unwrap();
    let busy = async move {
        let endless = "SELECT count(*) FROM generate_series(1, 1e12::bigint)";
        sqlx::query(endless).execute(&mut busy).await.unwrap_err()
    };
    let busy = tokio::spawn(busy);
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%1e12%' \
                   AND state = 'active' AND pid <> pg_backend_pid()";
    let mut watcher = PgConnection::connect(&url).await.unwrap();
    let until_busy = async {
        loop {
            let count: i64 = sqlx::query_scalar(running).fetch_one(&mut watcher).await.unwrap();
            if count > 0 {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), until_busy).await.unwrap();
    kill(embedded.pid());
    assert!(embedded.exited().await.to_string().contains("signal: 9"));
    embedded.restart().await.unwrap();
    busy.await.unwrap();
    sql(&url, "INSERT INTO kept VALUES (1)").await;
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn supervision_outlives_kills_and_ends_with_the_server_stopped() {
    let sandbox = Sandbox::new();
    let embedded = sandbox.start().await;
    let (url, first) = (embedded.url(), embedded.pid());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let supervision = tokio::spawn(embedded.supervise(async move { stopped.await.unwrap() }));
    kill(first);
    let back = async {
        loop {
            let pid = sandbox.layout().recorded_pid().unwrap();
            if pid.is_some_and(|pid| pid != first)
                && let Ok(connection) = PgConnection::connect(&url).await
            {
                return connection;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), back).await.unwrap();
    stop.send(()).unwrap();
    supervision.await.unwrap().unwrap();
    assert!(Held::all_of(sandbox.layout().data()).unwrap().is_empty());
}

#[tokio::test]
async fn files_of_a_dead_server_whose_id_is_in_use_again_do_not_keep_the_next_one_out() {
    let sandbox = Sandbox::new();
    let embedded = sandbox.start().await;
    let (data, run) =
        (sandbox.layout().data().to_owned(), sandbox.layout().socket_dir().to_owned());
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let old_pid = embedded.pid().to_string();
    embedded.stop().await.unwrap();

    let account = account::Account::of(sandbox.layout().home()).unwrap();
    let mut other = account.command(Path::new("/bin/sleep"));
    let mut other = other.arg("600").kill_on_drop(true).spawn().unwrap();
    let reused = other.id().unwrap().to_string();
    fs::write(data.join("postmaster.pid"), pid_file.replacen(&old_pid, &reused, 1)).unwrap();
    fs::write(run.join(".s.PGSQL.5432.lock"), format!("{reused}\n")).unwrap();

    let embedded = sandbox.start().await;
    assert_eq!((embedded.was_adopted(), one(&embedded.url()).await), (false, 1));
    embedded.stop().await.unwrap();
    other.kill().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_creation_leaves_nothing_in_the_way() {
    let sandbox = Sandbox::new();
    let half = sandbox.layout().unfinished();
    fs::create_dir_all(half.join("base")).unwrap();
    fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    assert!(matches!(url_of(&sandbox.path()), Err(EmbeddedError::NoCluster { .. })));
    let embedded = sandbox.start().await;
    assert_eq!(one(&embedded.url()).await, 1);
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_with_a_long_path_has_its_socket_elsewhere() {
    let sandbox = Sandbox::new();
    let mut settings = sandbox.settings();
    settings.data_dir.push("long-".repeat(30));
    let layout = Layout::new(&settings.data_dir);
    let embedded = Embedded::start(settings).await.unwrap();
    assert!(layout.socket_dir().starts_with("/tmp"), "{}", layout.socket_dir().display());
    assert_eq!(fs::metadata(layout.socket_dir()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(one(&embedded.url()).await, 1);
    embedded.stop().await.unwrap();
    assert!(!layout.socket_dir().exists());
}

#[tokio::test]
async fn without_programs_it_says_what_to_install() {
    let sandbox = Sandbox::new();
    let mut settings = sandbox.settings();
    settings.bin_dir = Some(sandbox.path());
    let error = Embedded::start(settings).await.unwrap_err().to_string();
    assert!(error.contains(&sandbox.path().display().to_string()), "{error}");
    assert!(error.contains("apt-get install postgresql"), "{error}");
}

#[tokio::test]
async fn a_cluster_of_another_version_is_named_with_what_is_installed() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.layout().data()).unwrap();
    fs::write(sandbox.layout().data().join("PG_VERSION"), "9.6\n").unwrap();
    let error = sandbox.refusal().await;
    assert!(error.contains("made by PostgreSQL 9, and installed is 1"), "{error}");
    assert!(error.contains("pg_upgrade"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_is_not_left() {
    let sandbox = Sandbox::new();
    let mut settings = sandbox.settings();
    settings.extra.push(("shared_buffers".into(), "plenty".into()));
    let error = Embedded::start(settings).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::Ended { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("exit status: 1"), "{error}");
    assert!(
        error.contains("invalid value for parameter \"shared_buffers\": \"plenty\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_ready_in_time_is_not_left_running() {
    let sandbox = Sandbox::new();
    let mut settings = sandbox.settings();
    settings.start_timeout = Duration::ZERO;
    let error = Embedded::start(settings).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("longer start timeout"), "{error}");
    assert!(Held::all_of(sandbox.layout().data()).unwrap().is_empty());
}

#[test]
fn there_is_no_url_where_no_cluster_is() {
    let sandbox = tempfile::tempdir().unwrap();
    for dir in [sandbox.path().to_owned(), sandbox.path().join("absent")] {
        let error = url_of(&dir).unwrap_err();
        assert!(error.to_string().contains("without DATABASE_URL"), "{error}");
    }
}
