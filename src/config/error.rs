//! Mistakes in the configuration, each with where it stands.

use std::fmt;
use std::io;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the configuration file.
    File {
        /// The file's path as it was given.
        path: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// In the environment variable of this name.
    Variable(String),
    /// By the flag of this name, `--` included.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{path} line {line}"),
            Self::Variable(name) => write!(formatter, "variable {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
        }
    }
}

/// One mistake in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// The configuration file cannot be read.
    #[error("{path}: cannot be read ({error}); name another file with --config or NOETL_CONFIG")]
    FileUnreadable {
        /// The file's path as it was given.
        path: String,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// A line of the file is not TOML.
    #[error("{origin}: is not TOML: {problem}")]
    NotToml {
        /// The line.
        origin: Origin,
        /// What the parser says.
        problem: String,
    },
    /// The file has a key that is no setting.
    #[error("{origin}: there is no setting {key}{}", suggest(*.nearest))]
    UnknownKey {
        /// The line.
        origin: Origin,
        /// The key as it stands there.
        key: String,
        /// The setting that may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value is not one that the setting can have.
    #[error("{origin}: {key}: {problem}")]
    BadValue {
        /// Where the value was given.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What is wrong, and how to write it.
        problem: String,
    },
    /// Values that are right alone do not go together.
    #[error("{}: {rule}", values.join(", "))]
    Contradiction {
        /// The settings, each with its value and origin.
        values: Vec<String>,
        /// What has to hold among them, and why.
        rule: &'static str,
    },
}

fn suggest(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!("; did you mean {key}?"),
        None => "; `noetl-metrics serve --help` lists them all".to_owned(),
    }
}

/// Every mistake in the configuration, at least one.
#[derive(Debug)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// The errors for `mistakes`, or `None` where there are none.
    pub(super) fn new(mistakes: Vec<Mistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    /// The mistakes in the order file, variables, flags, relations.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(formatter, "the configuration has a mistake:")?,
            count => write!(formatter, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(formatter, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigErrors {}
