//! What is read: samples, and the page for Prometheus.

use serde_json::{Value, json};

use super::super::describe::{
    Answer, Description, Header, Media, Parameter, Place, Section, header, json_body, ok, query,
};
use super::super::schemas::{METRIC_TYPES, id, named, stored_text, unix_time};
use crate::http::cardinality::{LIMIT as LIMIT_LARGEST, LIMIT_MAX as LIMIT_MAX_LARGEST};
use crate::query::{LIMIT_DEFAULT, LIMIT_MAX};

pub(in crate::http) static QUERY: Description = Description {
    id: "query",
    section: Section::Querying,
    summary: "Find samples",
    text: "The samples that all parameters let through, newest first. Without any, the newest 1000 \
           of all. A sample is found as soon as its report was acknowledged. `next_cursor` is \
           `null` on the last page.\n\n\
           With `Accept: application/x-ndjson` or `Accept: text/csv` the answer is every such \
           sample, a JSON object or a row each, however many there are. An error after the \
           beginning ends the connection before the end of the body.",
    parameters: &[
        query("runtime_id", "The component's id.", id, None),
        query(
            "component_name",
            "The component's name; `*` stands for any run of characters.",
            stored_text,
            Some("worker-*"),
        ),
        query(
            "metric_name",
            "The metric's name; `*` stands for any run of characters.",
            stored_text,
            Some("noetl_system_cpu_usage_percent"),
        ),
        query("metric_type", "The metric's type.", || json!({"enum": METRIC_TYPES}), None),
        Parameter {
            name: "labels",
            place: Place::QueryJson,
            text: "Labels that the series must have, as a JSON object; values are compared as text.",
            schema: || named("Labels"),
            example: Some("{\"hostname\":\"node-1\"}"),
        },
        query(
            "start_time",
            "The first time that is asked for, in every form that a report may have.",
            moment,
            Some("2026-11-22T18:00:00Z"),
        ),
        query("end_time", "The last one, itself included. Not before `start_time`.", moment, None),
        query(
            "order",
            "Newest first, or oldest first.",
            || json!({"enum": ["desc", "asc"], "default": "desc"}),
            None,
        ),
        query(
            "limit",
            "Samples of a page, or of a stream, which has no limit without it.",
            || {
                json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX,
                       "default": LIMIT_DEFAULT})
            },
            Some("10"),
        ),
        query(
            "cursor",
            "`next_cursor` of the page before, with all other parameters as they were.",
            || json!({"type": "string", "format": "cursor"}),
            None,
        ),
        query(
            "consistency",
            "`acknowledged` waits until all that was acknowledged is in PostgreSQL; `eventual` \
             waits for nothing.",
            || json!({"enum": ["acknowledged", "eventual"], "default": "acknowledged"}),
            None,
        ),
    ],
    body: &[],
    answers: &[ok(
        "A page, or a stream.",
        &[
            json_body(
                || named("Samples"),
                || {
                    json!({
                        "metrics": [sample()], "count": 1, "limit": 10, "next_cursor": null,
                    })
                },
            ),
            Media {
                media_type: "application/x-ndjson",
                schema: || json!({"type": "string", "description": "One `Sample` a line."}),
                example: None,
            },
            Media {
                media_type: "text/csv",
                schema: || {
                    json!({"type": "string",
                           "description": "A header with the fields of `Sample`, then a row each; \
                                           CRLF, and quotes where RFC 4180 needs them."})
                },
                example: None,
            },
        ],
    )],
    errors: &[&[
        "invalid_parameter",
        "flush_behind",
        "queries_busy",
        "query_timed_out",
        "database_unavailable",
        "query_failed",
    ]],
};

fn moment() -> Value {
    json!({"anyOf": [
        {"type": "string", "format": "date-time"},
        unix_time(),
    ]})
}

fn sample() -> Value {
    json!({
        "metric_id": "91316989062931136", "runtime_id": 1_426_829_204_108_299_u64,
        "component_name": "worker-cpu-01", "component_type": "worker_pool",
        "metric_name": "noetl_system_cpu_usage_percent", "metric_type": "gauge",
        "metric_value": 45.2, "labels": {"hostname": "node-1"},
        "help_text": "CPU usage percentage", "unit": "percent",
        "timestamp": "2026-11-22T18:12:02.178770Z", "created_at": "2026-11-22T18:12:02.181240Z",
    })
}

