//! The table of settings: the one place where a setting's key, type, default and help stand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::kind::{
    ADDRESS, DATABASE, DIRECTORY, DIRECTORY_OR_AUTO, DURATION, FILE_OR_OFF, INTERVAL, Kind,
    LOG_FORMAT, LOG_LEVEL, NAME_OR_AUTO, RETENTION, SWITCH, THREADS_OR_AUTO, TIME_ZONE, URL, bytes,
    count,
};
use super::types::{Database, LogFormat};
use crate::model::{Limits, PartitionInterval};

/// One row of the table: what can be set, how and to what.
#[derive(Debug)]
pub struct Setting {
    /// The group under which the setting stands in `--help` and in the documentation.
    pub heading: &'static str,
    /// The key in the TOML file; the flag is `--` and this.
    pub key: &'static str,
    /// The default, written as a value is.
    pub default: &'static str,
    /// What stands for the value in `--help`: `BYTES`, `DURATION`, …
    pub value_name: &'static str,
    /// The smallest and the largest value, where there are such.
    pub range: Option<(&'static str, &'static str)>,
    help: &'static str,
    check: fn(&str) -> Result<(), String>,
}

impl Setting {
    /// The row of `key`.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The environment variable: `NOETL_` and the key, except for a name that the whole world uses.
    pub fn variable(&self) -> String {
        match self.key {
            "database-url" => "DATABASE_URL".to_owned(),
            key => format!("NOETL_{}", key.replace('-', "_").to_uppercase()),
        }
    }

    /// Whether a value may hold a password and is therefore never shown.
    pub fn is_secret(&self) -> bool {
        self.key == "database-url"
    }

    /// Whether the setting can be given as a flag without a value.
    pub fn is_switch(&self) -> bool {
        self.value_name == SWITCH.name
    }

    /// What the setting decides, in whole sentences.
    pub fn help(&self) -> String {
        self.help.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    }

    /// What is wrong with `text` as a value, if anything; a secret is not repeated.
    pub(super) fn check(&self, text: &str) -> Result<(), String> {
        (self.check)(text).map_err(|problem| {
            if self.is_secret() {
                format!("the value (hidden) {problem}")
            } else {
                format!("{text:?} {problem}")
            }
        })
    }
}

