//! The report around its metrics, and the decoder that is used again.

use super::*;
use crate::model::component::InvalidComponent;

const METRIC: &str = r#"{"metric_name":"m","metric_type":"gauge","metric_value":1}"#;

fn component_of(fields: &str) -> Result<String, ReportError> {
    let mut body = format!(r#"{{{fields}"metrics":[{METRIC}]}}"#).into_bytes();
    let mut decoder = ReportDecoder::default();
    let report = decoder.decode(&mut body, NOW, &DecodeSettings::default())?;
    Ok(match report.component {
        ComponentRef::Named { component_type, name } => {
            format!("{}/{name}", component_type.unwrap_or("-"))
        }
        ComponentRef::RuntimeId(id) => id.to_string(),
    })
}

#[test]
fn a_component_is_named_or_numbered() {
    let check = |fields: &str, expected: &str| {
        assert_eq!(component_of(fields), Ok(expected.to_owned()), "{fields}");
    };
    check(r#""component_name":"w","#, "-/w");
    check(r#""component_name":"w","component_type":"worker_pool","#, "worker_pool/w");
    check(r#""component_name":"w","component_type":null,"#, "-/w");
    check(r#""component_name":"w","component_type":"t","hostname":{"a":[1]},"#, "t/w");
    check(r#""component_name":"\u00fc \"1\"","#, "-/ü \"1\"");
    check(r#""runtime_id":123,"#, "123");
    check(r#""runtime_id":"9007199254740993","#, "9007199254740993");
    check(r#""runtime_id":123,"component_name":null,"#, "123");
    check(r#""runtime_id":123.0,"#, "123");
    check(r#""runtime_id":-1e3,"#, "-1000");
    check(r#""runtime_id":null,"component_name":"w","#, "-/w");
    check(r#""runtime_id":123,"component_name":"w","#, "-/w");

    let check = |fields: &str, expected: ReportError| {
        assert_eq!(component_of(fields), Err(expected), "{fields}");
    };
    check("", ReportError::NoComponent);
    check(r#""component_type":"t","#, ReportError::NoComponent);
    check(r#""component_name":null,"runtime_id":null,"#, ReportError::NoComponent);
    check(r#""component_name":"","#, InvalidComponent::EmptyName.into());
    check(r#""component_name":"a\u0000b","#, InvalidComponent::Nul.into());
    check(r#""component_name":"w","component_type":"","#, InvalidComponent::EmptyType.into());
    let long = format!(r#""component_name":"{}","#, "x".repeat(256));
    check(&long, InvalidComponent::LongName(256).into());
    check(
        r#""component_name":"w","component_name":"w","#,
        ReportError::DuplicateField("component_name"),
    );
    check(
        r#""component_name":null,"component_name":"w","#,
        ReportError::DuplicateField("component_name"),
    );
    check(r#""runtime_id":1,"runtime_id":1,"#, ReportError::DuplicateField("runtime_id"));
    check(r#""metrics":[],"component_name":"w","#, ReportError::DuplicateField("metrics"));
}

#[test]
fn a_wrong_type_is_named() {
    let check = |fields: &str, expected: &str| {
        assert_eq!(component_of(fields).unwrap_err().to_string(), expected, "{fields}");
    };
    check(r#""component_name":1,"#, "component_name is a number; send a string");
    check(r#""component_name":["w"],"#, "component_name is an array; send a string");
    check(
        r#""component_name":"w","component_type":true,"#,
        "component_type is a boolean; send a string",
    );
    for runtime_id in ["1.5", "1e300", "18446744073709551615", "123456789012345678901234"] {
        let expected = "runtime_id is a number; send a 64-bit integer";
        check(&format!(r#""runtime_id":{runtime_id},"#), expected);
    }
    for runtime_id in [r#""""#, r#""12a""#, r#"" 1""#] {
        let expected = "runtime_id is a string; send a 64-bit integer";
        check(&format!(r#""runtime_id":{runtime_id},"#), expected);
    }
}

#[test]
fn metrics_is_an_array_with_something_in_it() {
    let check = |metrics: &str, expected: &str| {
        let error = decode(format!(r#"{{"component_name":"w"{metrics}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{metrics}");
    };
    let none = "the report has no metrics; send an array of them in the field metrics";
    check("", none);
    check(r#","metrics":null"#, none);
    check(r#","metrics":[]"#, "metrics is an empty array; send at least one metric");
    check(r#","metrics":{}"#, "metrics is an object; send an array of metrics");
    check(r#","metrics":"x""#, "metrics is a string; send an array of metrics");
}

#[test]
fn a_body_that_is_no_json_is_explained() {
    let check = |body: &[u8], expected: &str| {
        let error = decode(body).unwrap_err();
        assert_eq!(error.to_string(), expected, "{}", String::from_utf8_lossy(body));
    };
    let of_value = |value: &str| {
        format!(r#"{{"component_name":"w","metrics":[{{"metric_value":{value}}}]}}"#).into_bytes()
    };
    let bare = |at| {
        format!(
            "the body is not JSON: NaN and Infinity are no JSON; \
             send null, \"NaN\", \"+Inf\" or \"-Inf\" at byte {at}"
        )
    };
    check(&of_value("NaN"), &bare(49));
    check(&of_value("Infinity"), &bare(49));
    check(&of_value("-Infinity"), &bare(50));
    check(
        &of_value("1e400"),
        "the body is not JSON: a number is malformed or larger than a 64-bit float can be at byte 49",
    );
    check(b"", "the body is not JSON: it ends too early");
    check(b"[]", "the body is an array; send an object with component_name and metrics");
    check(b"1", "the body is a number; send an object with component_name and metrics");
    check(b"null", "the body is null; send an object with component_name and metrics");
    check(
        "[".repeat(100_000).as_bytes(),
        "the body is nested deeper than 16 levels; a report needs four",
    );
    check(b"{\"component_name\":\"\xff\"}", "the body is not JSON: it is not valid UTF-8");
}

#[test]
fn depth_is_counted_exactly() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        decode(format!(r#"{{"component_name":"w","metrics":[{METRIC}],"extra":{open}{close}}}"#))
    };
    assert!(nested(JSON_DEPTH_MAX).is_ok());
    assert_eq!(nested(JSON_DEPTH_MAX + 1).unwrap_err(), ReportError::TooDeep);
}

#[test]
fn the_number_of_metrics_is_bounded() {
    let report = |count: usize| {
        let metrics = vec!["0"; count].join(",");
        decode(format!(r#"{{"component_name":"w","metrics":[{metrics}]}}"#))
    };
    let outcome = report(METRICS_MAX).unwrap();
    assert_eq!(outcome.rejects.len(), METRICS_MAX);
    let texts = outcome.rejects.iter().filter(|reject| !reject.reason.is_empty()).count();
    assert_eq!(texts, REJECT_TEXTS_MAX);
    assert_eq!(report(METRICS_MAX + 1).unwrap_err(), ReportError::TooManyMetrics(METRICS_MAX + 1));
}

#[test]
fn a_hundred_thousand_metrics_keep_their_order() {
    let metrics: Vec<_> = (0..100_000)
        .map(|n| format!(r#"{{"metric_name":"m{n}","metric_type":"counter","metric_value":{n}}}"#))
        .collect();
    let body = format!(r#"{{"component_name":"w","metrics":[{}]}}"#, metrics.join(","));
    let outcome = decode(body).unwrap();
    assert_eq!(outcome.metrics.len(), 100_000);
    for (n, metric) in outcome.metrics.iter().enumerate() {
        assert_eq!((metric.name.as_str(), metric.value), (format!("m{n}").as_str(), n as f64));
        assert_eq!(metric.index as usize, n);
    }
}

#[test]
fn a_decoder_forgets_the_report_before() {
    let mut decoder = ReportDecoder::default();
    let settings = DecodeSettings::default();
    let bodies = [
        (format!(r#"{{"component_name":"w","metrics":[{METRIC},{METRIC},7]}}"#), Some((2, 1))),
        ("{".to_owned(), None),
        (format!(r#"{{"component_name":"w","metrics":[{METRIC}]}}"#), Some((1, 0))),
        (r#"{"component_name":"w","metrics":[]}"#.to_owned(), None),
        (
            format!(r#"{{"component_name":"w","metrics":["{}"]}}"#, "x".repeat(2 << 20)),
            Some((0, 1)),
        ),
        (format!(r#"{{"component_name":"w","metrics":[{METRIC}]}}"#), Some((1, 0))),
    ];
    for (body, expected) in bodies {
        let mut body = body.into_bytes();
        let counts = decoder.decode(&mut body, NOW, &settings).ok().map(|report| {
            let outcome = read_batch(report.batch);
            (outcome.metrics.len(), outcome.rejects.len())
        });
        assert_eq!(counts, expected);
        decoder.trim();
    }
}

#[test]
fn documents_in_one_buffer_are_decoded_in_place() {
    let first = format!(r#"{{"component_name":"a\tb","metrics":[{METRIC}]}}"#);
    let second = format!(r#"{{"component_name":"c","metrics":[{METRIC}]}}"#);
    let mut buffer = format!("{first}\n{second}").into_bytes();
    buffer.resize(buffer.len() + PADDING_BYTES, b'x');
    let mut decoder = ReportDecoder::default();
    let settings = DecodeSettings::default();
    for (start, length, expected) in
        [(0, first.len(), "a\tb"), (first.len() + 1, second.len(), "c")]
    {
        let report = decoder.decode_padded(&mut buffer[start..], length, NOW, &settings).unwrap();
        assert_eq!(report.component, ComponentRef::Named { component_type: None, name: expected });
        assert_eq!(read_batch(report.batch).metrics.len(), 1);
    }
}
