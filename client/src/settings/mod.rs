//! What a worker is told by its environment: a table of variables, from which the flags of
//! `noetl-metrics agent` and the test of `docs/workers.md` are made as well.

mod server_url;
mod tls_files;
mod token;
pub mod value;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use server_url::{Scheme, ServerUrl};
pub use tls_files::TlsFiles;
pub use token::{InvalidToken, Token};

use crate::system::host_name;
use crate::vocabulary::{COMPONENT_NAME_BYTES_MAX, COMPONENT_TYPE_BYTES_MAX, WORKER_POOL};

/// One variable of the settings `S`.
#[derive(Debug)]
pub struct Variable<S = Settings> {
    /// The flag of `noetl-metrics agent`, without its dashes.
    pub key: &'static str,
    /// What holds when it is not set, written as values are.
    pub default: &'static str,
    /// What its value is: `DURATION`, `BYTES`, …
    pub value_name: &'static str,
    /// What it decides, in whole sentences.
    pub help: &'static str,
    pub(crate) apply: fn(&mut S, &str) -> Result<(), String>,
}

impl<S> Variable<S> {
    /// The environment variable: `NOETL_` and the key.
    pub fn name(&self) -> String {
        format!("NOETL_{}", self.key.replace('-', "_").to_uppercase())
    }
}

/// How a reporter works. Fields may be changed before it starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The server.
    pub server_url: ServerUrl,
    /// What TLS is spoken with, where the server is at an `https://` URL.
    pub tls: TlsFiles,
    /// What lets requests in, where the server wants a token.
    pub token: Option<Token>,
    /// Where that token stands, and is read again when the server refuses it.
    pub token_file: Option<PathBuf>,
    /// The component's name, where one is told.
    pub name: Option<String>,
    /// Tells several processes of one name apart, as the label `worker_id`.
    pub worker_id: Option<String>,
    /// The component's type.
    pub component_type: String,
    /// What the worker runs.
    pub runtime: String,
    /// Where the worker is reached.
    pub base_url: String,
    /// How much it does at once.
    pub capacity: Option<u32>,
    /// What it is registered with, not the labels of series.
    pub labels: Vec<String>,
    /// Time between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Time between two reports.
    pub metrics_interval: Duration,
    /// Time in which an answer must have come.
    pub request_timeout: Duration,
    /// The longest pause between two attempts, unless the server names a longer one.
    pub backoff_max: Duration,
    /// Memory for reports that are not delivered.
    pub queue_bytes: u64,
    /// Where reports wait on the disk.
    pub spool_dir: Option<PathBuf>,
    /// Disk space for them.
    pub spool_bytes: u64,
    /// Size from which on a report is compressed.
    pub compress_above: u64,
    /// Series that may be reported.
    pub series_max: usize,
    /// Time that the end of the worker may wait for what is not delivered.
    pub shutdown_timeout: Duration,
}

