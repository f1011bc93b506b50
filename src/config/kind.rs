//! What the values of settings look like: durations, byte sizes, counts, addresses.
//!
//! A [`Kind`] reads a value's text, the same whether it came from a file, a variable or a flag.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use noetl_metrics_client::settings::value;
use tracing_subscriber::EnvFilter;

use super::types::{Database, DatabaseUrl, LogFormat};
use crate::model::PartitionInterval;

/// How a value of type `T` is written.
#[derive(Debug)]
pub(super) struct Kind<T> {
    /// Stands for the value in `--help`.
    pub(super) name: &'static str,
    /// What the text has to be, with an example: "a duration; write it like 15s".
    form: &'static str,
    parse: fn(&str) -> Option<T>,
    range: Option<Range<T>>,
}

#[derive(Debug)]
struct Range<T> {
    min: &'static str,
    max: &'static str,
    contains: fn(&T, &T, &T) -> bool,
}

impl<T> Kind<T> {
    const fn new(name: &'static str, form: &'static str, parse: fn(&str) -> Option<T>) -> Self {
        Self { name, form, parse, range: None }
    }

    /// The value that `text` says, or a predicate that says what is wrong with it.
    pub(super) fn read(&self, text: &str) -> Result<T, String> {
        let misfit = || format!("is not {}", self.form);
        let value = (self.parse)(text).ok_or_else(misfit)?;
        let Some(range) = &self.range else { return Ok(value) };
        let bound = |text| (self.parse)(text).expect("the bounds of a setting are values of it");
        if (range.contains)(&value, &bound(range.min), &bound(range.max)) {
            Ok(value)
        } else {
            Err(format!("is outside {} to {}", range.min, range.max))
        }
    }

    /// The smallest and the largest value, where there are such.
    pub(super) const fn range(&self) -> Option<(&'static str, &'static str)> {
        match &self.range {
            Some(range) => Some((range.min, range.max)),
            None => None,
        }
    }
}

impl<T: PartialOrd> Kind<T> {
    /// The same kind with bounds, both inclusive and written as values are.
    pub(super) const fn between(self, min: &'static str, max: &'static str) -> Self {
        let contains = |value: &T, min: &T, max: &T| min <= value && value <= max;
        let range = Some(Range { min, max, contains });
        Self { name: self.name, form: self.form, parse: self.parse, range }
    }
}

/// An address and port to listen on.
pub(super) const ADDRESS: Kind<SocketAddr> = Kind::new(
    "ADDRESS",
    "an IP address and port; write it like 127.0.0.1:8082 or [::]:8082",
    |text| text.parse().ok(),
);

/// A directory.
pub(super) const DIRECTORY: Kind<PathBuf> =
    Kind::new("DIR", "a directory; write its path", |text| {
        (!text.is_empty()).then(|| PathBuf::from(text))
    });

/// A directory, or `auto` to look for it.
pub(super) const DIRECTORY_OR_AUTO: Kind<Option<PathBuf>> =
    Kind::new("DIR", "a directory; write its path, or auto", |text| match text {
        "auto" => Some(None),
        path => (DIRECTORY.parse)(path).map(Some),
    });

/// A file, or `off` for none.
pub(super) const FILE_OR_OFF: Kind<Option<PathBuf>> =
    Kind::new("FILE", "a file; write its path, or off", |text| match text {
        "off" => Some(None),
        path => (DIRECTORY.parse)(path).map(Some),
    });

/// A database to write to.
pub(super) const DATABASE: Kind<Database> = Kind::new(
    "URL",
    "a PostgreSQL URL; write it like postgres://user:password@host:5432/database, or embedded",
    |text| match text {
        "embedded" => Some(Database::Embedded),
        url => DatabaseUrl::new(url).map(Database::External),
    },
);

/// How log lines look.
pub(super) const LOG_FORMAT: Kind<LogFormat> =
    Kind::new("FORMAT", "a log format; write human or json", |text| match text {
        "human" => Some(LogFormat::Human),
        "json" => Some(LogFormat::Json),
        _ => None,
    });

