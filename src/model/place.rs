//! A point in the history of a log, which is more than a position: copies of a log come to the
//! same positions by other ways.

use std::fmt;

use super::LogPosition;

/// What a record was, in 32 bits: its position, its rows and its payload, but not where on a disk
/// it stood. Records that differ have the same mark once in 2^32 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogMark(u32);

impl LogMark {
    /// Wraps a mark.
    pub const fn new(mark: u32) -> Self {
        Self(mark)
    }

    /// The bare mark.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A position and the record that ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The position.
    pub position: LogPosition,
    /// The mark of the record that ends there; `None` at the start of a log, behind a hole, and
    /// where nobody has written it down.
    pub mark: Option<LogMark>,
}

impl LogPlace {
    /// Whether both can be the same point of one history: the positions are equal, and so are the
    /// marks where both are known.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let marks_agree = match (self.mark, other.mark) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.position == other.position && marks_agree
    }
}

impl From<LogPosition> for LogPlace {
    /// A place of which only the position is known.
    fn from(position: LogPosition) -> Self {
        Self { position, mark: None }
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Some(mark) => write!(formatter, "{} (mark {:08x})", self.position, mark.0),
            None => self.position.fmt(formatter),
        }
    }
}
