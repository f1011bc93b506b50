//! What can go wrong with the log, each kind with what to do about it.

use std::io;
use std::sync::Arc;

use super::identity::IdentityError;
use super::record::Flaw;
use super::segment::segment_name;
use crate::model::LogPosition;

/// A write or sync failed. The log takes nothing any more; whoever waited was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the write-ahead log failed: {0}; nothing is acknowledged any more: check the disk, then \
     restart the server"
)]
pub struct LogFailed(pub(super) Arc<str>);

impl LogFailed {
    pub(super) fn new(doing: &str, error: &io::Error) -> Self {
        Self(format!("{doing}: {error}").into())
    }
}

/// Why a record was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// PostgreSQL is behind by the whole budget. Temporary.
    #[error(
        "the write-ahead log holds its budget of {budget_bytes} bytes that are not yet in \
         PostgreSQL; try again later, and look at PostgreSQL or raise the budget if this lasts"
    )]
    OverBudget {
        /// The budget.
        budget_bytes: u64,
    },
    /// The disk is slower than the reports come. Temporary.
    #[error("the write-ahead log's disk cannot keep up; try again in a moment")]
    StagingFull,
    /// No space for a further segment. Temporary: taken up again once there is space.
    #[error("no disk space is left for the write-ahead log; free some, then try again")]
    DiskFull,
    /// The record fits no segment. Permanent for this record.
    #[error("the report takes {bytes} bytes in the log, the limit is {bytes_max}; split it")]
    TooLarge {
        /// What the record takes.
        bytes: usize,
        /// What a record may take.
        bytes_max: usize,
    },
    /// The log failed earlier.
    #[error(transparent)]
    Failed(#[from] LogFailed),
    /// The log was closed.
    #[error("the server is stopping; try another one, or again once it is back")]
    Closed,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict each other.
    #[error("the log's settings cannot work: {0}")]
    Settings(String),
    /// Another process has the directory.
    #[error(
        "the log directory {location} is in use by another process; stop it or give this one a \
         directory of its own"
    )]
    Locked {
        /// The directory.
        location: String,
    },
    /// The log's identity is unusable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Synced data is damaged.
    #[error(
        "{} is damaged at byte {offset}: {damage}; what was acknowledged there cannot be read. \
         Restore the file from a backup, or see with `noetl-metrics log verify` what is damaged and \
         with `noetl-metrics log set-aside {segment}` what going on without it gives up",
        segment_name(*segment)
    )]
    Corrupt {
        /// The segment's number.
        segment: u64,
        /// Where in the file the damage begins.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// A newer program wrote it.
    #[error("{} has format version {version}; start the newer program that wrote it", segment_name(*segment))]
    Version {
        /// The segment's number.
        segment: u64,
        /// The version it has.
        version: u32,
    },
    /// The segment belongs to another log.
    #[error(
        "{} belongs to another log; the directory mixes two, move what does not belong out of it",
        segment_name(*segment)
    )]
    Foreign {
        /// The segment's number.
        segment: u64,
    },
    /// There is nothing to look at.
    #[error(
        "there is no write-ahead log in {location}; name the server's data directory with --data-dir"
    )]
    NoLog {
        /// The directory.
        location: String,
    },
    /// There is a hole in the row of segments.
    #[error(
        "{} is missing; put it back, restore the directory from a backup, or see with \
         `noetl-metrics log set-aside {segment}` what going on without it gives up",
        segment_name(*segment)
    )]
    Missing {
        /// The number of the missing segment.
        segment: u64,
    },
    /// The operating system refused.
    #[error("{doing}: {source}; this is no damage to the log: check the disk, then start again")]
    Io {
        /// A verb phrase.
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// What is wrong with damaged data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The segment's header is not one.
    #[error("the segment's header is not sound")]
    Header,
    /// A record is bad.
    #[error("a record was synced here and {0}")]
    Record(#[from] Flaw),
    /// The segment before ends elsewhere.
    #[error("the segment starts at position {found}, the one before it ends at {expected}")]
    Start {
        /// Where the segment before ends.
        expected: LogPosition,
        /// Where this one starts.
        found: LogPosition,
    },
}

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What stood there was deleted.
    #[error(
        "position {from} is no longer in the log, which starts at {first}: {} rows are missing",
        first.get().saturating_sub(from.get())
    )]
    Gone {
        /// What was asked for.
        from: LogPosition,
        /// The oldest position retained.
        first: LogPosition,
    },
    /// The log does not reach that far.
    #[error(
        "position {from} is {} rows beyond the log's end, {synced}: synced records were lost, or this \
         is not the log that PostgreSQL's position belongs to",
        from.get().saturating_sub(synced.get())
    )]
    Beyond {
        /// What was asked for.
        from: LogPosition,
        /// The end of what is synced.
        synced: LogPosition,
    },
    /// Synced data is damaged.
    #[error("{} is damaged at byte {offset}: a record was synced here and {flaw}; restart the server, whose start says what can be done", segment_name(*segment))]
    Corrupt {
        /// The segment's number.
        segment: u64,
        /// Where in the file the record begins.
        offset: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The operating system refused.
    #[error("read {}: {source}; check the disk", segment_name(*segment))]
    Io {
        /// The segment's number.
        segment: u64,
        /// What the operating system said.
        source: io::Error,
    },
}