/// What is there to keep an answer for longer than a moment.
pub(super) const TAG: Header = Header {
    name: "ETag",
    text: "Changes with the answer; send it back as `If-None-Match`.",
    schema: || json!({"type": "string", "pattern": "^\"[^\"]+\"$"}),
    required: true,
};
/// Nothing is used without asking whether it is still the same.
pub(super) const NO_CACHE: Header = Header {
    name: "Cache-Control",
    text: "To be asked for each time; the tag makes that cheap.",
    schema: || json!({"const": "no-cache"}),
    required: true,
};
/// The tag of an earlier answer.
pub(super) const IF_NONE_MATCH: Parameter = header(
    "If-None-Match",
    "The `ETag` of an earlier answer: if it is still the same, the answer is a 304.",
    || json!({"type": "string"}),
);
/// What the tag is for.
pub(super) const UNCHANGED: Answer = Answer {
    status: 304,
    text: "Still what the tag in `If-None-Match` stands for.",
    headers: &[TAG, NO_CACHE],
    media: &[],
};

pub(in crate::http) static PAGE: Description = Description {
    id: "prometheusPage",
    section: Section::Querying,
    summary: "The last value of every live series, for Prometheus",
    text: "Text exposition 0.0.4, or OpenMetrics 1.0 for those who prefer it by `Accept`, as \
           Prometheus does. Made from memory, at most once in 0.9 s. A series leaves the page when \
           nothing of it was accepted for `stale-after` (5 minutes).",
    parameters: &[
        query(
            "component_name",
            "Only components of this name.",
            || json!({"type": "string"}),
            None,
        ),
        query("runtime_id", "Only the component with this id.", id, None),
        header(
            "Accept-Encoding",
            "With `gzip` or `*` the page comes compressed, as it is kept.",
            || json!({"type": "string"}),
        ),
        IF_NONE_MATCH,
    ],
    body: &[],
    answers: &[
        Answer {
            status: 200,
            text: "The page.",
            headers: &[
                TAG,
                NO_CACHE,
                Header {
                    name: "Vary",
                    text: "What the answer depends on besides the URL.",
                    schema: || json!({"const": "accept, accept-encoding"}),
                    required: true,
                },
                Header {
                    name: "Content-Encoding",
                    text: "`gzip`, where it was accepted.",
                    schema: || json!({"const": "gzip"}),
                    required: false,
                },
            ],
            media: &[
                Media {
                    media_type: "text/plain; version=0.0.4; charset=utf-8",
                    schema: || json!({"type": "string"}),
                    example: Some(|| json!(PAGE_EXAMPLE)),
                },
                Media {
                    media_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    schema: || json!({"type": "string"}),
                    example: None,
                },
            ],
        },
        UNCHANGED,
    ],
    errors: &[&["invalid_parameter"]],
};

pub(in crate::http) static CARDINALITY: Description = Description {
    id: "cardinality",
    section: Section::Querying,
    summary: "What the memory is full of",
    text: "The components with the most series, and over all components the metrics with the most \
           series and the labels with the most values. Counted in memory, at most once in ten \
           seconds.",
    parameters: &[query(
        "limit",
        "Entries of each list.",
        || {
            json!({"type": "integer", "minimum": 1, "maximum": LIMIT_MAX_LARGEST,
                   "default": LIMIT_LARGEST})
        },
        Some("3"),
    )],
    body: &[],
    answers: &[ok(
        "What was counted.",
        &[json_body(
            || named("Cardinality"),
            || {
                json!({
                    "series": 100_000, "series_max": 2_000_000, "new_series_last_minute": 12,
                    "new_series_per_minute_max": 20_000, "components": 9_813,
                    "components_at_limit": 1, "component_series_max": 2_000,
                    "component_new_series_per_minute_max": 100,
                    "largest_components": [{
                        "component_name": "worker-cpu-01", "component_type": "worker_pool",
                        "runtime_id": 1_426_829_204_108_299_u64, "series": 2_000,
                        "active_series": 2_000, "new_series_last_minute": 12, "rejected": 712,
                    }],
                    "largest_metrics": [{"metric_name": "requests_total", "series": 21_790}],
                    "largest_labels": [
                        {"metric_name": "requests_total", "label": "request_id", "values": 1_985},
                    ],
                    "complete": true, "age_seconds": 0,
                })
            },
        )],
    )],
    errors: &[&["invalid_parameter"]],
};

const PAGE_EXAMPLE: &str = "\
# HELP noetl_system_cpu_usage_percent CPU usage percentage
# TYPE noetl_system_cpu_usage_percent gauge
noetl_system_cpu_usage_percent{component=\"worker-cpu-01\",component_type=\"worker_pool\",hostname=\"node-1\"} 45.2
";
