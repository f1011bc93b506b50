//! Samples.

use serde_json::{Value, json};

use super::{METRIC_TYPES, count, id, list, moment, named, object, or_null};

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let samples = json!({
        "metrics": list(&named("Sample")),
        "count": count(),
        "limit": {"type": "integer", "minimum": 1},
        "next_cursor": {"type": ["string", "null"],
                        "description": "Where the next page begins; `null` on the last one."},
    });
    let sample = json!({
        "metric_id": {"type": "string", "pattern": "^[0-9]+$",
                      "description": "A string, since it does not fit a JavaScript number."},
        "runtime_id": id(),
        "component_name": {"type": "string"},
        "component_type": {"type": "string"},
        "metric_name": {"type": "string"},
        "metric_type": {"enum": METRIC_TYPES},
        "metric_value": {"anyOf": [{"type": "number"}, {"enum": ["NaN", "+Inf", "-Inf"]}]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "help_text": or_null(json!({"type": "string"})),
        "unit": or_null(json!({"type": "string"})),
        "timestamp": {"type": "string", "format": "date-time",
                      "description": "When it was measured."},
        "created_at": {"type": "string", "format": "date-time",
                       "description": "When the server got it."},
    });
    let listed = json!({
        "runtime_id": id(),
        "name": {"type": "string"},
        "component_type": {"type": "string"},
        "status": {"type": "string"},
        "last_heartbeat": moment(),
    });
    let components = json!({
        "components": list(&named("ListedComponent")),
        "truncated": {"const": true, "description": "There are more."},
    });
    let pool = json!({
        "name": {"type": "string"},
        "runtime": or_null(json!({"type": "string"})),
        "status": {"type": "string"},
        "capacity": or_null(json!({"type": "integer"})),
        "labels": {"type": ["object", "array", "null"]},
        "last_heartbeat": moment(),
        "created_at": moment(),
        "updated_at": moment(),
    });
    let pools = json!({
        "items": list(&named("ListedPool")),
        "runtime": or_null(json!({"type": "string"})),
        "status": or_null(json!({"type": "string"})),
        "count": count(),
        "truncated": {"const": true, "description": "There are more."},
    });
    vec![
        ("Samples", object(&samples, &[])),
        ("Sample", object(&sample, &[])),
        ("ListedComponent", object(&listed, &[])),
        ("Components", object(&components, &["truncated"])),
        ("ListedPool", object(&pool, &[])),
        ("Pools", object(&pools, &["truncated"])),
    ]
}
