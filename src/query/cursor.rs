//! Where a page ended, so that the next one goes on there.

use std::fmt;
use std::str::FromStr;

use crate::model::Timestamp;

/// The place of a sample in the order of all samples: (timestamp, metric_id).
///
/// Both parts belong to the sample for ever, so the place stays while others are written
/// before and after it. Clients are to take the text as opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When the sample was taken.
    pub(super) timestamp: Timestamp,
    /// `report_id * 64 + slot`.
    pub(super) metric_id: i64,
}

/// The text is not one that [`Cursor`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a next_cursor that this server gave; leave it out to start from the beginning")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.timestamp.micros(), self.metric_id)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<i64>().ok()).flatten().ok_or(InvalidCursor)
        };
        let (micros, metric_id) = text.split_once('-').ok_or(InvalidCursor)?;
        let timestamp = Timestamp::from_micros(number(micros)?).ok_or(InvalidCursor)?;
        Ok(Self { timestamp, metric_id: number(metric_id)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        for (micros, metric_id) in [(0, 0), (1_704_110_400_123_456, 4_928), (7, i64::MAX)] {
            let timestamp = Timestamp::from_micros(micros).unwrap();
            let cursor = Cursor { timestamp, metric_id };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-", "1", "1-", "-1", "1--1", "+1-1", "1-1-1", "1-x", "1 -1"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
        let beyond = format!("1-{}", u64::MAX);
        assert_eq!(beyond.parse::<Cursor>(), Err(InvalidCursor));
        let beyond = format!("{}-1", Timestamp::MAX.micros() + 1);
        assert_eq!(beyond.parse::<Cursor>(), Err(InvalidCursor));
    }
}
