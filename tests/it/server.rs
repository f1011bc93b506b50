//! Starts the real binary and says what becomes of it.

use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::home::Home;
use crate::output::{Output, until};
use crate::sql::Sql;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_noetl-metrics");

/// How a server is to be started.
#[derive(Clone, Default)]
pub(crate) struct Launch {
    flags: Vec<String>,
    database_url: Option<String>,
    variables: Vec<(String, String)>,
}

impl Launch {
    /// With the defaults: any free port, the embedded PostgreSQL.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// With `--key value`, which also overrides `--listen` and `--data-dir`.
    pub(crate) fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push(format!("--{key}={value}"));
        self
    }

    /// With this database instead of an embedded one.
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.database_url = Some(url.to_owned());
        self
    }

    /// With this variable in its environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a server in a home of its own and waits until it is ready.
    pub(crate) fn start(self) -> Server {
        self.start_in(Home::new())
    }

    /// Starts a server in `home` and waits until it is ready.
    pub(crate) fn start_in(self, home: Home) -> Server {
        let mut server = self.spawn_in(home);
        server.wait_ready();
        server
    }

    /// Starts a server in `home` without waiting for anything.
    pub(crate) fn spawn_in(self, home: Home) -> Server {
        let process = self.spawn(&home);
        home.set_server(Some(process.child.id()));
        Server { process: Some(process), ready: None, launch: self, home }
    }

    /// Runs a server that is expected to end by itself.
    pub(crate) fn run_in(&self, home: &Home) -> Ended {
        self.spawn(home).ended()
    }

    fn spawn(&self, home: &Home) -> Process {
        let data_dir = home.data_dir();
        let mut command = command();
        // As variables, so that flags can override them.
        command.arg("serve").env("NOETL_LISTEN", "127.0.0.1:0").env("NOETL_DATA_DIR", &data_dir);
        // The server's reports about itself are among its samples; only their own test wants them.
        command.env("NOETL_SERVER_METRICS_INTERVAL", "0");
        if let Some(url) = &self.database_url {
            command.env("DATABASE_URL", url);
        }
        command.envs(self.variables.iter().cloned()).args(&self.flags);
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = Output::of(child.stderr.take().unwrap());
        Process { child, stderr }
    }
}

/// The binary, in an environment that says nothing about its configuration except where the
/// programs of PostgreSQL are.
pub(crate) fn command() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let configures =
            text.starts_with("NOETL_") || text.starts_with("PG") || text == "DATABASE_URL";
        if configures && text != "NOETL_POSTGRES_BIN_DIR" {
            command.env_remove(name);
        }
    }
    command
}

struct Process {
    child: Child,
    stderr: Output,
}

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn ended(mut self) -> Ended {
        let status = until("the end of the server", || self.child.try_wait().unwrap());
        Ended { status, stderr: self.stderr.to_the_end() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing to a process that was waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// All that it said on standard error.
    pub(crate) stderr: String,
}

/// A server, running or not, with its home.
pub(crate) struct Server {
    process: Option<Process>,
    ready: Option<Ready>,
    launch: Launch,
    home: Home,
}

/// What the ready line says.
struct Ready {
    address: SocketAddr,
    database_url: String,
}

impl Server {
    /// The server of all tests that neither stop nor configure theirs. Each of them reports as
    /// components of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Launch::new().start())
    }

    /// Its directory.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server does not run").child.id()
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.ready.as_ref().expect("the server is not ready").address
    }

    /// An HTTP client for it.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address())
    }

    /// Where its database is.
    pub(crate) fn database_url(&self) -> &str {
        &self.ready.as_ref().expect("the server is not ready").database_url
    }

    /// A connection to its database.
    pub(crate) fn sql(&self) -> Sql {
        Sql::open(self.database_url())
    }

    /// The value of one of its own instruments that has no labels.
    pub(crate) fn instrument(&self, name: &str) -> i64 {
        let page = self.client().get("/metrics").text();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// KiB of memory of its process: `VmRSS` now, `VmHWM` at most.
    pub(crate) fn memory_kib(&self, which: &str) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
        line.unwrap().trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
    }

    /// What it said on standard error.
    pub(crate) fn stderr(&self) -> &Output {
        &self.process.as_ref().expect("the server does not run").stderr
    }

    /// Waits for the ready line.
    pub(crate) fn wait_ready(&mut self) {
        let process = self.process.as_ref().expect("the server does not run");
        let ready = process.stderr.wait_for("the ready line", |line| {
            let rest = line.strip_prefix("noetl-metrics is ready on http")?;
            let rest = rest.strip_prefix("s").unwrap_or(rest).strip_prefix("://")?;
            let (address, psql) = rest.split_once("; database: ")?;
            let url = psql.strip_prefix("psql '").and_then(|url| url.strip_suffix('\''));
            Some((address.parse().unwrap(), url.map(str::to_owned)))
        });
        let (address, embedded_url) = ready;
        let external_url = self.launch.database_url.clone();
        let database_url = external_url.or(embedded_url).expect("the ready line names a database");
        self.ready = Some(Ready { address, database_url });
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the server does not run");
        kill_process(process.pid(), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> Ended {
        let ended = self.process.take().expect("the server does not run").ended();
        self.ready = None;
        self.home.set_server(None);
        ended
    }

    /// Ends it as a crash would; its PostgreSQL goes on.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended();
    }

    /// Ends it as an operator would.
    pub(crate) fn terminate(&mut self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Starts it again in the same home, and waits until it is ready.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        let process = self.launch.spawn(&self.home);
        self.home.set_server(Some(process.child.id()));
        self.process = Some(process);
        self.wait_ready();
    }

    /// Kills the postmaster of its embedded PostgreSQL.
    pub(crate) fn kill_postgres(&self) {
        let postmaster = self.home.postmaster().expect("PostgreSQL runs");
        kill_process(postmaster, Signal::KILL).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", process.stderr.so_far());
        }
        drop(process);
        self.home.set_server(None);
    }
}
