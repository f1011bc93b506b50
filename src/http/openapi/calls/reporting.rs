//! Reports.

use serde_json::json;

use super::super::describe::{Description, Media, Section, header, json_body, ok, query};
use super::super::errors;
use super::super::schemas::{named, text};
use crate::model::component::COMPONENT_NAME_BYTES_MAX;
use crate::protocol::ndjson::LINES_MAX;
use crate::registry::CLIENT_KEY_BYTES_MAX;

pub(in crate::http) static REPORT: Description = Description {
    id: "report",
    section: Section::Reporting,
    summary: "Take samples",
    text: "200 means that what was taken is **synced**: it is on the disk, and will be in PostgreSQL \
           once, whatever dies next. A bad metric does not sink the others: it is named in \
           `metrics_rejected`, and only when there is no good one the answer is a 400.\n\n\
           A component that is not registered is registered by its first report. With \
           `Content-Type: application/x-ndjson` each line is a report of its own; the answer then \
           counts lines. A worker that got no answer sends the same report again, best with an \
           `Idempotency-Key`.",
    parameters: &[
        header(
            "Idempotency-Key",
            "A fresh key for each report, such as a UUID, and the same one for its retries: they are \
             answered as the first request was, and stored once. Remembered for ten minutes.",
            || {
                json!({"type": "string", "minLength": 1, "maxLength": CLIENT_KEY_BYTES_MAX,
                       "pattern": "^\\S(.*\\S)?$"})
            },
        ),
        CONTENT_ENCODING,
    ],
    body: &[
        json_body(|| named("Report"), report),
        Media {
            media_type: "application/x-ndjson",
            schema: || {
                json!({"type": "array", "minItems": 1, "maxItems": LINES_MAX, "items": named("Report"),
                       "description": "One a line, without brackets and commas around them; blank \
                                       lines are skipped."})
            },
            example: Some(|| json!([report()])),
        },
    ],
    answers: &[ok(
        "Synced. `ReportAccepted` for one report, `LinesAccepted` for many.",
        &[json_body(
            || json!({"anyOf": [named("ReportAccepted"), named("LinesAccepted")]}),
            || {
                json!({"status": "ok", "runtime_id": 1_426_829_204_108_299_u64,
                       "metrics_inserted": 1, "durable": true})
            },
        )],
    )],
    errors: &[errors::BODY, errors::REPORT, errors::LOG],
};

/// How a body may be compressed.
pub(super) const CONTENT_ENCODING: super::super::describe::Parameter = header(
    "Content-Encoding",
    "How the body is compressed: `deflate` is zlib or raw, `zstd` has a window of up to 8 MiB, \
     `snappy` is a raw block or the framing format.",
    || json!({"enum": ["", "identity", "gzip", "x-gzip", "deflate", "zstd", "snappy"]}),
);

fn report() -> serde_json::Value {
    json!({
        "component_name": "worker-cpu-01",
        "component_type": "worker_pool",
        "metrics": [{
            "metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
            "metric_value": 45.2, "labels": {"hostname": "node-1"},
            "help_text": "CPU usage percentage", "unit": "percent",
        }],
    })
}

pub(in crate::http) static SELF_REPORT: Description = Description {
    id: "selfReport",
    section: Section::Reporting,
    summary: "Have the server report about itself",
    text: "As it does by itself every `server-metrics-interval`. The body is not looked at.",
    parameters: &[query(
        "component_name",
        "As whom; else the setting `worker-pool-name`, else the server's own row.",
        || text(COMPONENT_NAME_BYTES_MAX),
        None,
    )],
    body: &[],
    answers: &[ok(
        "Synced.",
        &[json_body(
            || named("SelfReported"),
            || {
                json!({"status": "ok", "component_name": "metrics-1",
                       "runtime_id": 1_426_829_204_108_299_u64, "metrics_reported": 9})
            },
        )],
    )],
    errors: &[&["invalid_parameter", "self_report_busy", "stopping"], errors::LOG],
};
