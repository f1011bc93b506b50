//! The words and bounds of the HTTP contract, as a worker needs them.
//!
//! The server has its own; `tests/it/client_words.rs` compares the two. Why they are stated twice:
//! `docs/decisions/0012-the-client-states-its-own-words.md`.

/// The four types of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// A value that only rises, but for restarts.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// One series of a histogram.
    Histogram,
    /// One series of a summary.
    Summary,
}

impl MetricType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// Bytes of a metric's or a label's name that a server takes by default.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of a label's value that a server takes by default.
pub const LABEL_VALUE_BYTES_MAX: usize = 2048;
/// Labels of a metric that a server takes by default.
pub const LABELS_MAX: usize = 64;
/// Bytes of a help text that are kept.
pub const HELP_BYTES_MAX: usize = 1024;
/// Bytes of a unit that a server takes.
pub const UNIT_BYTES_MAX: usize = 63;
/// Bytes of a component's name that a server takes.
pub const COMPONENT_NAME_BYTES_MAX: usize = 255;
/// Bytes of a component's type that a server takes.
pub const COMPONENT_TYPE_BYTES_MAX: usize = 63;
/// Bytes of an idempotency key that a server takes.
pub const KEY_BYTES_MAX: usize = 128;

/// The type of components that send heartbeats.
pub const WORKER_POOL: &str = "worker_pool";

/// Where reports go.
pub const REPORT_PATH: &str = "/api/metrics/report";
/// Where a worker pool registers.
pub const POOL_REGISTER_PATH: &str = "/api/worker/pool/register";
/// Where a worker pool leaves.
pub const POOL_DEREGISTER_PATH: &str = "/api/worker/pool/deregister";
/// Where a worker pool says that it lives.
pub const HEARTBEAT_PATH: &str = "/api/worker/pool/heartbeat";
/// Where any other component registers.
pub const REGISTER_PATH: &str = "/api/runtime/register";
/// Where any other component leaves.
pub const DEREGISTER_PATH: &str = "/api/runtime/deregister";