/// Every variable.
pub const VARIABLES: &[Variable] = &[
    Variable {
        key: "server-url",
        default: "http://localhost:8082",
        value_name: "URL",
        help: "The server that is reported to.",
        apply: |s, text| set(&mut s.server_url, text.parse()),
    },
    Variable {
        key: "worker-token-file",
        default: "off",
        value_name: "FILE",
        help: "A file with the token that the server wants, read at the start and when the server \
               refuses the token. `NOETL_TOKEN` may hold the token itself instead, and wins. `off` \
               is none.",
        apply: |s, text| {
            s.token_file = file(text);
            let token = s.token_file.as_deref().map(Token::read).transpose();
            set(&mut s.token, token)
        },
    },
    Variable {
        key: "worker-ca-file",
        default: "off",
        value_name: "FILE",
        help: "Authorities in PEM, one of which must have signed the certificate of an `https://` \
               server. `off` is those of the system. Read again for each connection, as the two \
               below.",
        apply: |s, text| set(&mut s.tls.authorities, Ok(file(text))),
    },
    Variable {
        key: "worker-cert-file",
        default: "off",
        value_name: "FILE",
        help: "The worker's own certificate in PEM, with those behind it that lead to a root, for a \
               server that asks for one. `off` is none.",
        apply: |s, text| set(&mut s.tls.certificate, Ok(file(text))),
    },
    Variable {
        key: "worker-key-file",
        default: "off",
        value_name: "FILE",
        help: "Its private key in PEM.",
        apply: |s, text| set(&mut s.tls.key, Ok(file(text))),
    },
    Variable {
        key: "worker-pool-name",
        default: "auto",
        value_name: "NAME",
        help: "The name that is reported under. `auto` is `worker-` and the worker's id, or \
               without one the host's name.",
        apply: |s, text| set(&mut s.name, auto(text, COMPONENT_NAME_BYTES_MAX)),
    },
    Variable {
        key: "worker-id",
        default: "auto",
        value_name: "NAME",
        help: "Tells several processes of one name apart, as the label `worker_id` of all their \
               series. `auto` is no such label.",
        apply: |s, text| set(&mut s.worker_id, auto(text, COMPONENT_NAME_BYTES_MAX)),
    },
    Variable {
        key: "worker-component-type",
        default: WORKER_POOL,
        value_name: "TYPE",
        help: "The component's type. Only a `worker_pool` sends heartbeats; of others each report \
               is a sign of life.",
        apply: |s, text| set(&mut s.component_type, name(text, COMPONENT_TYPE_BYTES_MAX)),
    },
    Variable {
        key: "worker-pool-runtime",
        default: "cpu",
        value_name: "NAME",
        help: "What the worker runs, as the registry shows it.",
        apply: |s, text| set(&mut s.runtime, name(text, COMPONENT_TYPE_BYTES_MAX)),
    },
    Variable {
        key: "worker-base-url",
        default: "http://queue-worker",
        value_name: "URL",
        help: "Where the worker is reached, as the registry shows it.",
        apply: |s, text| set(&mut s.base_url, name(text, 2048)),
    },
    Variable {
        key: "worker-capacity",
        default: "auto",
        value_name: "COUNT",
        help: "How much the worker does at once, as the registry shows it. `auto` is nothing.",
        apply: |s, text| {
            let told = |text| count(text, 0, i32::MAX as u64).map(|count| Some(count as u32));
            set(&mut s.capacity, if text == "auto" { Ok(None) } else { told(text) })
        },
    },
    Variable {
        key: "worker-labels",
        default: "none",
        value_name: "LIST",
        help: "Words with commas between them, as the registry shows them.",
        apply: |s, text| {
            let text = if text == "none" { "" } else { text };
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            set(&mut s.labels, Ok(words.map(str::to_owned).collect()))
        },
    },
    Variable {
        key: "worker-heartbeat-interval",
        default: "15s",
        value_name: "DURATION",
        help: "Time between two heartbeats, 100ms to 1h.",
        apply: |s, text| set(&mut s.heartbeat_interval, duration(text, "100ms", "1h")),
    },
    Variable {
        key: "worker-metrics-interval",
        default: "60s",
        value_name: "DURATION",
        help: "Time between two reports, 100ms to 1d.",
        apply: |s, text| set(&mut s.metrics_interval, duration(text, "100ms", "1d")),
    },
    Variable {
        key: "worker-request-timeout",
        default: "30s",
        value_name: "DURATION",
        help: "Time in which the server's answer must have come, 100ms to 10m.",
        apply: |s, text| set(&mut s.request_timeout, duration(text, "100ms", "10m")),
    },
    Variable {
        key: "worker-backoff-max",
        default: "30s",
        value_name: "DURATION",
        help: "The longest pause between two attempts, 100ms to 1h. A server that names a longer \
               one by `Retry-After` is obeyed.",
        apply: |s, text| set(&mut s.backoff_max, duration(text, "100ms", "1h")),
    },
    Variable {
        key: "worker-queue-bytes",
        default: "16MiB",
        value_name: "BYTES",
        help: "Memory for reports that are not delivered, 64KiB to 1GiB. Beyond it the oldest are \
               dropped and counted.",
        apply: |s, text| set(&mut s.queue_bytes, bytes(text, 64 << 10, 1 << 30)),
    },
    Variable {
        key: "worker-spool-dir",
        default: "off",
        value_name: "DIR",
        help: "A directory where reports wait on the disk, so that they survive the end of the \
               worker. Each worker needs its own. `off` is none.",
        apply: |s, text| {
            let told = if text.is_empty() { Err("is no directory".to_owned()) } else { Ok(text) };
            set(&mut s.spool_dir, told.map(|text| (text != "off").then(|| PathBuf::from(text))))
        },
    },
    Variable {
        key: "worker-spool-bytes",
        default: "64MiB",
        value_name: "BYTES",
        help: "Disk space for them, 64KiB to 1TiB. Beyond it the oldest are dropped and counted.",
        apply: |s, text| set(&mut s.spool_bytes, bytes(text, 64 << 10, 1 << 40)),
    },
    Variable {
        key: "worker-compress-above",
        default: "4KiB",
        value_name: "BYTES",
        help: "Size from which on a report is compressed by gzip, 0 to 16MiB.",
        apply: |s, text| set(&mut s.compress_above, bytes(text, 0, 16 << 20)),
    },
    Variable {
        key: "worker-series-max",
        default: "10_000",
        value_name: "COUNT",
        help: "Series that may be reported, 1 to 1_000_000. Further ones are refused and counted.",
        apply: |s, text| {
            set(&mut s.series_max, count(text, 1, 1_000_000).map(|count| count as usize))
        },
    },
    Variable {
        key: "worker-shutdown-timeout",
        default: "5s",
        value_name: "DURATION",
        help: "Time that the end of the worker may wait for the delivery of what is left, 0s to \
               10m.",
        apply: |s, text| set(&mut s.shutdown_timeout, duration(text, "0s", "10m")),
    },
];