/// Makes the type of the values and the table of their descriptions from one list.
macro_rules! settings {
    ($($heading:literal {
        $( $(#[doc = $help:literal])+ $field:ident: $type:ty = $key:literal, $default:literal, $kind:expr; )+
    })+) => {
        /// The value of every setting.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Settings {
            $($( $(#[doc = $help])+ pub $field: $type, )+)+
        }

        /// Every setting, in the order of `--help`.
        pub const SETTINGS: &[Setting] = &[$($(
            Setting {
                heading: $heading,
                key: $key,
                default: $default,
                value_name: { let kind: Kind<$type> = $kind; kind.name },
                range: { let kind: Kind<$type> = $kind; kind.range() },
                help: concat!($($help, "\n"),+),
                check: |text| { let kind: Kind<$type> = $kind; kind.read(text).map(drop) },
            },
        )+)+];

        impl Settings {
            /// Reads every value from its text. Only the first mistake is told: the texts have
            /// been checked one by one before.
            pub(super) fn read<'a>(text_of: impl Fn(&str) -> &'a str) -> Result<Self, String> {
                Ok(Self { $($( $field: $kind.read(text_of($key))?, )+)+ })
            }
        }
    };
}

settings! {
    "Server" {
        /// The address and port on which requests are taken. Any but a loopback address needs
        /// `token-file` or `allow-anonymous`.
        listen: SocketAddr = "listen", "127.0.0.1:8082", ADDRESS;
        /// The directory of the write-ahead log and of the embedded PostgreSQL. One server at a
        /// time may use it.
        data_dir: PathBuf = "data-dir", "./data", DIRECTORY;
        /// The server's own name among the components. `auto` is the host's name.
        server_name: Option<String> = "server-name", "auto", NAME_OR_AUTO;
        /// The URL at which components reach this server, as its own row of the registry has it.
        server_url: String = "server-url", "http://localhost:8082", URL;
        /// Time between two reports of the server about itself; 0 for none.
        server_metrics_interval: Duration =
            "server-metrics-interval", "1m", DURATION.between("0s", "1d");
        /// The component under which the server reports about itself. `auto` is the server itself.
        worker_pool_name: Option<String> = "worker-pool-name", "auto", NAME_OR_AUTO;
        /// The time zone of timestamps that come without one. `system` is the host's zone.
        time_zone: Option<TimeZone> = "time-zone", "system", TIME_ZONE;
        /// Threads that serve requests. `auto` is half of the cores, at least one: PostgreSQL, the
        /// log and the batcher use the others.
        worker_threads: Option<u16> = "worker-threads", "auto", THREADS_OR_AUTO;
        /// How log lines look: `human` or `json`.
        log_format: LogFormat = "log-format", "human", LOG_FORMAT;
        /// What is logged: a level, or directives for single modules such as
        /// `warn,noetl_metrics::log=debug`.
        log_level: String = "log-level", "info", LOG_LEVEL;
    }
    "Access" {
        /// The file of tokens, without one of which nothing is taken or told; made by
        /// `noetl-metrics token create` and read again at SIGHUP. `off` is none: then everybody who
        /// reaches the server may do everything.
        token_file: Option<PathBuf> = "token-file", "off", FILE_OR_OFF;
        /// Listen on any address without tokens. Everybody who reaches it may report, read and drop
        /// partitions.
        allow_anonymous: bool = "allow-anonymous", "false", SWITCH;
        /// The server's certificate in PEM, with those behind it that lead to a root. `off` is plain
        /// HTTP. Read again at SIGHUP, as the two below.
        tls_cert: Option<PathBuf> = "tls-cert", "off", FILE_OR_OFF;
        /// Its private key in PEM.
        tls_key: Option<PathBuf> = "tls-key", "off", FILE_OR_OFF;
        /// Authorities in PEM. Each client, also one that only asks for `/health`, then needs a
        /// certificate that one of them has signed. `off` is none.
        tls_client_ca: Option<PathBuf> = "tls-client-ca", "off", FILE_OR_OFF;
    }
    "PostgreSQL" {
        /// The database that the server writes to. `embedded` is a private PostgreSQL under the
        /// data directory, which the server starts and stops.
        database_url: Database = "database-url", "embedded", DATABASE;
        /// The directory with the binaries of the embedded PostgreSQL (`initdb`, `postgres`).
        /// `auto` looks on PATH and under `/usr/lib/postgresql`, and takes the newest.
        postgres_bin_dir: Option<PathBuf> = "postgres-bin-dir", "auto", DIRECTORY_OR_AUTO;
        /// Rows after which a batch is flushed into PostgreSQL. One row holds one report's values.
        batch_rows_max: usize = "batch-rows-max", "50_000", count().between("1", "1_000_000");
        /// Age after which a batch is flushed, however few rows it has. The flush may take half as long again,
        /// so that PostgreSQL leaves the processors to others; a query ends that.
        batch_age_max: Duration = "batch-age-max", "1s", DURATION.between("1ms", "1m");
        /// How much time one partition covers: `day` or `hour`.
        partition_interval: PartitionInterval = "partition-interval", "day", INTERVAL;
        /// Partitions that are made before their time comes.
        partitions_ahead: u32 = "partitions-ahead", "7", count().between("1", "1_000");
        /// Partitions that may exist for the past. Samples that would need one more are rejected,
        /// so that a wild clock cannot make thousands.
        past_partitions_max: u32 = "past-partitions-max", "1_000", count().between("0", "100_000");
        /// Time after its end for which a partition is kept, from 1h on; `off` or 0 keeps everything. Then
        /// it is dropped with all its samples, unless something was written to it within a day.
        metrics_retention: Option<Duration> = "metrics-retention", "30d", RETENTION;
        /// Time after which a query that has not finished is given up.
        query_timeout: Duration = "query-timeout", "30s", DURATION.between("100ms", "1h");
    }
    "Write-ahead log" {
        /// Size of one segment of the log.
        log_segment_bytes: u64 = "log-segment-bytes", "128MiB", bytes().between("1MiB", "4GiB");
        /// Disk space for the log, kept idempotency keys included. Reports are refused with 429 while it is used up, which happens
        /// only when PostgreSQL stays away or behind.
        log_budget_bytes: u64 = "log-budget-bytes", "8GiB", bytes().between("4MiB", "64TiB");
    }
    "Reports" {
        /// Answer 404 to a report of a component that has not registered, instead of registering
        /// it.
        require_registration: bool = "require-registration", "false", SWITCH;
        /// Size of a report's body, before and after decompression.
        body_bytes_max: usize = "body-bytes-max", "16MiB", bytes().between("1KiB", "64MiB");
        /// Labels of one metric.
        labels_max: usize = "labels-max", "64", count().between("0", "255");
        /// Length of a metric's or a label's name. A longer one is rejected.
        name_bytes_max: usize = "name-bytes-max", "255", bytes().between("1", "4KiB");
        /// Length of a label's value. A longer one is rejected.
        label_value_bytes_max: usize =
            "label-value-bytes-max", "2KiB", bytes().between("1", "63KiB");
        /// How far in the future a timestamp may lie. A sample beyond it is rejected.
        future_max: Duration = "future-max", "10m", DURATION.between("0s", "7d");
    }
    "Components" {
        /// Components that may be held in memory. Further ones are refused with 429 until others are
        /// idle.
        components_max: usize = "components-max", "500_000", count().between("1", "100_000_000");
        /// Time after its last heartbeat or report when a component is marked offline.
        runtime_offline_seconds: Duration =
            "runtime-offline-seconds", "3m", DURATION.between("1s", "30d");
        /// Time between two turns of the sweeper, which writes heartbeats and marks silent components
        /// offline.
        runtime_sweep_interval: Duration =
            "runtime-sweep-interval", "15s", DURATION.between("100ms", "1h");
    }
    "Series in memory" {
        /// Series that may be held in memory. Samples of further ones are rejected until others
        /// are idle.
        series_max: usize = "series-max", "2_000_000", count().between("1", "1_000_000_000");
        /// Series of one component that may be active. Samples of further ones are rejected until
        /// others are idle; those that are known go on.
        component_series_max: usize =
            "component-series-max", "2_000", count().between("1", "1_000_000_000");
        /// New series of all components in a minute, once as many as `series-max` came at once.
        new_series_per_minute_max: u32 =
            "new-series-per-minute-max", "20_000", count().between("1", "1_000_000_000");
        /// New series of one component in a minute, once as many as `component-series-max` came at
        /// once.
        component_new_series_per_minute_max: u32 =
            "component-new-series-per-minute-max", "100", count().between("1", "1_000_000_000");
        /// Time after its last sample for which a series stays on the Prometheus page.
        stale_after: Duration = "stale-after", "5m", DURATION.between("1s", "1d");
        /// Time after its last sample when a series leaves the memory. It is reloaded when it
        /// comes back.
        idle_after: Duration = "idle-after", "1h", DURATION.between("1s", "30d");
    }
    "Connections" {
        /// Connections that may be open at once. Further ones wait to be accepted.
        connections_max: usize = "connections-max", "20_000", count().between("1", "1_000_000");
        /// Memory for the bodies that are being received. Reports are refused with 429 while it is
        /// used up.
        in_flight_bytes_max: usize =
            "in-flight-bytes-max", "256MiB", bytes().between("1KiB", "1TiB");
        /// Time for which a connection may be idle; it is closed before half as much has passed again. Set
        /// it to at least twice the interval at which workers report, or each report opens a connection.
        keep_alive: Duration = "keep-alive", "150s", DURATION.between("1s", "1d");
        /// Time in which the rest of a request's header must come once it has begun.
        head_timeout: Duration = "head-timeout", "10s", DURATION.between("100ms", "1h");
        /// Time in which a request's whole body must have come.
        body_timeout: Duration = "body-timeout", "30s", DURATION.between("100ms", "1h");
        /// Time in which a client must take an answer that it does not take at once.
        answer_timeout: Duration = "answer-timeout", "1m", DURATION.between("100ms", "1h");
        /// Time for which a server that was told to stop goes on as before while `GET /ready` already
        /// says no, so that load balancers turn to others first. A second signal cuts it short.
        drain_delay: Duration = "drain-delay", "0s", DURATION.between("0s", "10m");
        /// Time that a stopping server then takes to finish requests and flush. What is left then
        /// stays in the log for the next start.
        drain_timeout: Duration = "drain-timeout", "30s", DURATION.between("100ms", "1h");
    }
}

impl Settings {
    /// The bounds on one report.
    pub fn limits(&self) -> Limits {
        Limits {
            body_bytes_max: self.body_bytes_max,
            labels_max: self.labels_max,
            name_bytes_max: self.name_bytes_max,
            label_value_bytes_max: self.label_value_bytes_max,
            future_us_max: i64::try_from(self.future_max.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for setting in SETTINGS {
            let same = SETTINGS.iter().filter(|other| other.key == setting.key).count();
            assert_eq!(same, 1, "{} stands twice", setting.key);
            assert_eq!(setting.check(setting.default), Ok(()), "{}", setting.key);
            assert!(setting.help().ends_with('.'), "{}: {}", setting.key, setting.help());
            if let Some((min, max)) = setting.range {
                assert_eq!(setting.check(min), Ok(()), "{}", setting.key);
                assert_eq!(setting.check(max), Ok(()), "{}", setting.key);
            }
        }
    }

    #[test]
    fn variables_keep_the_names_that_are_in_use() {
        let variable = |key| Setting::find(key).unwrap().variable();
        assert_eq!(variable("data-dir"), "NOETL_DATA_DIR");
        assert_eq!(variable("server-name"), "NOETL_SERVER_NAME");
        assert_eq!(variable("require-registration"), "NOETL_REQUIRE_REGISTRATION");
        assert_eq!(variable("database-url"), "DATABASE_URL");
    }

    #[test]
    fn the_default_limits_are_those_of_the_model() {
        let text_of = |key: &str| Setting::find(key).unwrap().default;
        assert_eq!(Settings::read(text_of).unwrap().limits(), Limits::default());
    }

    /// The page that explains the settings holds exactly this.
    fn reference() -> String {
        let mut page = String::new();
        let mut heading = "";
        for setting in SETTINGS {
            if setting.heading != heading {
                heading = setting.heading;
                page += &format!("\n### {heading}\n\n");
                page += "| key and flag | variable | value | default | what it decides |\n";
                page += "|---|---|---|---|---|\n";
            }
            let value = match setting.range {
                Some((min, max)) => format!("{}, {min} to {max}", setting.value_name),
                None => setting.value_name.to_owned(),
            };
            page += &format!(
                "| `{}` | `{}` | {value} | `{}` | {} |\n",
                setting.key,
                setting.variable(),
                setting.default,
                setting.help()
            );
        }
        page
    }

    #[test]
    fn the_page_lists_every_setting_as_the_table_has_it() {
        let page = include_str!("../../docs/configuration.md");
        let (_, listed) = page.split_once("<!-- settings -->\n").unwrap();
        let (listed, _) = listed.split_once("\n<!-- end of settings -->").unwrap();
        let want = reference();
        assert!(listed == want, "docs/configuration.md should list:\n{want}");
    }
}
