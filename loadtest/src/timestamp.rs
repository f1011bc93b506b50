//! Fixed-width timestamps, written in place: the client formats one per report and copies it
//! into every metric.

/// Bytes of `2024-01-01T12:00:00.123456Z`.
pub(crate) const ISO_WIDTH: usize = 27;

/// Bytes of Unix milliseconds between 2001 and 2286.
pub(crate) const MILLIS_WIDTH: usize = 13;

/// Bytes of Unix milliseconds between 1971 and 2109 as a varint.
pub(crate) const VARINT_WIDTH: usize = 6;

/// Writes Unix milliseconds as Protocol Buffers have an `int64`: seven bits a byte, the lowest
/// first, all bytes but the last with their highest bit set.
pub(crate) fn write_varint(out: &mut [u8; VARINT_WIDTH], unix_ms: u64) {
    for (nth, byte) in out.iter_mut().enumerate() {
        *byte = (unix_ms >> (7 * nth)) as u8 | 0x80;
    }
    out[VARINT_WIDTH - 1] &= 0x7f;
}

/// Writes Unix milliseconds as RFC 3339 in UTC with microseconds, as Python's `isoformat()` has
/// them. The year must have four digits.
pub(crate) fn write_iso(out: &mut [u8; ISO_WIDTH], unix_ms: u64) {
    let (days, ms_of_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    out.copy_from_slice(b"0000-00-00T00:00:00.000000Z");
    write_digits(&mut out[0..4], year);
    write_digits(&mut out[5..7], month);
    write_digits(&mut out[8..10], day);
    write_digits(&mut out[11..13], ms_of_day / 3_600_000);
    write_digits(&mut out[14..16], ms_of_day / 60_000 % 60);
    write_digits(&mut out[17..19], ms_of_day / 1_000 % 60);
    write_digits(&mut out[20..23], ms_of_day % 1_000);
}

/// Writes the last `out.len()` decimal digits of `number`, with leading zeros.
pub(crate) fn write_digits(out: &mut [u8], mut number: u64) {
    // Two digits per division: the divisions depend on each other and are what takes time.
    for pair in out.rchunks_mut(2) {
        let two = (number % 100) as u8;
        number /= 100;
        let last = pair.len() - 1;
        pair[last] = b'0' + two % 10;
        if last == 1 {
            pair[0] = b'0' + two / 10;
        }
    }
}

/// Year, month and day of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>) for days that are not negative.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_timestamps() {
        let check = |unix_ms: u64, expected: &str| {
            let mut out = [0; ISO_WIDTH];
            write_iso(&mut out, unix_ms);
            assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        };
        check(0, "1970-01-01T00:00:00.000000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000000Z");
        check(1_704_110_400_123, "2024-01-01T12:00:00.123000Z");
        check(1_709_251_199_999, "2024-02-29T23:59:59.999000Z");
        check(1_709_251_200_000, "2024-03-01T00:00:00.000000Z");
        check(4_102_444_799_001, "2099-12-31T23:59:59.001000Z");
    }

    #[test]
    fn varints() {
        let check = |unix_ms: u64| {
            let mut out = [0; VARINT_WIDTH];
            write_varint(&mut out, unix_ms);
            let read: u64 =
                (0..).zip(out).map(|(nth, byte)| u64::from(byte & 0x7f) << (7 * nth)).sum();
            assert_eq!(unix_ms, read);
            assert!(out[..5].iter().all(|byte| byte & 0x80 != 0) && out[5] < 0x80);
        };
        check(1_704_110_400_123);
        check(1 << 35);
        check((1 << 42) - 1);
    }

    #[test]
    fn digits_are_padded_and_cut_to_width() {
        let mut out = *b"xxxx";
        write_digits(&mut out, 42);
        assert_eq!(&out, b"0042");
        write_digits(&mut out, 123_456);
        assert_eq!(&out, b"3456");
        let mut odd = *b"xxxxx";
        write_digits(&mut odd, 907_654_321);
        assert_eq!(&odd, b"54321");
    }
}