/// The token itself. No flag is made of it, for flags are seen by everybody on the host.
const TOKEN: Variable = Variable {
    key: "token",
    default: "",
    value_name: "TOKEN",
    help: "The token that the server wants.",
    // It is not read by the table, whose mistakes repeat the value.
    apply: |_, _| Ok(()),
};

/// Every mistake in the environment, at least one.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidSettings(Vec<String>);

impl InvalidSettings {
    /// Both of two readings, or the mistakes of both.
    ///
    /// # Errors
    /// Where one of them has mistakes.
    pub fn both<A, B>(a: Result<A, Self>, b: Result<B, Self>) -> Result<(A, B), Self> {
        match (a, b) {
            (Ok(a), Ok(b)) => Ok((a, b)),
            (a, b) => {
                let mistakes = [a.err(), b.err()].into_iter().flatten();
                Err(Self(mistakes.flat_map(|one| one.0).collect()))
            }
        }
    }
}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for InvalidSettings {}

impl Settings {
    /// What the process's environment says.
    ///
    /// # Errors
    /// Every variable with a value that it cannot have.
    pub fn from_env() -> Result<Self, InvalidSettings> {
        Self::read(|variable| {
            let value = std::env::var_os(variable.name())?;
            Some((variable.name(), value.to_string_lossy().into_owned()))
        })
    }

