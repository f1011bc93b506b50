//! Points in time, to the microsecond, as PostgreSQL keeps them.

/// Microseconds since 1970-01-01T00:00:00Z, from then to the end of the year 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// `None` outside [`Timestamp::MIN`] to [`Timestamp::MAX`].
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Self(micros)) }
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, which fit 32 bits until 2106 and stand still then.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }

    /// This point `micros` later (earlier when negative), kept within range.
    #[must_use]
    pub fn offset_by(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_checked_and_offsets_stay_in_it() {
        assert_eq!(Timestamp::from_micros(-1), None);
        assert_eq!(Timestamp::from_micros(Timestamp::MAX.micros() + 1), None);
        assert_eq!(Timestamp::MAX.offset_by(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.offset_by(-5), Timestamp::MIN);
    }
}
