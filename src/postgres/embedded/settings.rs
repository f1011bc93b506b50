//! What the private server is told: by its owner, and for this workload.

use std::path::PathBuf;
use std::time::Duration;

/// How the private PostgreSQL is found, started and stopped.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// The data directory; the server's files go to `postgres` in it.
    pub data_dir: PathBuf,
    /// The directory of `initdb` and `postgres`. `None`: those on `PATH`, then the newest under
    /// `/usr/lib/postgresql`; for an existing cluster, the one of its version.
    pub bin_dir: Option<PathBuf>,
    /// How long a start may take, recovery from a crash included.
    pub start_timeout: Duration,
    /// How long a fast shutdown may take before an immediate one follows.
    pub stop_timeout: Duration,
    /// PostgreSQL settings, name and value, that override those for this workload.
    pub extra: Vec<(String, String)>,
}

impl EmbeddedSettings {
    /// Settings that suit a server: a minute to start, half a minute to stop.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(30),
            extra: Vec::new(),
        }
    }

    /// The settings for a server of version `major`, name and value; of two, the later holds.
    pub(super) fn of_server(&self, major: u32) -> impl Iterator<Item = (&str, &str)> {
        let since_14 = if major >= 14 { SINCE_14 } else { &[] };
        let extra = self.extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        WORKLOAD.iter().chain(since_14).copied().chain(extra)
    }
}

/// The settings for this workload: one writer that copies large batches, few readers.
///
/// They go on the command line, where they override `postgresql.conf` and `ALTER SYSTEM`, so
/// that what runs is what stands here; [`EmbeddedSettings::extra`] is the way to differ.
const WORKLOAD: &[(&str, &str)] = &[
    // Reachable through the private socket only, never from the network.
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    // The log segments are deleted when a commit is reported, so a commit must be on disk. They
    // are defaults; an edited postgresql.conf must not take exactly-once away.
    ("synchronous_commit", "on"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    // Nobody replicates from here, so the WAL holds what crash recovery needs and no more.
    // Minimal is refused while a WAL sender is allowed or WAL is archived.
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("archive_mode", "off"),
    // The tail of every series' group index stays in memory beside the newest partitions.
    ("shared_buffers", "256MB"),
    // The most that PostgreSQL gives by itself: a COPY fills a small buffer over and over.
    ("wal_buffers", "16MB"),
    // After each checkpoint the next touch of a page writes it whole into the WAL: fewer of them
    // make steady copying cheaper, at the price of a longer recovery.
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "15min"),
    // Queries are short; compiling them takes longer than running them.
    ("jit", "off"),
    // Partitions only grow, yet must be frozen and analysed for the planner.
    ("autovacuum", "on"),
    // One writer, a pool of readers, jobs and psql.
    ("max_connections", "50"),
    // The log goes to standard error, which is a file that this server bounds; it holds no
    // statements, because those carry users' data, and no routine.
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_min_messages", "warning"),
    ("log_min_error_statement", "panic"),
    ("log_checkpoints", "off"),
    ("log_line_prefix", "%m [%p] "),
];

const SINCE_14: &[(&str, &str)] = &[
    // Recovery first syncs the whole cluster: one call for the filesystem instead of one for
    // each of a thousand files and more.
    ("recovery_init_sync_method", "syncfs"),
];
