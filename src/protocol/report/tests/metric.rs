//! One metric: what is taken, and what is rejected with which words.

use super::*;

/// Decodes a report of one metric with these members.
fn one(members: &str) -> Outcome {
    decode(format!(r#"{{"component_name":"w","metrics":[{{{members}}}]}}"#)).unwrap()
}

/// A metric that is good with these members added.
fn good(members: &str) -> String {
    format!(r#""metric_name":"m","metric_type":"gauge","metric_value":1{members}"#)
}

#[track_caller]
fn taken(members: &str) -> Metric {
    let outcome = one(members);
    assert_eq!(outcome.rejects, [], "{members}");
    outcome.metrics[0].clone()
}

#[track_caller]
fn rejected(members: &str, kind: RejectKind, reason: &str) {
    let outcome = one(members);
    assert_eq!(outcome.metrics, [], "{members}");
    assert_eq!(
        outcome.rejects,
        [Reject { index: 0, kind, reason: reason.to_owned() }],
        "{members}"
    );
}

#[test]
fn the_example_of_the_contract() {
    let outcome = decode(
        r#"{
          "component_name": "worker-cpu-01",
          "component_type": "worker_pool",
          "metrics": [
            {"metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
             "metric_value": 45.2, "timestamp": "2024-01-01T12:00:00Z",
             "labels": {"hostname": "node-1", "component": "worker-cpu-01"},
             "help_text": "CPU usage percentage", "unit": "percent"}
          ]
        }"#,
    )
    .unwrap();
    let labels = [("component", "worker-cpu-01"), ("hostname", "node-1")];
    assert_eq!(
        outcome.metrics,
        [Metric {
            name: "noetl_system_cpu_usage_percent".to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec(),
            metric_type: "gauge",
            help: Some("CPU usage percentage".to_owned()),
            unit: Some("percent".to_owned()),
            value: 45.2,
            micros: 1_704_110_400_000_000,
            index: 0,
        }]
    );
}

#[test]
fn optional_fields_may_be_missing_or_null() {
    for members in ["", r#","labels":null,"help_text":null,"unit":null,"timestamp":null"#] {
        let metric = taken(&good(members));
        assert_eq!((metric.labels.len(), metric.help, metric.unit), (0, None, None));
        assert_eq!(metric.micros, NOW.micros(), "missing means now");
    }
    let metric = taken(&good(r#","labels":{},"help_text":"","unit":"","unknown":[{}]"#));
    assert_eq!((metric.labels.len(), metric.help, metric.unit), (0, None, None));
}

#[test]
fn one_bad_metric_does_not_sink_the_others() {
    let good = format!("{{{}}}", good(""));
    let body = format!(r#"{{"component_name":"w","metrics":[{good},{{}},{good},null,[{good}]]}}"#);
    let outcome = decode(body).unwrap();
    let indexes: Vec<_> = outcome.metrics.iter().map(|metric| metric.index).collect();
    assert_eq!(indexes, [0, 2]);
    let kinds = [(1, RejectKind::Name), (3, RejectKind::Malformed), (4, RejectKind::Malformed)];
    assert_eq!(outcome.kinds(), kinds);
    assert_eq!(outcome.rejects[1].reason, "the metric is null; send an object");
    assert_eq!(outcome.rejects[2].reason, "the metric is an array; send an object");
}

#[test]
fn names() {
    let check = |name: &str, reason: &str| {
        let members = format!(r#""metric_type":"gauge","metric_value":1{name}"#);
        rejected(&members, RejectKind::Name, reason);
    };
    check("", "metric_name is missing");
    check(r#","metric_name":null"#, "metric_name is missing");
    check(r#","metric_name":5"#, "metric_name is a number; send a string");
    check(r#","metric_name":"""#, "metric_name is empty");
    check(
        r#","metric_name":"a\u0000""#,
        "metric_name contains the character U+0000, which the database cannot hold",
    );
    let long = format!(r#","metric_name":"{}""#, "n".repeat(256));
    check(&long, "metric_name is 256 bytes long; the limit is 255");
    let longest = "n".repeat(255);
    let members = format!(r#""metric_name":"{longest}","metric_type":"gauge","metric_value":1"#);
    assert_eq!(taken(&members).name, longest);
}

#[test]
fn types() {
    for metric_type in ["counter", "gauge", "histogram", "summary"] {
        let members =
            format!(r#""metric_name":"m","metric_type":"{metric_type}","metric_value":1"#);
        assert_eq!(taken(&members).metric_type, metric_type);
    }
    let check = |metric_type: &str, reason: &str| {
        let members = format!(r#""metric_name":"m","metric_value":1{metric_type}"#);
        rejected(&members, RejectKind::Type, reason);
    };
    check("", "metric_type is missing");
    check(r#","metric_type":null"#, "metric_type is missing");
    check(
        r#","metric_type":1"#,
        "metric_type is a number; send counter, gauge, histogram or summary",
    );
    check(
        r#","metric_type":"Gauge""#,
        "metric_type 'Gauge' is none of counter, gauge, histogram, summary",
    );
    let long = format!(r#","metric_type":"{}""#, "x".repeat(5_000));
    let quoted = "x".repeat(60);
    check(&long, &format!("metric_type '{quoted}…' is none of counter, gauge, histogram, summary"));
}

#[test]
fn values() {
    let check = |value: &str, expected: f64| {
        let members = format!(r#""metric_name":"m","metric_type":"gauge","metric_value":{value}"#);
        assert_eq!(taken(&members).value.to_bits(), expected.to_bits(), "{value}");
    };
    check("0", 0.0);
    check("45.2", 45.2);
    check("-1", -1.0);
    check("-0.0", -0.0);
    check("1e308", 1e308);
    check("5e-324", 5e-324);
    check("1e-400", 0.0);
    check("9007199254740993", 9_007_199_254_740_992.0);
    check("18446744073709551615", 18_446_744_073_709_551_615.0);
    check("18446744073709551616", 18_446_744_073_709_551_616.0);
    check("-9223372036854775809", -9_223_372_036_854_775_809.0);
    check("123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0);
    check("null", f64::NAN);
    check(r#""NaN""#, f64::NAN);
    check(r#""+Inf""#, f64::INFINITY);
    check(r#""Inf""#, f64::INFINITY);
    check(r#""Infinity""#, f64::INFINITY);
    check(r#""-Inf""#, f64::NEG_INFINITY);
    check(r#""-Infinity""#, f64::NEG_INFINITY);

    let check = |value: &str, reason: &str| {
        let members = format!(r#""metric_name":"m","metric_type":"gauge"{value}"#);
        rejected(&members, RejectKind::Value, reason);
    };
    check("", "metric_value is missing");
    check(r#","metric_value":true"#, "metric_value is a boolean; send a number");
    check(r#","metric_value":[1]"#, "metric_value is an array; send a number");
    check(r#","metric_value":{}"#, "metric_value is an object; send a number");
    check(
        r#","metric_value":"45.2""#,
        r#"metric_value '45.2' is not a number, "NaN", "+Inf" or "-Inf""#,
    );
    check(
        r#","metric_value":"nan""#,
        r#"metric_value 'nan' is not a number, "NaN", "+Inf" or "-Inf""#,
    );
}

#[test]
fn labels_are_sorted_text() {
    let check = |labels: &str, expected: &[(&str, &str)]| {
        let metric = taken(&good(&format!(r#","labels":{labels}"#)));
        let expected: Vec<_> =
            expected.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(metric.labels, expected, "{labels}");
    };
    check(r#"{"a":"1","b":"2"}"#, &[("a", "1"), ("b", "2")]);
    check(r#"{"b":"2","a":"1"}"#, &[("a", "1"), ("b", "2")]);
    check(
        r#"{"b":"","aa":"\u00fc\ud83d\ude00","B":"\n"}"#,
        &[("B", "\n"), ("aa", "ü😀"), ("b", "")],
    );
    check(r#"{"i":1,"n":-5,"z":0}"#, &[("i", "1"), ("n", "-5"), ("z", "0")]);
    check(r#"{"big":18446744073709551615}"#, &[("big", "18446744073709551615")]);
    check(r#"{"f":1.5,"g":1.0,"h":0.1}"#, &[("f", "1.5"), ("g", "1.0"), ("h", "0.1")]);
    check(
        r#"{"t":true,"s":"x","n":7,"f":false}"#,
        &[("f", "false"), ("n", "7"), ("s", "x"), ("t", "true")],
    );
    check(r#"{"b":2,"s":"\n","a":1.25}"#, &[("a", "1.25"), ("b", "2"), ("s", "\n")]);
}

#[test]
fn labels_that_are_none() {
    let check = |labels: &str, reason: &str| {
        rejected(&good(&format!(r#","labels":{labels}"#)), RejectKind::Labels, reason);
    };
    check("[]", "labels is an array; send an object of strings");
    check(r#""a=b""#, "labels is a string; send an object of strings");
    check("false", "labels is a boolean; send an object of strings");
    check(r#"{"":"x"}"#, "labels has an empty name in it");
    check(r#"{"a":null}"#, "the label 'a' is null; send a string, a number or a boolean");
    check(r#"{"a":["x"]}"#, "the label 'a' is an array; send a string, a number or a boolean");
    check(r#"{"a":{"b":1}}"#, "the label 'a' is an object; send a string, a number or a boolean");
    check(r#"{"a":"1","a":"1"}"#, "the label 'a' stands twice; send it once");
    check(r#"{"b":1,"a":"1","c":2,"b":3}"#, "the label 'b' stands twice; send it once");
    let nul = "contains the character U+0000, which the database cannot hold";
    check(r#"{"a":"\u0000"}"#, &format!("the label 'a' {nul}"));
    check(r#"{"a\u0000":"x"}"#, &format!("the label 'a\\0' {nul}"));
    let (n, q) = ("n".repeat(256), "n".repeat(60));
    check(
        &format!(r#"{{"{n}":"x"}}"#),
        &format!("the label '{q}…' has a name of 256 bytes; the limit is 255"),
    );
    check(
        &format!(r#"{{"a":"{}"}}"#, "v".repeat(2_049)),
        "the label 'a' has a value of 2049 bytes; the limit is 2048",
    );
    let labels = |count: usize| {
        let labels: Vec<_> = (0..count).map(|n| format!(r#""l{n}":"v""#)).collect();
        format!("{{{}}}", labels.join(","))
    };
    check(&labels(65), "labels has 65 entries; the limit is 64");
    assert_eq!(taken(&good(&format!(r#","labels":{}"#, labels(64)))).labels.len(), 64);
}

#[test]
fn a_reject_does_not_disturb_the_labels_after_it() {
    let metric = |labels: &str| format!("{{{}}}", good(&format!(r#","labels":{labels}"#)));
    let (bad, fine) = (metric(r#"{"b":2,"a":1,"a":1}"#), metric(r#"{"d":4,"c":3}"#));
    let outcome =
        decode(format!(r#"{{"component_name":"w","metrics":[{bad},{fine},{bad},{fine}]}}"#))
            .unwrap();
    assert_eq!(outcome.kinds(), [(0, RejectKind::Labels), (2, RejectKind::Labels)]);
    for metric in &outcome.metrics {
        let labels = [("c", "3"), ("d", "4")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(metric.labels, labels);
    }
}

#[test]
fn limits_beyond_the_canonical_form_are_cut_to_it() {
    let limits = Limits {
        labels_max: usize::MAX,
        name_bytes_max: usize::MAX,
        label_value_bytes_max: usize::MAX,
        ..Limits::default()
    };
    let settings = DecodeSettings { limits, ..DecodeSettings::default() };
    let labels: Vec<_> = (0..256).map(|n| format!(r#""l{n}":1"#)).collect();
    let text = "x".repeat(65_536);
    let bodies = [
        good(&format!(r#","labels":{{{}}}"#, labels.join(","))),
        good(&format!(r#","labels":{{"a":"{text}"}}"#)),
        format!(r#""metric_name":"{text}","metric_type":"gauge","metric_value":1"#),
    ];
    for members in bodies {
        let body = format!(r#"{{"component_name":"w","metrics":[{{{members}}}]}}"#);
        assert_eq!(decode_with(&settings, body).unwrap().rejects.len(), 1);
    }
}

#[test]
fn help_is_cut_and_a_long_unit_is_rejected() {
    let metric = taken(&good(&format!(r#","help_text":"{}""#, "h".repeat(2_000))));
    assert_eq!(metric.help.map(|help| help.len()), Some(1_024));
    let metric = taken(&good(&format!(r#","unit":"{}""#, "u".repeat(63))));
    assert_eq!(metric.unit.map(|unit| unit.len()), Some(63));
    let check = |members: &str, reason: &str| {
        rejected(&good(members), RejectKind::Metadata, reason);
    };
    check(&format!(r#","unit":"{}""#, "u".repeat(64)), "unit is 64 bytes long; the limit is 63");
    check(r#","unit":1"#, "unit is a number; send a string or null");
    check(r#","help_text":{}"#, "help_text is an object; send a string or null");
    let nul = "contains the character U+0000, which the database cannot hold";
    check(r#","help_text":"\u0000""#, &format!("help_text {nul}"));
    check(r#","unit":"\u0000""#, &format!("unit {nul}"));
}

#[test]
fn timestamps() {
    let check = |timestamp: &str, micros: i64| {
        let metric = taken(&good(&format!(r#","timestamp":{timestamp}"#)));
        assert_eq!(metric.micros, micros, "{timestamp}");
    };
    let noon = NOW.micros();
    check(r#""2024-01-01T12:00:00Z""#, noon);
    check(r#""2024-01-01T12:00:00""#, noon);
    check(r#""2024-01-01T12:00:00.123456789+00:00""#, noon + 123_456);
    check("1704110400", noon);
    check("1704110400000", noon);
    check("1704110400000000", noon);
    check("1704110400000000000", noon);
    check("1704110400.25", noon + 250_000);
    check("0", 0);
    check(r#""2024-01-01T12:10:00Z""#, noon + 600_000_000);

    let check = |timestamp: &str, kind: RejectKind, reason: &str| {
        rejected(&good(&format!(r#","timestamp":{timestamp}"#)), kind, reason);
    };
    check(
        r#""2024-01-01T12:10:00.0015Z""#,
        RejectKind::Future,
        "timestamp lies 600.001 s in the future; the limit is 600 s; check the sender's clock",
    );
    check(
        "1704111001",
        RejectKind::Future,
        "timestamp lies 601 s in the future; the limit is 600 s; check the sender's clock",
    );
    let check = |timestamp: &str, reason: &str| check(timestamp, RejectKind::Timestamp, reason);
    check(r#""yesterday""#, "timestamp 'yesterday' is not of the form 2024-01-01T12:00:00Z");
    check(r#""""#, "timestamp '' is not of the form 2024-01-01T12:00:00Z");
    check(
        r#""2024-01-01""#,
        "timestamp '2024-01-01' is a date without a time; write 2024-01-01T00:00:00Z for its start",
    );
    check(
        r#""2023-02-30T00:00:00Z""#,
        "timestamp '2023-02-30T00:00:00Z' has a day that does not exist",
    );
    check("-1", "timestamp lies before 1970-01-01T00:00:00Z");
    check("-1.5", "timestamp lies before 1970-01-01T00:00:00Z");
    check("1e300", "timestamp lies after the year 9999");
    check("true", "timestamp is a boolean; send a string, a number or null");
    check("[]", "timestamp is an array; send a string, a number or null");
}

#[test]
fn a_timestamp_without_a_zone_is_local() {
    let settings = DecodeSettings {
        time_zone: TimeZone::get("America/New_York").unwrap(),
        ..DecodeSettings::default()
    };
    let metrics = ["2024-01-01T07:00:00", "2024-01-01T07:00:00", "2024-01-01T12:00:00Z"]
        .map(|text| format!("{{{}}}", good(&format!(r#","timestamp":"{text}""#))));
    let body = format!(r#"{{"component_name":"w","metrics":[{}]}}"#, metrics.join(","));
    for metric in decode_with(&settings, body).unwrap().metrics {
        assert_eq!(metric.micros, NOW.micros());
    }
}

#[test]
fn a_field_stands_once() {
    for field in
        ["metric_name", "metric_type", "metric_value", "timestamp", "labels", "help_text", "unit"]
    {
        let members = good(&format!(
            r#","timestamp":null,"labels":null,"help_text":null,"unit":null,"{field}":null"#
        ));
        rejected(
            &members,
            RejectKind::Malformed,
            &format!("the field {field} stands twice; send it once"),
        );
    }
    taken(&good(r#","other":1,"other":2"#));
}
