//! Log lines on standard error: for people, or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Begins to log as a server does. The directives were checked with the configuration; called once.
pub fn init_logging(settings: &Settings) {
    init(&settings.log_level, settings.log_format);
}

/// Begins to log what `level` says; called once.
pub(super) fn init(level: &str, format: LogFormat) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
