//! Timestamps against a model that is written by the words of `docs/api.md` and leaves the calendar
//! to jiff.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, ToSpan};
use noetl_metrics::protocol::timestamp;

const MICROS_MAX: i128 = 253_402_300_799_999_999;

/// The bytes as a text in two zones, and as a number.
pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // An offset that changes, without need of a database of zones.
    let summer_time = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a rule");
    for zone in [TimeZone::UTC, summer_time] {
        let read = timestamp::parse(text, &zone).ok().map(|read| i128::from(read.micros()));
        assert_eq!(read, model(text, &zone), "{text:?} in {zone:?}");
    }
    if let Ok(number) = text.parse::<i64>() {
        let integer = timestamp::from_integer(number.into());
        let exact = number.unsigned_abs() < 1 << 53;
        if exact && number < 100_000_000_000_000_000 {
            assert_eq!(timestamp::from_float(number as f64), integer, "{number}");
        }
    }
    if let Ok(number) = text.parse::<f64>()
        && number.is_finite()
        && let Ok(read) = timestamp::from_float(number)
    {
        assert!((0..=MICROS_MAX).contains(&i128::from(read.micros())), "{number}");
    }
}

/// Microseconds since 1970; `None` when the text is no timestamp.
fn model(text: &str, zone: &TimeZone) -> Option<i128> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    skip(&mut rest, "-")?;
    let month = digits(&mut rest, 2)?;
    skip(&mut rest, "-")?;
    let day = digits(&mut rest, 2)?;
    rest = rest.strip_prefix(['T', 't', ' '])?;
    let hour = digits(&mut rest, 2)?;
    skip(&mut rest, ":")?;
    let minute = digits(&mut rest, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if rest.starts_with(':') {
        skip(&mut rest, ":")?;
        second = digits(&mut rest, 2)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let count = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&count) {
                return None;
            }
            rest = &fraction[count..];
            nanos = format!("{:0<9}", &fraction[..count]).parse().ok()?;
        }
    }
    let leap = second == 60;
    let time = Time::new(
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        if leap { 59 } else { second.try_into().ok()? },
        nanos,
    )
    .ok()?;
    let date =
        Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()?;
    let local = DateTime::from_parts(date, time);
    let seconds_east = match zone_of(rest)? {
        Zone::Named(seconds_east) => seconds_east,
        Zone::None => {
            // The first of two times that the clocks show, and the offset before a gap. jiff's time
            // line ends a day early, and no clock is set there.
            let near = if local > DateTime::constant(9999, 12, 29, 0, 0, 0, 0) {
                local.checked_sub(2.days()).ok()?
            } else {
                local
            };
            zone.to_ambiguous_timestamp(near).compatible().ok().map_or_else(
                || zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds(),
                |at| (near.duration_since(Offset::UTC.to_datetime(at))).as_secs() as i32,
            )
        }
    };
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let since = local.duration_since(epoch) + SignedDuration::from_secs(i64::from(leap));
    let micros = since.as_nanos().div_euclid(1000) - i128::from(seconds_east) * 1_000_000;
    (0..=MICROS_MAX).contains(&micros).then_some(micros)
}

enum Zone {
    Named(i32),
    None,
}

fn zone_of(text: &str) -> Option<Zone> {
    let (sign, mut rest) = match text {
        "" => return Some(Zone::None),
        "Z" | "z" => return Some(Zone::Named(0)),
        _ => (if text.starts_with('+') { 1 } else { -1 }, text.strip_prefix(['+', '-'])?),
    };
    let hour = digits(&mut rest, 2)?;
    let colon = rest.starts_with(':');
    let (mut minute, mut second) = (0, 0);
    if colon {
        skip(&mut rest, ":")?;
        minute = digits(&mut rest, 2)?;
        if !rest.is_empty() {
            skip(&mut rest, ":")?;
            second = digits(&mut rest, 2)?;
        }
    } else if !rest.is_empty() {
        minute = digits(&mut rest, 2)?;
    }
    let exists = rest.is_empty() && hour < 24 && minute < 60 && second < 60;
    exists.then_some(Zone::Named(sign * (hour * 3600 + minute * 60 + second)))
}

fn digits(rest: &mut &str, count: usize) -> Option<i32> {
    let (digits, after) = rest.split_at_checked(count)?;
    *rest = after;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn skip(rest: &mut &str, expected: &str) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}