    /// What `given` says: for each variable its value and where that stands, which is named where
    /// it is a mistake. An empty value is as good as none.
    ///
    /// # Errors
    /// Every mistake.
    pub fn read(
        given: impl Fn(&Variable) -> Option<(String, String)>,
    ) -> Result<Self, InvalidSettings> {
        let token = given(&TOKEN).filter(|(_, value)| !value.is_empty());
        let mut settings = read(VARIABLES, given).and_then(|settings: Self| {
            let mistake = settings.tls.mistake(settings.server_url.scheme());
            mistake.map_or(Ok(settings), |mistake| Err(InvalidSettings(vec![mistake])))
        });
        if let Some((origin, value)) = token {
            let token = Token::new(&value).map_err(|error| format!("{origin}: the value {error}"));
            match (&mut settings, token) {
                (Ok(settings), Ok(token)) => {
                    settings.token = Some(token);
                    settings.token_file = None;
                }
                (Ok(_), Err(mistake)) => settings = Err(InvalidSettings(vec![mistake])),
                (Err(mistakes), Err(mistake)) => mistakes.0.push(mistake),
                (Err(_), Ok(_)) => {}
            }
        }
        settings
    }

    /// The component's name.
    pub fn component_name(&self) -> String {
        match (&self.name, &self.worker_id) {
            (Some(name), _) => name.clone(),
            (None, Some(id)) => format!("worker-{id}"),
            (None, None) => host_name().unwrap_or("unknown".to_owned()),
        }
    }
}

impl Default for Settings {
    /// The default of every variable.
    fn default() -> Self {
        Self {
            server_url: ServerUrl::default(),
            tls: TlsFiles::default(),
            token: None,
            token_file: None,
            name: None,
            worker_id: None,
            component_type: WORKER_POOL.to_owned(),
            runtime: "cpu".to_owned(),
            base_url: "http://queue-worker".to_owned(),
            capacity: None,
            labels: Vec::new(),
            heartbeat_interval: Duration::from_secs(15),
            metrics_interval: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            backoff_max: Duration::from_secs(30),
            queue_bytes: 16 << 20,
            spool_dir: None,
            spool_bytes: 64 << 20,
            compress_above: 4 << 10,
            series_max: 10_000,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Default settings, with what `given` says; every mistake in it otherwise.
pub(crate) fn read<S: Default>(
    variables: &[Variable<S>],
    given: impl Fn(&Variable<S>) -> Option<(String, String)>,
) -> Result<S, InvalidSettings> {
    let mut settings = S::default();
    let mut mistakes = Vec::new();
    for variable in variables {
        let Some((origin, value)) = given(variable).filter(|(_, value)| !value.is_empty()) else {
            continue;
        };
        if let Err(problem) = (variable.apply)(&mut settings, &value) {
            mistakes.push(format!("{origin}: {value:?} {problem}"));
        }
    }
    if mistakes.is_empty() { Ok(settings) } else { Err(InvalidSettings(mistakes)) }
}

pub(crate) fn set<T>(field: &mut T, value: Result<T, String>) -> Result<(), String> {
    value.map(|value| *field = value)
}

fn name(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.len() <= bytes_max && !text.contains('\0') {
        Ok(text.to_owned())
    } else {
        Err(format!("is not a text of 1 to {bytes_max} bytes"))
    }
}

fn file(text: &str) -> Option<PathBuf> {
    (text != "off").then(|| PathBuf::from(text))
}

fn auto(text: &str, bytes_max: usize) -> Result<Option<String>, String> {
    if text == "auto" { Ok(None) } else { name(text, bytes_max).map(Some) }
}

fn duration(text: &str, min: &str, max: &str) -> Result<Duration, String> {
    let long = value::duration(text)
        .ok_or("is not a duration; write it like 15s (a bare number means seconds)")?;
    let bound = |text| value::duration(text).unwrap_or_default();
    if (bound(min)..=bound(max)).contains(&long) {
        Ok(long)
    } else {
        Err(format!("is outside {min} to {max}"))
    }
}

fn bytes(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let size = value::bytes(text)
        .ok_or("is not a size; write it like 16MiB (a bare number means bytes)")?;
    within(size, min, max)
}

fn count(text: &str, min: u64, max: u64) -> Result<u64, String> {
    within(value::count(text).ok_or("is not a whole number; write it like 10_000")?, min, max)
}

fn within(number: u64, min: u64, max: u64) -> Result<u64, String> {
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("is outside {min} to {max}"))
    }
}

#[cfg(test)]
mod tests;
