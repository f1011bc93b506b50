//! A wall of query strings, good and bad.

use super::*;

/// 2024-01-01T12:00:00Z and `micros` later.
fn noon(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_704_110_400_000_000 + micros).unwrap()
}

fn parse(query: &str) -> Result<Filter, InvalidFilter> {
    Filter::parse(query, &TimeZone::UTC)
}

/// What `query` means differs from the default by `change` alone.
fn check(query: &str, change: impl FnOnce(&mut Filter)) {
    let mut expected = parse("").unwrap();
    change(&mut expected);
    assert_eq!(parse(query), Ok(expected), "{query}");
}

#[test]
fn without_parameters_everything_is_asked_for_newest_first() {
    let filter = parse("").unwrap();
    assert_eq!(filter.range(), TimeRange { from: Timestamp::MIN, to: Timestamp::MAX });
    assert_eq!((filter.order, filter.limit()), (Order::NewestFirst, 1_000));
    assert_eq!(filter.consistency(), Consistency::Acknowledged);
    let empty: String = NAMES.map(|name| format!("{name}=&")).concat();
    check(&empty, |_| {});
}

#[test]
fn each_parameter_is_read() {
    check("runtime_id=123", |f| f.runtime_id = Some(RuntimeId::from_raw(123)));
    check("metric_type=counter", |f| f.metric_type = Some(MetricType::Counter));
    check("order=asc", |f| f.order = Order::OldestFirst);
    check("order=desc", |_| {});
    check("limit=1", |f| f.limit = Some(1));
    check("limit=10000", |f| f.limit = Some(10_000));
    check("consistency=eventual", |f| f.consistency = Consistency::Eventual);
    check("consistency=acknowledged", |_| {});
    let cursor = Cursor { timestamp: noon(5), metric_id: 77 };
    check("cursor=1704110400000005-77", |f| f.cursor = Some(cursor));
}

#[test]
fn names_are_exact_or_patterns() {
    let check_name = |value: &str, expected: Pattern| {
        check(&format!("metric_name={value}"), |f| f.metric_name = Some(expected.clone()));
        check(&format!("component_name={value}"), |f| f.component_name = Some(expected.clone()));
    };
    let exact = |text: &str| Pattern::Exact(text.to_owned());
    let like = |text: &str| Pattern::Like(text.to_owned());
    check_name("noetl_cpu", exact("noetl_cpu"));
    check_name("100%25", exact("100%"));
    check_name("a%20b+c", exact("a b c"));
    check_name("*", like("%"));
    check_name("%2A", like("%"));
    check_name("noetl_*", like(r"noetl\_%"));
    check_name("*a*%25%5C", like(r"%a%\%\\"));
}

#[test]
fn labels_are_an_object_of_strings() {
    let check_labels = |json: &str, expected: Option<&str>| {
        check(&format!("labels={json}"), |f| f.labels = expected.map(str::to_owned));
    };
    check_labels("{}", None);
    check_labels("%7B%22b%22:%22x%22,%22a%22:%22%C3%BC%22%7D", Some(r#"{"a":"ü","b":"x"}"#));
    check_labels(r#"{"a":1,"b":true,"c":2.5}"#, Some(r#"{"a":"1","b":"true","c":"2.5"}"#));
    check_labels(r#"{"a":""}"#, Some(r#"{"a":""}"#));
}

#[test]
fn times_take_every_form_of_a_report() {
    let check_time = |value: &str, expected: Timestamp| {
        check(&format!("start_time={value}"), |f| f.start = Some(expected));
        check(&format!("end_time={value}"), |f| f.end = Some(expected));
    };
    check_time("2024-01-01T12:00:00Z", noon(0));
    check_time("2024-01-01T12:00:00.123456789Z", noon(123_456));
    check_time("2024-01-01+12:00:00", noon(0));
    check_time("2024-01-01T14:00:00%2B02:00", noon(0));
    check_time("2024-01-01T14:00:00+02:00", noon(0));
    check_time("2024-01-01T14:00+0200", noon(0));
    check_time("2024-01-01T10:00:00-02:00", noon(0));
    check_time("1704110400", noon(0));
    check_time("1704110400000", noon(0));
    check_time("1704110400000001", noon(1));
    check_time("1704110400000001000", noon(1));
    check_time("1704110400.25", noon(250_000));
    check_time("1.7041104e9", noon(0));
    check_time("1.70411040025e%2B9", noon(250_000));
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let filter = Filter::parse("start_time=2024-01-01T13:00:00", &berlin).unwrap();
    assert_eq!(filter.start, Some(noon(0)));
}

#[test]
fn both_ends_of_the_time_are_included_and_the_cursor_narrows_it() {
    let check = |query: &str, from: Timestamp, to: Timestamp| {
        assert_eq!(parse(query).unwrap().range(), TimeRange { from, to }, "{query}");
    };
    let both = "start_time=1704110400&end_time=1704110401";
    check(both, noon(0), noon(1_000_001));
    check("start_time=1704110400&end_time=1704110400", noon(0), noon(1));
    check(&format!("{both}&cursor=1704110400000005-9"), noon(0), noon(6));
    check(&format!("{both}&cursor=1704110400000005-9&order=asc"), noon(5), noon(1_000_001));
    check(&format!("{both}&cursor=1904110400000005-9"), noon(0), noon(1_000_001));
}

#[test]
fn an_error_names_the_parameter_and_what_to_write() {
    let check = |query: &str, expected: &str| {
        let error = parse(query).unwrap_err();
        assert_eq!(error.code(), "invalid_parameter");
        let message = error.to_string();
        assert!(message.starts_with("parameter ") && message.contains(expected), "{message}");
    };
    check("metric=cpu", r#""metric" is unknown; known are runtime_id, component_name"#);
    check("metric_name%20=cpu", "is unknown");
    check("limit=1&limit=1", "limit is given twice");
    check("runtime_id=x", "runtime_id is not an integer");
    check("runtime_id=9223372036854775808", "runtime_id is not an integer");
    check("metric_type=Gauge", "metric_type is none of counter, gauge");
    for limit in ["0", "10001", "-1", "1.5", "x", "99999999999999999999"] {
        check(&format!("limit={limit}"), "limit is not a whole number from 1 to 10000");
    }
    check("order=newest", "order is neither desc");
    check("cursor=abc", "cursor is not a next_cursor");
    check("consistency=strong", "consistency is neither acknowledged nor eventual");
    for labels in ["[]", "x", "{\"a\"", "\"a\"", "{\"a\":\"b\"}x"] {
        check(&format!("labels={labels}"), "labels is not a JSON object");
    }
    for labels in [r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"a":["b"]}"#] {
        check(&format!("labels={labels}"), r#"labels has a value that is no string for "a""#);
    }
    check(r#"labels={"a":"\u0000"}"#, "labels must not contain the character U+0000");
    check("component_name=a%00", "component_name must not contain the character U+0000");
    check("metric_name=%", "metric_name is not percent-encoded UTF-8");
    check("metric_name=%FF", "metric_name is not percent-encoded UTF-8");
    check("start_time=yesterday", "start_time is not of the form 2024-01-01T12:00:00Z");
    check("end_time=2024-01-01", "end_time is a date without a time");
    check("end_time=2024-13-01T00:00:00Z", "end_time has a month that does not exist");
    check("start_time=-5", "start_time lies before 1970");
    check("start_time=NaN", "start_time is not of the form");
    check("start_time=1e300", "start_time lies after the year 9999");
    check("start_time=e", "start_time is not of the form");
    check("start_time=1704110401&end_time=1704110400", "start_time lies after end_time");
}