/// What is logged, in the directives of `tracing_subscriber::EnvFilter`.
pub(super) const LOG_LEVEL: Kind<String> = Kind::new(
    "LEVEL",
    "a log level; write error, warn, info, debug or trace, or like warn,noetl_metrics=debug",
    |text| {
        let valid = !text.trim().is_empty() && EnvFilter::builder().parse(text).is_ok();
        valid.then(|| text.to_owned())
    },
);

/// A time zone by its IANA name, or `system`.
pub(super) const TIME_ZONE: Kind<Option<TimeZone>> =
    Kind::new("ZONE", "a time zone; write it like UTC or Europe/Berlin, or system", |text| {
        match text {
            "system" => Some(None),
            name => TimeZone::get(name).ok().map(Some),
        }
    });

/// A name of the server, or `auto` for the host's name.
pub(super) const NAME_OR_AUTO: Kind<Option<String>> =
    Kind::new("NAME", "a name of 1 to 255 bytes", |text| match text {
        "auto" => Some(None),
        name => {
            let valid = (1..=255).contains(&name.len()) && !name.contains('\0');
            valid.then(|| Some(name.to_owned()))
        }
    });

/// The URL of a server that speaks HTTP.
pub(super) const URL: Kind<String> =
    Kind::new("URL", "a URL; write it like http://metrics.example:8082", |text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let host = !rest.is_empty() && !rest.starts_with(['/', ':']);
        let plain = text.len() <= 2048 && !text.contains(|c: char| c.is_whitespace() || c == '\0');
        (host && plain).then(|| text.to_owned())
    });

/// Yes or no, as TOML and as shells say it.
pub(super) const SWITCH: Kind<bool> =
    Kind::new("BOOL", "true or false", |text| match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    });

/// How much time one partition covers.
pub(super) const INTERVAL: Kind<PartitionInterval> =
    Kind::new("INTERVAL", "a partition interval; write day or hour", |text| match text {
        "day" => Some(PartitionInterval::Day),
        "hour" => Some(PartitionInterval::Hour),
        _ => None,
    });

/// A length of time. Bare numbers are seconds, as the older servers' variables had them.
pub(super) const DURATION: Kind<Duration> = Kind::new(
    "DURATION",
    "a duration; write it like 250ms, 15s, 5m or 1h (a bare number means seconds)",
    value::duration,
);

/// A length of time that something is kept, or for ever.
pub(super) const RETENTION: Kind<Option<Duration>> = Kind::new(
    "DURATION",
    "a retention from 1h to 36500d; write it like 30d, or off to keep everything",
    |text| match text {
        "off" | "0" => Some(None),
        text => {
            let long = (DURATION.parse)(text)?;
            let bounds = Duration::from_secs(3_600)..=Duration::from_secs(36_500 * 86_400);
            bounds.contains(&long).then_some(Some(long))
        }
    },
);

/// A number of bytes. Bare numbers are bytes.
pub(super) const fn bytes<T: TryFrom<u64>>() -> Kind<T> {
    Kind::new(
        "BYTES",
        "a size; write it like 64KiB, 16MiB or 8GiB (a bare number means bytes)",
        |text| T::try_from(value::bytes(text)?).ok(),
    )
}

/// A number of things. Underscores may group its digits, as in TOML.
pub(super) const fn count<T: TryFrom<u64>>() -> Kind<T> {
    Kind::new("COUNT", "a whole number; write it like 64 or 2_000_000", |text| {
        T::try_from(value::count(text)?).ok()
    })
}

/// A number of threads, or `auto` for one per core.
pub(super) const THREADS_OR_AUTO: Kind<Option<u16>> =
    Kind::new("COUNT", "a number of threads from 1 to 1024, or auto", |text| match text {
        "auto" => Some(None),
        number => {
            let threads = number.parse().ok().filter(|threads| (1..=1024).contains(threads))?;
            Some(Some(threads))
        }
    });

#[cfg(test)]
mod tests;
