//! What the operator decided: settings from a TOML file, the environment and flags.
//!
//! Owns the table of settings ([`SETTINGS`]), from which the command line, the file's keys, the
//! variables, `--help`, `config check` and the test of `docs/configuration.md` are all made.
//! Guarantees that a [`Config`] which exists is valid, also in the relations among its bounds,
//! and that one attempt names every mistake with its key and where it stands. Refuses to know
//! what the settings are used for, and touches neither the process's environment nor its
//! arguments: both are handed in.

mod cli;
mod error;
mod file;
mod kind;
mod log_action;
mod partitions_action;
mod relations;
mod resolve;
mod settings;
mod token_action;
mod types;
mod worker_commands;

pub use cli::{Cli, CliExit, Command, ConfigReport, OutputForm, QuarantineAction};
pub use error::{ConfigErrors, Mistake, Origin};
pub use log_action::{Consent, LogAction};
pub use partitions_action::PartitionsAction;
pub use resolve::Config;
pub use settings::{SETTINGS, Setting, Settings};
pub use token_action::TokenAction;
pub use types::{Database, DatabaseUrl, LogFormat};
pub use worker_commands::{PushRequest, WorkerCommand};
