use super::*;

#[test]
fn durations() {
    let check = |text: &str, want: Option<u64>| {
        let got = DURATION.read(text).ok().map(|duration| duration.as_millis());
        assert_eq!(got, want.map(u128::from), "{text:?}");
    };
    check("250ms", Some(250));
    check("1ms", Some(1));
    check("15s", Some(15_000));
    check("15 s", Some(15_000));
    check("15", Some(15_000));
    check("2.5", Some(2_500));
    check("1.5m", Some(90_000));
    check("1h", Some(3_600_000));
    check("7d", Some(604_800_000));
    for wrong in ["", "s", ".", "-1s", "1e3s", "inf", "NaN", "1h30m", "1 week", "1.2.3s"] {
        check(wrong, None);
    }
    check("99999999999999999999999999d", None);
}

#[test]
fn retentions() {
    let check = |text: &str, want: Result<Option<u64>, ()>| {
        let got = RETENTION.read(text).map(|kept| kept.map(|long| long.as_secs()));
        assert_eq!(got.map_err(drop), want, "{text:?}");
    };
    check("30d", Ok(Some(30 * 86_400)));
    check("1h", Ok(Some(3_600)));
    check("36500d", Ok(Some(36_500 * 86_400)));
    check("off", Ok(None));
    check("0", Ok(None));
    for wrong in ["", "59m", "30", "36501d", "never", "-1d", "0d"] {
        check(wrong, Err(()));
    }
}

#[test]
fn byte_sizes() {
    let check = |text: &str, want: Option<u64>| {
        assert_eq!(bytes::<u64>().read(text).ok(), want, "{text:?}");
    };
    check("0", Some(0));
    check("16777216", Some(16 << 20));
    check("16MiB", Some(16 << 20));
    check("16 mib", Some(16 << 20));
    check("500MB", Some(500_000_000));
    check("8GiB", Some(8 << 30));
    check("1TiB", Some(1 << 40));
    for wrong in ["", "MiB", "16M", "1.5GiB", "-1", "99999999999TiB", "16MiB!"] {
        check(wrong, None);
    }
    assert!(bytes::<u16>().read("64KiB").is_err(), "65536 does not fit 16 bits");
}

#[test]
fn counts_and_their_bounds() {
    let check = |text: &str, want: Result<u32, &str>| {
        let got = count::<u32>().between("1", "2_000").read(text);
        assert_eq!(got, want.map_err(str::to_owned), "{text:?}");
    };
    check("1", Ok(1));
    check("2_000", Ok(2_000));
    check("0", Err("is outside 1 to 2_000"));
    check("2001", Err("is outside 1 to 2_000"));
    for wrong in ["", "_", "many", "-1", "+1", "1.0"] {
        check(wrong, Err("is not a whole number; write it like 64 or 2_000_000"));
    }
}

#[test]
fn words() {
    assert_eq!(SWITCH.read("TRUE"), Ok(true));
    assert_eq!(SWITCH.read("off"), Ok(false));
    assert!(SWITCH.read("maybe").is_err());
    assert_eq!(TIME_ZONE.read("system"), Ok(None));
    assert_eq!(TIME_ZONE.read("UTC").unwrap().unwrap().iana_name(), Some("UTC"));
    assert!(TIME_ZONE.read("Europe/Berlin").is_ok(), "the zones are bundled");
    assert!(TIME_ZONE.read("Mars/Olympus").is_err());
    assert!(LOG_LEVEL.read("warn,noetl_metrics::log=trace").is_ok());
    assert!(LOG_LEVEL.read("noetl_metrics=loud").is_err());
    assert_eq!(THREADS_OR_AUTO.read("auto"), Ok(None));
    assert_eq!(THREADS_OR_AUTO.read("3"), Ok(Some(3)));
    assert!(THREADS_OR_AUTO.read("0").is_err());
    assert!(ADDRESS.read("localhost:8082").is_err(), "a name could mean several addresses");
    assert!(DIRECTORY.read("").is_err());
}
