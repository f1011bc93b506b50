//! The decoder against a model of the contract that is written for clarity alone.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// The contract over a parsed document, in the simplest words.
fn model(metric: &Value, index: u32) -> Result<Metric, RejectKind> {
    let metric = metric.as_object().ok_or(RejectKind::Malformed)?;
    let field = |name: &str| metric.get(name).filter(|value| !value.is_null());
    let name = field("metric_name").and_then(Value::as_str).ok_or(RejectKind::Name)?;
    if name.is_empty() || name.len() > 255 || name.contains('\0') {
        return Err(RejectKind::Name);
    }
    let metric_type = field("metric_type")
        .and_then(Value::as_str)
        .and_then(|name| {
            ["counter", "gauge", "histogram", "summary"].into_iter().find(|known| *known == name)
        })
        .ok_or(RejectKind::Type)?;
    let value = match metric.get("metric_value") {
        Some(Value::Number(number)) => number.as_f64().unwrap(),
        Some(Value::Null) => f64::NAN,
        Some(Value::String(text)) if text == "NaN" => f64::NAN,
        Some(Value::String(text)) if text == "+Inf" => f64::INFINITY,
        Some(Value::String(text)) if text == "-Inf" => f64::NEG_INFINITY,
        _ => return Err(RejectKind::Value),
    };
    let micros = match field("timestamp") {
        None => NOW.micros(),
        Some(Value::String(text)) => {
            text.parse::<jiff::Timestamp>().map_err(|_| RejectKind::Timestamp)?.as_microsecond()
        }
        Some(Value::Number(number)) => {
            // The strategy below only makes seconds.
            number.as_i64().ok_or(RejectKind::Timestamp)? * 1_000_000
        }
        Some(_) => return Err(RejectKind::Timestamp),
    };
    if micros < 0 {
        return Err(RejectKind::Timestamp);
    }
    if micros > NOW.micros() + 600_000_000 {
        return Err(RejectKind::Future);
    }
    let text = |name: &str| match field(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.contains('\0') => Err(RejectKind::Metadata),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(RejectKind::Metadata),
    };
    let (help, unit) = (text("help_text")?, text("unit")?);
    if unit.as_ref().is_some_and(|unit| unit.len() > 63) {
        return Err(RejectKind::Metadata);
    }
    let mut labels = BTreeMap::new();
    match field("labels") {
        None => {}
        Some(Value::Object(members)) => {
            for (name, value) in members {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(RejectKind::Labels),
                };
                if name.is_empty() || name.contains('\0') || text.contains('\0') {
                    return Err(RejectKind::Labels);
                }
                labels.insert(name.clone(), text);
            }
        }
        Some(_) => return Err(RejectKind::Labels),
    }
    let (name, labels) = (name.to_owned(), labels.into_iter().collect());
    Ok(Metric { name, labels, metric_type, help, unit, value, micros, index })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z_]{1,8}",
        2 => ".{0,12}",
        1 => "[\\x00-\\x1f\"\\\\/\u{7f}\u{2028}😀]{0,6}",
    ]
}

fn any_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1000..1000_i64).prop_map(Value::from),
        (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL).prop_map(Value::from),
        (-1e6..1e6).prop_map(|number: f64| Value::from((number * 8.0).round() / 8.0)),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any_number(),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Mostly `usual`, now and then a member that is missing or any JSON.
fn member(usual: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![12 => usual.prop_map(Some), 1 => Just(None), 1 => any_json().prop_map(Some)].boxed()
}

fn any_timestamp() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (0..1_704_200_000_i64).prop_map(Value::from),
        (0..1_704_200_000_000_000_i64).prop_map(|micros| {
            Value::from(jiff::Timestamp::from_microsecond(micros).unwrap().to_string())
        }),
    ]
}

fn any_metric() -> impl Strategy<Value = Value> {
    let label = prop_oneof![
        6 => any_text().prop_map(Value::from),
        2 => any_number(),
        1 => any::<bool>().prop_map(Value::from),
    ];
    let labels = prop::collection::btree_map(any_text(), label, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    let metric_type = prop::sample::select(vec!["counter", "gauge", "histogram", "summary"]);
    let special =
        prop::sample::select(vec![json!("NaN"), json!("+Inf"), json!("-Inf"), json!(null)]);
    let text = || any_text().prop_map(Value::from);
    // A number in place of the timestamp would need the model to know about magnitudes.
    let timestamp = prop_oneof![8 => any_timestamp().prop_map(Some), 1 => Just(None), 1 => Just(Some(json!([1])))];
    let metric = (
        member(text()),
        member(metric_type.prop_map(Value::from)),
        member(prop_oneof![9 => any_number(), 1 => special]),
        timestamp,
        member(labels),
        member(text()),
        member(text()),
    )
        .prop_map(|(name, metric_type, value, timestamp, labels, help, unit)| {
            let members = [
                ("metric_name", name),
                ("metric_type", metric_type),
                ("metric_value", value),
                ("timestamp", timestamp),
                ("labels", labels),
                ("help_text", help),
                ("unit", unit),
            ];
            let members = members.into_iter().filter_map(|(key, v)| Some((key.to_owned(), v?)));
            Value::Object(members.collect::<Map<_, _>>())
        });
    prop_oneof![15 => metric, 1 => any_json()]
}

/// Values compared by bits, so that NaN equals itself.
fn by_bits(metrics: &[Metric]) -> Vec<(u64, Metric)> {
    metrics.iter().map(|m| (m.value.to_bits(), Metric { value: 0.0, ..m.clone() })).collect()
}

proptest! {
    #[test]
    fn a_report_is_decoded_as_the_model_says(metrics in prop::collection::vec(any_metric(), 1..8)) {
        let mut expected = Outcome::default();
        let mut kinds = Vec::new();
        for (index, metric) in (0..).zip(&metrics) {
            match model(metric, index) {
                Ok(metric) => expected.metrics.push(metric),
                Err(kind) => kinds.push((index, kind)),
            }
        }
        let report = json!({"component_name": "w", "metrics": metrics});
        let compact = serde_json::to_vec(&report).unwrap();
        let spacious = serde_json::to_vec_pretty(&report).unwrap();
        for body in [compact, spacious] {
            let outcome = decode(body).unwrap();
            prop_assert_eq!(by_bits(&outcome.metrics), by_bits(&expected.metrics));
            prop_assert_eq!(outcome.kinds(), kinds.clone());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_damaged_report_never_panics(
        at in 0_usize..170,
        byte in any::<u8>(),
        cut in 1_usize..400,
    ) {
        let mut body = br#"{"component_name":"w","metrics":[{"metric_name":"m","metric_type":"gauge",
            "metric_value":1.5e3,"labels":{"b":1,"a":"\u00e9"},"timestamp":"2024-01-01T12:00:00Z"}]}"#
            .to_vec();
        body[at] = byte;
        body.truncate(cut);
        if let Ok(outcome) = decode(&body) {
            prop_assert_eq!(outcome.metrics.len() + outcome.rejects.len(), 1);
        }
    }
}
