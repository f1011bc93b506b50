//! The forms of a timestamp: RFC 3339, Python's `isoformat()`, and numbers.
//!
//! Owns one parser for what real senders emit. Guarantees a [`Timestamp`] within its range or a
//! reason; digits beyond the microsecond are cut off. Refuses to know the clock: whether a
//! timestamp is too far in the future is the report's business.
//!
//! ```text
//! date (T|t|space) HH:MM [:SS [.fraction]] [Z | z | ±HH[:MM[:SS]] | ±HHMM]
//! ```
//!
//! A fraction has 1 to 9 digits. Without a zone the time is local to the zone that the caller
//! names. A leap second, `:60`, is the first second of the next minute, as in PostgreSQL.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::model::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Why a value is no timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTimestamp {
    /// Not one of the forms.
    #[error("is not of the form 2024-01-01T12:00:00Z")]
    Form,
    /// A date without a time.
    #[error("is a date without a time; write 2024-01-01T00:00:00Z for its start")]
    DateOnly,
    /// A part is out of range, such as month 13 or February 30.
    #[error("has a {0} that does not exist")]
    Part(&'static str),
    /// The fraction is empty or finer than a nanosecond.
    #[error("has a fraction of {0} digits; write 1 to 9 or none")]
    Fraction(usize),
    /// Before 1970.
    #[error("lies before 1970-01-01T00:00:00Z")]
    BeforeEpoch,
    /// After the year 9999.
    #[error("lies after the year 9999")]
    AfterRange,
}

/// Reads a timestamp's text; `zone` applies when the text names none.
///
/// A local time that a zone's clocks show twice is the first of the two, and one that they skip
/// is read with the offset before the gap: as Python does with `fold=0`.
///
/// # Errors
/// [`InvalidTimestamp`] says what is wrong with the text.
pub fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, InvalidTimestamp> {
    let Some((head, rest)) = text.as_bytes().split_first_chunk::<16>() else {
        return Err(short_form(text));
    };
    let (date, time) = (civil_date(head)?, civil_minute(head)?);
    let (second, rest) = split_second(rest)?;
    let (micros, rest) = split_fraction(rest, second.is_some())?;
    let local_seconds = days_since_epoch(date) * 86_400
        + i64::from(time.hour) * 3_600
        + i64::from(time.minute) * 60
        + i64::from(second.unwrap_or(0));
    let offset_seconds = match rest {
        b"Z" | b"z" => 0,
        [] => local_offset(date, time, second.unwrap_or(0), zone)?,
        [b'+', offset @ ..] => zone_offset(offset)?,
        [b'-', offset @ ..] => -zone_offset(offset)?,
        _ => return Err(InvalidTimestamp::Form),
    };
    in_range((local_seconds - offset_seconds) * MICROS_PER_SECOND + i64::from(micros))
}

/// Reads an integer: Unix seconds below 10^11, milliseconds below 10^14, microseconds below
/// 10^17, else nanoseconds. So seconds reach to the year 5138 and milliseconds from 1973 on.
///
/// # Errors
/// [`InvalidTimestamp::BeforeEpoch`] when negative; [`InvalidTimestamp::AfterRange`] never
/// arises below `u64::MAX` nanoseconds, but is checked.
pub fn from_integer(number: i128) -> Result<Timestamp, InvalidTimestamp> {
    let micros = match number {
        ..0 => return Err(InvalidTimestamp::BeforeEpoch),
        0..100_000_000_000 => number * 1_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1_000,
    };
    in_range(i64::try_from(micros).map_err(|_| InvalidTimestamp::AfterRange)?)
}

/// Reads a number with a fraction, such as Python's `time.time()`: the unit goes by magnitude
/// as in [`from_integer`], and the result is rounded to the microsecond, because a binary
/// fraction lies a little to either side of the decimal one that was meant.
///
/// # Errors
/// As [`from_integer`].
pub fn from_float(number: f64) -> Result<Timestamp, InvalidTimestamp> {
    // The whole units and their fraction each fit a float; the microseconds of both together do not
    // from the year 2255 on.
    let scaled = |micros: i64| {
        number.trunc() as i64 * micros + (number.fract() * micros as f64).round() as i64
    };
    in_range(match number {
        ..0.0 => return Err(InvalidTimestamp::BeforeEpoch),
        ..1e11 => scaled(1_000_000),
        ..1e14 => scaled(1_000),
        // A cast from float saturates, so a number beyond the range stays beyond it.
        ..1e17 => number.round() as i64,
        _ => (number / 1e3).round() as i64,
    })
}

fn in_range(micros: i64) -> Result<Timestamp, InvalidTimestamp> {
    let too = if micros < 0 { InvalidTimestamp::BeforeEpoch } else { InvalidTimestamp::AfterRange };
    Timestamp::from_micros(micros).ok_or(too)
}

#[derive(Clone, Copy)]
struct CivilDate {
    year: u16,
    month: u8,
    day: u8,
}

#[derive(Clone, Copy)]
struct CivilMinute {
    hour: u8,
    minute: u8,
}

#[cold]
fn short_form(text: &str) -> InvalidTimestamp {
    let mut padded = *b"0000-00-00T00:00";
    match text.as_bytes().first_chunk::<10>() {
        Some(date) if text.len() == 10 => {
            padded[..10].copy_from_slice(date);
            civil_date(&padded).err().unwrap_or(InvalidTimestamp::DateOnly)
        }
        _ => InvalidTimestamp::Form,
    }
}

