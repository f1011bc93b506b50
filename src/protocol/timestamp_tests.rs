use proptest::prelude::*;

use super::*;

/// What `text` means in the local zone `zone`, written in UTC by jiff or as the reason.
fn read_in(zone: &str, text: &str) -> String {
    let zone = TimeZone::get(zone).unwrap();
    match parse(text, &zone) {
        Ok(timestamp) => jiff::Timestamp::from_microsecond(timestamp.micros()).unwrap().to_string(),
        Err(invalid) => format!("{invalid:?}"),
    }
}

#[test]
fn the_forms_of_a_text() {
    let check = |text: &str, expected: &str| assert_eq!(read_in("UTC", text), expected, "{text}");
    // RFC 3339.
    check("2024-01-01T12:00:00Z", "2024-01-01T12:00:00Z");
    check("2024-01-01t12:00:00z", "2024-01-01T12:00:00Z");
    check("2024-01-01 12:00:00Z", "2024-01-01T12:00:00Z");
    check("2024-01-01T12:00:00+05:30", "2024-01-01T06:30:00Z");
    check("2024-01-01T12:00:00-08:00", "2024-01-01T20:00:00Z");
    check("2024-01-01T12:00:00-00:00", "2024-01-01T12:00:00Z");
    // Python's isoformat(), with and without a zone, and str(datetime).
    check("2024-01-01T12:00:00", "2024-01-01T12:00:00Z");
    check("2024-01-01T12:00:00.123456", "2024-01-01T12:00:00.123456Z");
    check("2024-01-01 12:00:00.123456+00:00", "2024-01-01T12:00:00.123456Z");
    check("2024-01-01T12:00:00+05:30:15", "2024-01-01T06:29:45Z");
    check("2024-01-01T12:00", "2024-01-01T12:00:00Z");
    check("2024-01-01T12:00+01:00", "2024-01-01T11:00:00Z");
    // Offsets without a colon.
    check("2024-01-01T12:00:00+0530", "2024-01-01T06:30:00Z");
    check("2024-01-01T12:00:00-08", "2024-01-01T20:00:00Z");
    // Fractions are cut off at the microsecond, not rounded.
    check("2024-01-01T12:00:00.5Z", "2024-01-01T12:00:00.5Z");
    check("2024-01-01T12:00:00.1234569Z", "2024-01-01T12:00:00.123456Z");
    check("2024-01-01T12:00:00.999999999Z", "2024-01-01T12:00:00.999999Z");
    check("2024-01-01T12:00:00.1234567891Z", "Fraction(10)");
    check("2024-01-01T12:00:00.Z", "Fraction(0)");
    check("2024-01-01T12:00.5Z", "Form");
    // The calendar and its ends.
    check("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z");
    check("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z");
    check("2023-02-29T00:00:00Z", "Part(\"day\")");
    check("2100-02-29T00:00:00Z", "Part(\"day\")");
    check("2024-04-31T00:00:00Z", "Part(\"day\")");
    check("2024-01-00T00:00:00Z", "Part(\"day\")");
    check("2024-13-01T00:00:00Z", "Part(\"month\")");
    check("2024-00-01T00:00:00Z", "Part(\"month\")");
    check("2024-01-01T24:00:00Z", "Part(\"hour\")");
    check("2024-01-01T12:60:00Z", "Part(\"minute\")");
    check("2024-01-01T12:00:61Z", "Part(\"second\")");
    check("2024-01-01T12:00:00+24:00", "Part(\"zone offset\")");
    check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
    check("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z");
    check("1969-12-31T23:59:59.999999Z", "BeforeEpoch");
    check("1969-12-31T20:00:00-05:00", "1970-01-01T01:00:00Z");
    check("0000-01-01T00:00:00Z", "BeforeEpoch");
    check("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z");
    assert_eq!(parse("9999-12-31T23:59:59.9999999Z", &TimeZone::UTC), Ok(Timestamp::MAX));
    check("9999-12-31T23:59:59-01:00", "AfterRange");
    // What is not taken.
    check("2024-01-01", "DateOnly");
    check("2024-02-30", "Part(\"day\")");
    for text in [
        "",
        "now",
        "12:00:00",
        "20240101T120000Z",
        "2024-1-1T12:00:00Z",
        "2024-01-01T12:00:00 Z",
        "2024-01-01T12:00:00Zulu",
        "2024-01-01T12:00:0Z",
        "2024-01-01X12:00:00Z",
        "2024-01-01T12:00:00+5",
        "2024-01-01T12:00:00+05:3",
        "2024-01-01T12:00:00,5Z",
        "+2024-01-01T12:00:00Z",
        " 2024-01-01T12:00:00Z",
        "1704110400",
        "2024-01-01T1٢:00:00Z",
    ] {
        check(text, "Form");
    }
}

