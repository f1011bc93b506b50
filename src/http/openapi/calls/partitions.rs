//! Partitions and retention.

use serde_json::json;

use super::super::describe::{Description, Section, json_body, ok, query};
use super::super::schemas::named;
use crate::http::partitions::{DAYS_AHEAD, DAYS_AHEAD_MAX};

const ERRORS: &[&str] = &["partitions_busy", "database_unavailable", "partitions_failed"];

pub(in crate::http) static LIST: Description = Description {
    id: "listPartitions",
    section: Section::Partitions,
    summary: "Every partition, in the order of time",
    text: "`rows` is PostgreSQL's estimate, `bytes` includes the index, `to` is exclusive.",
    parameters: &[],
    body: &[],
    answers: &[ok(
        "The list.",
        &[json_body(
            || named("Partitions"),
            || {
                json!({"partitions": [{
                    "name": "report_20240101", "from": "2024-01-01T00:00:00Z",
                    "to": "2024-01-02T00:00:00Z", "rows": 1200, "bytes": 262_144,
                    "state": "attached",
                }], "count": 1})
            },
        )],
    )],
    errors: &[ERRORS],
};

pub(in crate::http) static CREATE: Description = Description {
    id: "createPartitions",
    section: Section::Partitions,
    summary: "Make the partitions of the next days",
    text: "Those that are missing from now on. Again makes no difference.",
    parameters: &[query(
        "days_ahead",
        "Until how many days from now.",
        || {
            json!({"type": "integer", "minimum": 0, "maximum": DAYS_AHEAD_MAX,
                   "default": DAYS_AHEAD})
        },
        Some("7"),
    )],
    body: &[],
    answers: &[ok(
        "Which were made.",
        &[json_body(
            || named("PartitionsCreated"),
            || {
                json!({"status": "ok", "created_partitions": ["report_20240108"],
                       "created_count": 1, "days_ahead": 7,
                       "message": "1 partition was created"})
            },
        )],
    )],
    errors: &[&["invalid_parameter"], ERRORS],
};

pub(in crate::http) static CLEAN_UP: Description = Description {
    id: "dropOldPartitions",
    section: Section::Partitions,
    summary: "Drop the partitions whose retention is over",
    text: "Whole ones, that ended longer ago than `metrics-retention`. One that was written to \
           within a day stays; `message` says what stays, and why.",
    parameters: &[],
    body: &[],
    answers: &[ok(
        "Which were dropped.",
        &[json_body(
            || named("PartitionsDropped"),
            || {
                json!({"status": "ok", "dropped_partitions": ["report_20240101"],
                       "dropped_count": 1, "message": "1 partition was dropped"})
            },
        )],
    )],
    errors: &[ERRORS],
};

pub(in crate::http) static SET_RETENTION: Description =
    to_come("setRetention", "A retention for single metrics: does not exist yet");
pub(in crate::http) static EXTEND_RETENTION: Description =
    to_come("extendRetention", "A retention for single components: does not exist yet");

const fn to_come(id: &'static str, summary: &'static str) -> Description {
    Description {
        id,
        section: Section::Partitions,
        summary,
        text: "Always answered 501; `metrics-retention` holds for all.",
        parameters: &[],
        body: &[],
        answers: &[],
        errors: &[&["not_implemented"]],
    }
}
