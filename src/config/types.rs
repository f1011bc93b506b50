//! The types of settings that no other module has.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object per line, for a collector.
    Json,
}

/// Which PostgreSQL the server writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A private one under the data directory, started and stopped by the server.
    Embedded,
    /// One that somebody else runs.
    External(DatabaseUrl),
}

/// The URL of a PostgreSQL database. It may hold a password, so its `Debug` form hides it all.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL `text`, or `None` where it is not one that PostgreSQL's clients understand.
    pub fn new(text: &str) -> Option<Self> {
        let scheme = text.starts_with("postgres://") || text.starts_with("postgresql://");
        (scheme && PgConnectOptions::from_str(text).is_ok()).then(|| Self(text.to_owned()))
    }

    /// The whole URL, password included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_checked_and_hidden() {
        let url = DatabaseUrl::new("postgres://me:secret@db.example:5433/metrics").unwrap();
        assert!(!format!("{:?}", Database::External(url)).contains("secret"));
        for wrong in ["", "db.example", "mysql://db/metrics", "postgres://host:port/metrics"] {
            assert!(DatabaseUrl::new(wrong).is_none(), "{wrong:?} was taken");
        }
    }
}