#[test]
fn a_local_time_is_read_as_python_reads_it() {
    let check = |zone, text: &str, expected: &str| assert_eq!(read_in(zone, text), expected);
    check("America/New_York", "2024-01-01T12:00:00", "2024-01-01T17:00:00Z");
    check("America/New_York", "2024-07-01T12:00:00.5", "2024-07-01T16:00:00.5Z");
    // Each expectation is datetime(...).timestamp() with fold=0 under TZ=America/New_York.
    check("America/New_York", "2024-03-10T02:30:00", "2024-03-10T07:30:00Z");
    check("America/New_York", "2024-11-03T01:30:00", "2024-11-03T05:30:00Z");
    check("Asia/Kolkata", "2024-01-01T12:00:00", "2024-01-01T06:30:00Z");
    check("America/New_York", "2024-01-01T12:00:00Z", "2024-01-01T12:00:00Z");
    check("America/New_York", "9999-12-31T23:59:59", "AfterRange");
    check("Asia/Kolkata", "1970-01-01T00:00:00", "BeforeEpoch");
}

#[test]
fn the_unit_of_a_number_goes_by_its_magnitude() {
    let check = |number: i128, expected: Result<i64, InvalidTimestamp>| {
        assert_eq!(from_integer(number).map(Timestamp::micros), expected, "{number}");
    };
    let noon = Ok(1_704_110_400_000_000);
    check(1_704_110_400, noon);
    check(1_704_110_400_000, noon);
    check(1_704_110_400_000_000, noon);
    check(1_704_110_400_000_000_000, noon);
    check(1_704_110_400_000_000_999, noon);
    check(0, Ok(0));
    check(99_999_999_999, Ok(99_999_999_999_000_000));
    check(100_000_000_000, Ok(100_000_000_000_000));
    check(-1, Err(InvalidTimestamp::BeforeEpoch));
    check(u64::MAX.into(), Ok(18_446_744_073_709_551));
    check(i128::MAX, Err(InvalidTimestamp::AfterRange));

    let check = |number: f64, expected: Result<i64, InvalidTimestamp>| {
        assert_eq!(from_float(number).map(Timestamp::micros), expected, "{number}");
    };
    check(1_704_110_400.0, noon);
    check(1_704_110_400.123_456, Ok(1_704_110_400_123_456));
    check(1_704_110_400_123.456, Ok(1_704_110_400_123_456));
    check(1_704_110_400_123_456.0, Ok(1_704_110_400_123_456));
    check(1.704_110_4e18, noon);
    // Whole microseconds, though a float has no room for all of their digits in one.
    check(97_041_104_002_789.0, Ok(97_041_104_002_789_000));
    check(9_704_110_400.000_002, Ok(9_704_110_400_000_002));
    check(-0.0, Ok(0));
    check(-0.5, Err(InvalidTimestamp::BeforeEpoch));
    check(1e300, Err(InvalidTimestamp::AfterRange));
}

proptest! {
    #[test]
    fn any_moment_is_read_as_jiff_writes_it(
        micros in 0..=jiff::Timestamp::MAX.as_microsecond(),
        offset_minutes in -23 * 60..=23 * 60_i32,
    ) {
        let moment = jiff::Timestamp::from_microsecond(micros).unwrap();
        let utc = parse(&moment.to_string(), &TimeZone::UTC);
        prop_assert_eq!(utc.map(Timestamp::micros), Ok(micros));
        let offset = jiff::tz::Offset::from_seconds(offset_minutes * 60).unwrap();
        let shown = moment.display_with_offset(offset).to_string();
        // Near both ends the local year does not have four digits.
        if shown.starts_with(|first: char| first.is_ascii_digit()) {
            let shifted = parse(&shown, &TimeZone::UTC);
            prop_assert_eq!(shifted.map(Timestamp::micros), Ok(micros), "{}", shown);
        }
    }

    #[test]
    fn any_local_time_is_read_as_jiff_reads_it(seconds in 86_400..4_000_000_000_i64) {
        for name in ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"] {
            let zone = TimeZone::get(name).unwrap();
            let local = jiff::tz::Offset::UTC
                .to_datetime(jiff::Timestamp::from_second(seconds).unwrap());
            let expected = zone.to_ambiguous_timestamp(local).compatible().unwrap();
            let read = parse(&local.to_string(), &zone);
            prop_assert_eq!(read.map(Timestamp::micros), Ok(expected.as_microsecond()), "{}", name);
        }
    }

    #[test]
    fn no_text_panics(text in "[-0-9T:Z+. ]{0,40}|.{0,40}") {
        if let Ok(timestamp) = parse(&text, &TimeZone::UTC) {
            prop_assert!(timestamp <= Timestamp::MAX);
        }
    }
}
