//! Reports that are mostly right, against the model: mutations of a corpus are mostly wrong.

use fuzz::report::decode;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

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
    let timestamp = prop_oneof![8 => any_timestamp().prop_map(Some), 1 => Just(None), 1 => Just(Some(json!([1]))), 1 => any_number().prop_map(Some)];
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

proptest! {
    #[test]
    fn a_report_is_decoded_as_the_model_says(metrics in prop::collection::vec(any_metric(), 1..8)) {
        let report = json!({"component_name": "w", "metrics": metrics});
        for body in [serde_json::to_vec(&report).unwrap(), serde_json::to_vec_pretty(&report).unwrap()] {
            prop_assert!(decode(&body).is_ok());
            fuzz::report::run(&body);
        }
    }
}
