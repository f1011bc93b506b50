//! Errors, partitions, and the state of the server.

use serde_json::{Value, json};

use super::super::errors::ERRORS;
use super::reporting::cut;
use super::{about, count, list, moment, named, object};
use crate::http::readiness::Latch;

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let partition = json!({
        "name": {"type": "string"},
        "from": moment(),
        "to": about(moment(), "Exclusive."),
        "rows": about(count(), "As PostgreSQL estimates them."),
        "bytes": about(count(), "With the index."),
        "state": {"enum": ["attached", "detaching"]},
    });
    let partitions = json!({"partitions": list(&named("Partition")), "count": count()});
    let created = json!({
        "status": {"const": "ok"},
        "created_partitions": list(&json!({"type": "string"})),
        "created_count": count(),
        "days_ahead": count(),
        "message": {"type": "string"},
    });
    let dropped = json!({
        "status": {"const": "ok"},
        "dropped_partitions": list(&json!({"type": "string"})),
        "dropped_count": count(),
        "message": {"type": "string"},
    });
    let ready = json!({
        "status": {"const": "ready"},
        "database": {"enum": ["up", "away"]},
        "backlog_rows": about(count(), "Rows in the log that are not in PostgreSQL yet."),
        "latches": list(&named("Latch")),
    });
    let latch = json!({
        "name": {"enum": Latch::ALL.map(Latch::name)},
        "up": {"type": "boolean", "description": "Whether it holds readiness up."},
    });
    vec![
        ("Error", error()),
        ("Partition", object(&partition, &[])),
        ("Partitions", object(&partitions, &[])),
        ("PartitionsCreated", object(&created, &[])),
        ("PartitionsDropped", object(&dropped, &[])),
        ("Health", object(&json!({"status": {"const": "ok"}}), &[])),
        ("Ready", object(&ready, &[])),
        ("Latch", object(&latch, &[])),
    ]
}

fn error() -> Value {
    let codes: Vec<_> = ERRORS.iter().map(|error| error.code).collect();
    let fields = json!({
        "status": {"const": "error"},
        "error": {"enum": codes, "description": "For programs; it stays."},
        "detail": {"type": "string", "description": "For people; it may change."},
        "metrics_rejected": about(list(&named("RejectedMetric")), "With `no_valid_metrics`."),
        "metrics_rejected_count": cut(),
        "lines_rejected": about(list(&named("RejectedLine")), "With `no_valid_lines`."),
        "lines_rejected_count": cut(),
        "latches": about(list(&named("Latch")), "Of `GET /ready`."),
    });
    let optional = [
        "metrics_rejected",
        "metrics_rejected_count",
        "lines_rejected",
        "lines_rejected_count",
        "latches",
    ];
    object(&fields, &optional)
}
