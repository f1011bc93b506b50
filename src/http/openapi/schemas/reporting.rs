//! A report, and what is answered to one.

use serde_json::{Value, json};

use super::{
    METRIC_TYPES, about, count, id, list, name, named, object, or_null, stored_text, text,
};
use crate::model::Limits;
use crate::model::component::{COMPONENT_NAME_BYTES_MAX, COMPONENT_TYPE_BYTES_MAX};
use crate::model::limits::{HELP_BYTES_MAX, UNIT_BYTES_MAX};
use crate::protocol::report::{METRICS_MAX, REJECT_TEXTS_MAX};

pub(super) fn schemas(limits: &Limits) -> Vec<(&'static str, Value)> {
    vec![
        ("Report", report()),
        ("Metric", metric(limits)),
        ("MetricValue", metric_value()),
        ("Timestamp", timestamp()),
        ("Labels", labels(limits)),
        ("ReportAccepted", accepted()),
        ("LinesAccepted", lines_accepted()),
        ("RejectedMetric", rejected_metric()),
        ("RejectedLine", object(&json!({"line": line(), "reason": reason()}), &[])),
        ("SelfReported", self_reported()),
    ]
}

fn report() -> Value {
    let mut report = object(
        &json!({
            "component_name": about(
                or_null(name(COMPONENT_NAME_BYTES_MAX)),
                "Who reports. Wins over a `runtime_id` beside it."
            ),
            "component_type": about(
                or_null(name(COMPONENT_TYPE_BYTES_MAX)),
                "Such as `worker_pool`. Without it: `external`, or the component of this name."
            ),
            "runtime_id": about(
                digits_too(&id()),
                "Instead of the name: the id that it was registered with, or a string of its digits."
            ),
            "metrics": {"type": "array", "minItems": 1, "maxItems": METRICS_MAX,
                        "items": named("Metric")},
        }),
        &["component_name", "component_type", "runtime_id"],
    );
    report["description"] = json!(
        "Fields that are not listed are ignored; a listed one that stands twice is an error. \
         Either `component_name` or `runtime_id` is needed."
    );
    report["anyOf"] = json!([
        {"required": ["component_name"], "properties": {"component_name": {"type": "string"}}},
        {"required": ["runtime_id"], "properties": {"runtime_id": {"type": ["integer", "string"]}}},
    ]);
    report
}

/// An integer, a string of its digits, or nothing.
fn digits_too(integer: &Value) -> Value {
    json!({"anyOf": [integer, {"type": "string", "pattern": "^[+-]?[0-9]{1,18}$"}, {"type": "null"}]})
}

fn metric(limits: &Limits) -> Value {
    let help = format!("What is beyond {HELP_BYTES_MAX} bytes is cut off.");
    object(
        &json!({
            "metric_name": name(limits.name_bytes_max),
            "metric_type": {"enum": METRIC_TYPES},
            "metric_value": named("MetricValue"),
            "timestamp": {"anyOf": [named("Timestamp"), {"type": "null"}],
                          "description": "When it was measured; missing means the server's now."},
            "labels": {"anyOf": [named("Labels"), {"type": "null"}]},
            "help_text": about(or_null(stored_text()), &help),
            "unit": or_null(text(UNIT_BYTES_MAX)),
        }),
        &["timestamp", "labels", "help_text", "unit"],
    )
}

fn metric_value() -> Value {
    json!({
        "description": "A number, or what JSON has no number for. `null` is not a number.",
        "anyOf": [
            {"type": "number", "minimum": f64::MIN, "maximum": f64::MAX},
            {"type": "null"},
            {"enum": ["NaN", "+Inf", "Inf", "Infinity", "+Infinity", "-Inf", "-Infinity"]},
        ],
    })
}

fn timestamp() -> Value {
    json!({
        "description":
            "RFC 3339; also with a space for the `T`, without seconds, or without a zone (then in \
             that of the setting `time-zone`). Or a number: seconds, milliseconds, microseconds or \
             nanoseconds since 1970, by its magnitude. Not before 1970, not further in the future \
             than `future-max` (10 minutes). Kept to the microsecond.",
        "anyOf": [
            {"type": "string", "format": "date-time"},
            unix_time(),
        ],
    })
}

/// A time as a number, until the end of the year 9999 in nanoseconds.
pub(in crate::http::openapi) fn unix_time() -> Value {
    json!({"type": "number", "minimum": 0, "exclusiveMaximum": 2.534_023_008e20})
}

fn labels(limits: &Limits) -> Value {
    json!({
        "type": "object",
        "description": "Numbers and booleans are taken as their text.",
        "maxProperties": limits.labels_max,
        "propertyNames": name(limits.name_bytes_max),
        "additionalProperties": {"anyOf": [
            text(limits.label_value_bytes_max),
            {"type": "number", "minimum": f64::MIN, "maximum": f64::MAX},
            {"type": "boolean"},
        ]},
    })
}

fn accepted() -> Value {
    let fields = json!({
        "status": {"const": "ok"},
        "runtime_id": id(),
        "metrics_inserted": about(count(), "Samples taken, repeats included."),
        "durable": {"const": true},
        "metrics_rejected": list(&named("RejectedMetric")),
        "metrics_rejected_count": cut(),
    });
    object(&fields, &["metrics_rejected", "metrics_rejected_count"])
}

fn lines_accepted() -> Value {
    let fields = json!({
        "status": {"const": "ok"},
        "lines": about(count(), "Lines that are not blank."),
        "metrics_inserted": about(count(), "Samples taken, repeats included."),
        "durable": {"const": true},
        "lines_rejected": list(&named("RejectedLine")),
        "lines_rejected_count": cut(),
        "metrics_rejected": list(&named("RejectedMetric")),
        "metrics_rejected_count": cut(),
    });
    let optional =
        ["lines_rejected", "lines_rejected_count", "metrics_rejected", "metrics_rejected_count"];
    object(&fields, &optional)
}

fn rejected_metric() -> Value {
    let fields = json!({
        "line": line(),
        "index": about(count(), "Its place in `metrics`."),
        "reason": reason(),
    });
    object(&fields, &["line"])
}

fn line() -> Value {
    json!({"type": "integer", "minimum": 1, "description": "The line of an NDJSON body."})
}

fn reason() -> Value {
    json!({"type": "string", "description": "One sentence that the sender can act on."})
}

/// The whole number of entries of a list that was cut.
pub(super) fn cut() -> Value {
    let sentence = format!("How many there are, where the list was cut at {REJECT_TEXTS_MAX}.");
    about(json!({"type": "integer", "exclusiveMinimum": REJECT_TEXTS_MAX}), &sentence)
}

fn self_reported() -> Value {
    let fields = json!({
        "status": {"const": "ok"},
        "component_name": {"type": "string"},
        "runtime_id": id(),
        "metrics_reported": count(),
    });
    object(&fields, &[])
}
