//! The bounds on what one report may hold.

/// Bounds on a report. Every part of a report has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body, before and after decompression.
    pub body_bytes_max: usize,
    /// Labels of one metric.
    pub labels_max: usize,
    /// Bytes of a metric name or a label name; a longer one is rejected.
    pub name_bytes_max: usize,
    /// Bytes of a label value; a longer one is rejected.
    pub label_value_bytes_max: usize,
    /// How far in the future a timestamp may lie, in microseconds.
    pub future_us_max: i64,
}

/// Bytes of a help text; the rest of a longer one is cut off, for it only explains.
pub const HELP_BYTES_MAX: usize = 1024;
/// Bytes of a unit; a longer one is rejected.
pub const UNIT_BYTES_MAX: usize = 63;

/// For how long an idempotency key is remembered, in memory and in the log, in seconds.
pub const KEYS_KEPT_S: u32 = 600;
/// How many idempotency keys are remembered; the oldest are forgotten when there are more.
pub const KEYS_KEPT_MAX: usize = 1_000_000;
/// Bytes of the answers to all keys that are remembered; the same holds.
pub const KEPT_ANSWERS_BYTES_MAX: usize = 256 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            labels_max: 64,
            name_bytes_max: 255,
            label_value_bytes_max: 2048,
            future_us_max: 600_000_000,
        }
    }
}
