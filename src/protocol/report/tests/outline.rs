//! Outlines against the decoder, which they must never contradict.

use proptest::prelude::*;

use super::*;
use crate::model::Sample;

/// What the decoder makes of `document`, if it takes all of it.
fn decode(document: &str) -> Option<(Vec<Sample>, Vec<Vec<u8>>)> {
    let mut decoder = ReportDecoder::default();
    let mut body = document.as_bytes().to_vec();
    let decoded = decoder.decode(&mut body, NOW, &DecodeSettings::default()).ok()?;
    let series = |sample| decoded.batch.series_of(sample).to_vec();
    let series = decoded.batch.samples.iter().map(series).collect();
    decoded.batch.rejects.is_empty().then(|| (std::mem::take(&mut decoded.batch.samples), series))
}

fn learn(document: &str) -> Option<Outline> {
    let (samples, _) = decode(document)?;
    Outline::learn(document.as_bytes(), &samples, NOW, &DecodeSettings::default())
}

fn read(outline: &Outline, document: &str) -> Option<Vec<(f64, i64)>> {
    let mut readings = Vec::new();
    outline
        .read(document.as_bytes(), NOW, &DecodeSettings::default(), &mut readings)
        .then(|| readings.iter().map(|one| (one.value, one.timestamp.micros())).collect())
}