#[inline]
fn civil_date(text: &[u8; 16]) -> Result<CivilDate, InvalidTimestamp> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', ..] = text else {
        return Err(InvalidTimestamp::Form);
    };
    let (century, years) = (two_digits(y0, y1)?, two_digits(y2, y3)?);
    let year = u16::from(century) * 100 + u16::from(years);
    let (month, day) = (two_digits(m0, m1)?, two_digits(d0, d1)?);
    if !(1..=12).contains(&month) {
        return Err(InvalidTimestamp::Part("month"));
    }
    if day == 0 || day > days_in_month(year, month) {
        return Err(InvalidTimestamp::Part("day"));
    }
    Ok(CivilDate { year, month, day })
}

#[inline]
fn civil_minute(text: &[u8; 16]) -> Result<CivilMinute, InvalidTimestamp> {
    let &[.., h0, h1, b':', m0, m1] = text else {
        return Err(InvalidTimestamp::Form);
    };
    let (hour, minute) = (two_digits(h0, h1)?, two_digits(m0, m1)?);
    if hour > 23 {
        return Err(InvalidTimestamp::Part("hour"));
    }
    if minute > 59 {
        return Err(InvalidTimestamp::Part("minute"));
    }
    Ok(CivilMinute { hour, minute })
}

/// The second, if the text goes on with one, and what follows it.
#[inline]
fn split_second(text: &[u8]) -> Result<(Option<u8>, &[u8]), InvalidTimestamp> {
    match text {
        [b':', s0, s1, rest @ ..] => match two_digits(*s0, *s1)? {
            second @ 0..=60 => Ok((Some(second), rest)),
            _ => Err(InvalidTimestamp::Part("second")),
        },
        [b':', ..] => Err(InvalidTimestamp::Form),
        _ => Ok((None, text)),
    }
}

/// The microseconds of a fraction, if the text goes on with one, and what follows it.
#[inline]
fn split_fraction(text: &[u8], has_second: bool) -> Result<(u32, &[u8]), InvalidTimestamp> {
    let [b'.', rest @ ..] = text else {
        return Ok((0, text));
    };
    if !has_second {
        return Err(InvalidTimestamp::Form);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return Err(InvalidTimestamp::Fraction(digits));
    }
    let (fraction, rest) = rest.split_at(digits);
    let kept = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    Ok((kept.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0')), rest))
}

/// The seconds of `HH`, `HHMM`, `HH:MM` or `HH:MM:SS`, the forms of an offset after its sign.
fn zone_offset(text: &[u8]) -> Result<i64, InvalidTimestamp> {
    let (hours, minutes, seconds) = match *text {
        [h0, h1] => (two_digits(h0, h1)?, 0, 0),
        [h0, h1, m0, m1] | [h0, h1, b':', m0, m1] => (two_digits(h0, h1)?, two_digits(m0, m1)?, 0),
        [h0, h1, b':', m0, m1, b':', s0, s1] => {
            (two_digits(h0, h1)?, two_digits(m0, m1)?, two_digits(s0, s1)?)
        }
        _ => return Err(InvalidTimestamp::Form),
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return Err(InvalidTimestamp::Part("zone offset"));
    }
    Ok(i64::from(hours) * 3_600 + i64::from(minutes) * 60 + i64::from(seconds))
}

/// Seconds east of UTC that `zone` has at a local time.
fn local_offset(
    date: CivilDate,
    time: CivilMinute,
    second: u8,
    zone: &TimeZone,
) -> Result<i64, InvalidTimestamp> {
    if let Ok(offset) = zone.to_fixed_offset() {
        return Ok(i64::from(offset.seconds()));
    }
    // Transitions fall on whole seconds, so the fraction plays no part; nor does a leap second.
    let out_of_range = |_| InvalidTimestamp::AfterRange;
    let year = date.year.cast_signed();
    let date =
        Date::new(year, date.month.cast_signed(), date.day.cast_signed()).map_err(out_of_range)?;
    let (hour, minute) = (time.hour.cast_signed(), time.minute.cast_signed());
    let time = Time::new(hour, minute, second.min(59).cast_signed(), 0).map_err(out_of_range)?;
    let ambiguous = zone.to_ambiguous_timestamp(DateTime::from_parts(date, time));
    let offset = match ambiguous.offset() {
        jiff::tz::AmbiguousOffset::Unambiguous { offset } => offset,
        jiff::tz::AmbiguousOffset::Gap { before, .. } => before,
        jiff::tz::AmbiguousOffset::Fold { before, .. } => before,
    };
    Ok(i64::from(offset.seconds()))
}

/// Days from 1970-01-01; the algorithm `days_from_civil` of Howard Hinnant's paper
/// "chrono-Compatible Low-Level Date Algorithms".
#[inline]
fn days_since_epoch(date: CivilDate) -> i64 {
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[inline]
fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

#[inline]
fn two_digits(tens: u8, ones: u8) -> Result<u8, InvalidTimestamp> {
    if tens.is_ascii_digit() && ones.is_ascii_digit() {
        Ok((tens - b'0') * 10 + (ones - b'0'))
    } else {
        Err(InvalidTimestamp::Form)
    }
}

#[cfg(test)]
#[path = "timestamp_tests.rs"]
mod tests;
