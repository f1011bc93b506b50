//! Samples.

use serde_json::{Value, json};

use super::{METRIC_TYPES, about, count, id, list, moment, named, object, or_null};

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
    let large_component = json!({
        "component_name": {"type": "string"},
        "component_type": {"type": "string"},
        "runtime_id": id(),
        "series": about(count(), "In memory."),
        "active_series": about(count(), "Those that count against `component_series_max`."),
        "new_series_last_minute": count(),
        "rejected": about(count(), "Samples that a budget had no room for, since the component \
                                    came into memory."),
    });
    let crowded_metric = json!({
        "metric_name": {"type": "string"},
        "series": about(count(), "Of all components."),
    });
    let crowded_label = json!({
        "metric_name": {"type": "string"},
        "label": {"type": "string"},
        "values": about(count(), "Of all components: exact up to 256, some 2 % off beyond."),
    });
    let cardinality = json!({
        "series": about(count(), "In memory."),
        "series_max": count(),
        "new_series_last_minute": count(),
        "new_series_per_minute_max": count(),
        "components": about(count(), "In memory."),
        "components_at_limit": about(count(), "Those with `component_series_max` active series."),
        "component_series_max": count(),
        "component_new_series_per_minute_max": count(),
        "largest_components": list(&named("LargeComponent")),
        "largest_metrics": list(&named("CrowdedMetric")),
        "largest_labels": list(&named("CrowdedLabel")),
        "complete": {"type": "boolean",
                     "description": "`false` where there are more metrics or labels than are \
                                     counted at a time; then some numbers are too low."},
        "age_seconds": about(count(), "How long ago it was counted."),
    });
    vec![
        ("Cardinality", object(&cardinality, &[])),
        ("LargeComponent", object(&large_component, &[])),
        ("CrowdedMetric", object(&crowded_metric, &[])),
        ("CrowdedLabel", object(&crowded_label, &[])),
        ("Samples", object(&samples, &[])),
        ("Sample", object(&sample, &[])),
        ("ListedComponent", object(&listed, &[])),
        ("Components", object(&components, &["truncated"])),
        ("ListedPool", object(&pool, &[])),
        ("Pools", object(&pools, &["truncated"])),
    ]
}