fn report(metrics: &str) -> String {
    format!(r#"{{"component_name": "w", "component_type": "t", "metrics": [{metrics}]}}"#)
}

const FIRST: &str = r#"{"metric_name": "a", "metric_type": "gauge", "metric_value": 1.5, "timestamp": "2024-01-01T12:00:00Z", "labels": {"metric_value": "7"}}, {"timestamp": 1704110400, "metric_value": 2, "metric_name": "b", "metric_type": "counter"}, {"metric_name": "c", "metric_type": "gauge", "metric_value": -3e2, "timestamp": null}"#;

#[test]
fn a_document_that_differs_in_its_numbers_is_read() {
    let outline = learn(&report(FIRST)).unwrap();
    let second = report(FIRST)
        .replace("1.5", "45.25")
        .replace("12:00:00Z", "13:00:00.000001+02:00")
        .replace("1704110400", "1704110399")
        .replace("-3e2", "0");
    let noon = NOW.micros();
    assert_eq!(
        read(&outline, &second),
        Some(vec![(45.25, noon - 3_599_999_999), (2.0, noon - 1_000_000), (0.0, noon)])
    );
}

#[test]
fn a_document_that_differs_in_anything_else_is_not_read() {
    let outline = learn(&report(FIRST)).unwrap();
    let check = |from: &str, to: &str| {
        let changed = report(FIRST).replacen(from, to, 1);
        assert_ne!(changed, report(FIRST), "{from} is not there");
        assert_eq!(read(&outline, &changed), None, "{from} became {to}");
    };
    check("\"a\"", "\"d\"");
    check("gauge", "counter");
    check("\"7\"", "\"8\"");
    check("\"w\"", "\"x\"");
    check("1.5", "null");
    check("1.5", "\"NaN\"");
    check("1.5", "1e400");
    check("1.5", "01");
    check("1.5", "-0");
    check("1.5", "1 5");
    check("1704110400", "1704110400.5");
    check("1704110400", "null");
    check("2024-01-01T12", "2024-13-01T12");
    check("2024-01-01T12", "2024-01-01T14");
    check("2024-01-01T12", "2024-01-01T\\u0031");
    check("]}", "]} ");
    check("]}", "]");
    check(", \"timestamp\": null}", "}");
}

#[test]
fn what_plain_bytes_do_not_tell_has_no_outline() {
    let check = |metrics: &str| {
        assert!(decode(&report(metrics)).is_some(), "{metrics} is not a good report");
        assert_eq!(learn(&report(metrics)), None, "{metrics}");
    };
    check(r#"{"metric_name":"a","metric_type":"gauge","metric_value":null}"#);
    check(r#"{"metric_name":"a","metric_type":"gauge","metric_value":"+Inf"}"#);
    check(r#"{"metric_name":"a","metric_type":"gauge","metric_valu\u0065":1}"#);
    check(
        r#"{"metric_name":"a","metric_type":"gauge","metric_value":1,"times\u0074amp":1704110400}"#,
    );
    check(r#"{"metric_name":"a","metric_type":"gauge","metric_value":1,"timestamp":1704110400.5}"#);
    check(
        r#"{"metric_name":"a","metric_type":"gauge","metric_value":1,"timestamp":"2024-01-01T12:00:00\u005a"}"#,
    );
    check(r#"{"metric_name":"a","metric_type":"gauge","metric_value":-0}"#);
    let long = format!(
        r#"{{"metric_name":"a","metric_type":"gauge","metric_value":1,"help_text":"{}"}}"#,
        "h".repeat(OUTLINE_DOCUMENT_BYTES_MAX)
    );
    check(&long);
    let (samples, _) = decode(&report(FIRST)).unwrap();
    let fewer = &samples[..2];
    let settings = DecodeSettings::default();
    assert_eq!(Outline::learn(report(FIRST).as_bytes(), fewer, NOW, &settings), None);
}

#[test]
fn texts_may_hold_whatever_they_like() {
    let metrics = r#"{"metric_name":"a","metric_type":"gauge","help_text":"\"metric_value\": 7, ]}\\","metric_value":1,"unit":"°C","x":[{"metric_value":5},[{"timestamp":9}]],"labels":{"timestamp":"[","b":"{"}}"#;
    let outline = learn(&report(metrics)).unwrap();
    let changed = report(metrics).replace("\"metric_value\":1,", "\"metric_value\":12.5,");
    assert_eq!(read(&outline, &changed), Some(vec![(12.5, NOW.micros())]));
}

/// A report of a worker with labels of its own and such that all workers have.
fn report_of(worker: &str, host: &str) -> String {
    let labels = format!(r#"{{"component": "{worker}", "host": "{host}", "zone": "z"}}"#);
    let metric = format!(
        r#"{{"metric_name": "a", "metric_type": "gauge", "metric_value": 1, "labels": {labels}}}"#
    );
    report(&format!("{metric}, {}", metric.replace("\"a\"", "\"b\""))).replacen(
        "\"w\"",
        &format!("\"{worker}\""),
        1,
    )
}

#[test]
fn workers_that_differ_in_texts_of_their_own_share_a_form_and_nothing_else() {
    let outlines = [("w-1", "h-1"), ("w-2", "h-2"), ("w-3", "h-1")]
        .map(|(worker, host)| (report_of(worker, host), learn(&report_of(worker, host)).unwrap()));
    for (nth, (document, outline)) in outlines.iter().enumerate() {
        assert_eq!(outline.form(), outlines[0].1.form());
        for (other, (_, outline)) in outlines.iter().enumerate() {
            assert_eq!(read(outline, document).is_some(), nth == other, "{nth} as {other}");
        }
        let value = |value| (value, NOW.micros());
        let changed = document.replacen(": 1,", ": 2.5,", 1);
        assert_eq!(read(outline, &changed), Some(vec![value(2.5), value(1.0)]));
    }
    // Each of them stands for one text, and must be that in all of its places.
    let (document, outline) = &outlines[0];
    let at = document.rfind("w-1").unwrap();
    let changed = format!("{}w-2{}", &document[..at], &document[at + 3..]);
    assert_eq!(read(outline, &changed), None);
    for other in [report_of("w-10", "h-1"), report_of("w", "w"), report_of("z", "h-1")] {
        let other = learn(&other).unwrap();
        assert_ne!(other.form(), outline.form());
    }
}

#[test]
fn a_text_that_begins_as_the_workers_own_is_another() {
    let outline = learn(&report_of("w-1", "h")).unwrap();
    for other in ["w-11", "w-", "w-1\\\"", ""] {
        assert_eq!(read(&outline, &report_of(other, "h")), None, "{other}");
    }
}

#[test]
fn an_outline_counts_what_it_keeps() {
    let outline = learn(&report_of("worker", "host")).unwrap();
    let own = "worker".len() + "t".len() + "host".len() + "z".len();
    assert_eq!(outline.bytes(), size_of::<Outline>() + own);
    let form = outline.form().bytes();
    assert!((400..900).contains(&form), "{form}");
}

/// A metric whose fields come in any order, with what stands between them.
fn metric() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?",
        any::<f64>()
            .prop_filter("JSON has finite numbers", |value| value.is_finite())
            .prop_map(|value| format!("{value}")),
        Just("null".to_owned()),
        Just("\"NaN\"".to_owned()),
    ];
    let timestamp = prop_oneof![
        Just(String::new()),
        Just("\"timestamp\":null".to_owned()),
        (0_i64..1_704_110_400).prop_map(|at| format!("\"timestamp\":{at}")),
        (0_i64..1_704_110_400_000_000).prop_map(|at| {
            format!("\"timestamp\" : \"{}\"", jiff::Timestamp::from_microsecond(at).unwrap())
        }),
    ];
    let name = prop_oneof!["[a-z]{1,4}", Just("\\u0061".to_owned())];
    let fields =
        (value, timestamp, name, "[ \t\n]{0,2}").prop_map(|(value, timestamp, name, space)| {
            let mut fields = vec![
                format!("\"metric_value\":{space}{value}"),
                format!("{space}\"metric_name\":\"{name}\""),
                "\"metric_type\":\"gauge\"".to_owned(),
                "\"extra\":[{\"metric_value\":1}]".to_owned(),
            ];
            fields.extend(Some(timestamp).filter(|timestamp| !timestamp.is_empty()));
            fields
        });
    fields.prop_shuffle().prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

fn document() -> impl Strategy<Value = String> {
    let metrics = prop::collection::vec(metric(), 1..4);
    (metrics, any::<bool>()).prop_map(|(metrics, component_last)| {
        let metrics = metrics.join(", ");
        if component_last {
            format!(r#"{{"metrics":[{metrics}],"component_name":"w"}}"#)
        } else {
            report(&metrics)
        }
    })
}

/// Checks that what the outline of `first` reads in `second`, if anything, is what the decoder
/// reads in it.
fn check_against_the_decoder(first: &str, second: &str) -> Result<(), TestCaseError> {
    let Some(outline) = learn(first) else { return Ok(()) };
    let Some(readings) = read(&outline, second) else { return Ok(()) };
    let decoded = decode(second);
    prop_assert!(decoded.is_some(), "the decoder refuses {second}");
    let (samples, series) = decoded.unwrap();
    prop_assert_eq!(series, decode(first).unwrap().1);
    prop_assert_eq!(samples.len(), readings.len());
    for (sample, (value, micros)) in samples.iter().zip(readings) {
        prop_assert_eq!(sample.value.to_bits(), value.to_bits());
        prop_assert_eq!(sample.timestamp.micros(), micros);
    }
    Ok(())
}

proptest! {
    #[test]
    fn other_numbers_are_read_as_the_decoder_reads_them(
        document in document(),
        numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", 8)
    ) {
        // A `metric_value` with a digit behind it gets another number, wherever it stands.
        let mut parts = document.split("\"metric_value\":");
        let mut changed = parts.next().unwrap().to_owned();
        for (part, number) in parts.zip(numbers.iter().cycle()) {
            let value = part.trim_start_matches(|c: char| "+-.eE".contains(c) || c.is_ascii_digit());
            let number = if value.len() < part.len() { number } else { "" };
            changed += &format!("\"metric_value\":{number}{value}");
        }
        check_against_the_decoder(&document, &changed)?;
    }

    #[test]
    fn whatever_becomes_of_a_document_is_read_as_the_decoder_reads_it(
        document in document(),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..4,
        put in "[0-9\\.eE+,:\"\\\\{}\\[\\] nulTZ-]{0,4}"
    ) {
        let at = at.index(document.len());
        let end = (at + cut).min(document.len());
        let changed = format!("{}{put}{}", &document[..at], &document[end..]);
        check_against_the_decoder(&document, &changed)?;
    }
}
