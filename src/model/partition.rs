//! Which partition of `noetl.report` a timestamp belongs to.

use super::Timestamp;

/// How much time one partition covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PartitionInterval {
    /// One UTC day.
    Day,
    /// One UTC hour.
    Hour,
}

impl PartitionInterval {
    /// The interval's length in microseconds.
    pub const fn micros(self) -> i64 {
        match self {
            Self::Day => 86_400_000_000,
            Self::Hour => 3_600_000_000,
        }
    }

    /// The start of the partition that `timestamp` belongs to.
    pub fn start_of(self, timestamp: Timestamp) -> PartitionStart {
        PartitionStart(timestamp.micros() / self.micros() * self.micros())
    }

    /// The end, exclusive, of the partition that begins at `start`.
    pub fn end_of(self, start: PartitionStart) -> Timestamp {
        start.timestamp().offset_by(self.micros())
    }

    /// The start of the partition after the one that begins at `start`.
    pub fn next(self, start: PartitionStart) -> PartitionStart {
        PartitionStart(start.0 + self.micros())
    }
}

/// The inclusive lower bound of a partition, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionStart(i64);

impl PartitionStart {
    /// The bound as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_micros(self.0).unwrap_or(Timestamp::MAX)
    }

    /// The bound of an existing partition, which may come from another interval.
    pub fn from_timestamp(timestamp: Timestamp) -> Self {
        Self(timestamp.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_falls_into_its_interval() {
        let noon = Timestamp::from_micros(1_704_110_400_000_000).unwrap();
        let day = PartitionInterval::Day.start_of(noon);
        assert_eq!(day.timestamp().micros(), 1_704_067_200_000_000);
        assert_eq!(PartitionInterval::Day.end_of(day).micros(), 1_704_153_600_000_000);
        let hour = PartitionInterval::Hour.start_of(noon);
        assert_eq!(hour.timestamp(), noon, "12:00 starts its hour");
        assert_eq!(
            PartitionInterval::Hour.start_of(noon.offset_by(-1)).timestamp(),
            noon.offset_by(-3_600_000_000)
        );
    }
}
