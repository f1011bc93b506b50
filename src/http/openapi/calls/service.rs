//! For those who run the server.

use serde_json::json;

use super::super::describe::{Answer, Description, Media, Section, json_body, ok};
use super::super::schemas::named;
use super::querying::{IF_NONE_MATCH, NO_CACHE, TAG, UNCHANGED};
use crate::http::readiness::Latch;

pub(in crate::http) static HEALTH: Description = Description {
    id: "health",
    section: Section::Service,
    summary: "Whether the process answers",
    text: "",
    parameters: &[],
    body: &[],
    answers: &[ok("It does.", &[json_body(|| named("Health"), || json!({"status": "ok"}))])],
    errors: &[],
};

pub(in crate::http) static READY: Description = Description {
    id: "ready",
    section: Section::Service,
    summary: "Whether reports are taken",
    text: "PostgreSQL being `away` does not change that, for the log buffers. `latches` are what has to be so, \
           in the order in which it comes to be: a server is ready when none is up, and from SIGTERM on \
           `stopping` is.",
    parameters: &[],
    body: &[],
    answers: &[ok(
        "They are.",
        &[json_body(
            || named("Ready"),
            || {
                let names = Latch::ALL.map(Latch::name);
                let latches = names.map(|name| json!({"name": name, "up": false}));
                json!({"status": "ready", "database": "up", "backlog_rows": 0, "latches": latches})
            },
        )],
    )],
    errors: &[&["stopping", "disk_full", "log_failed"]],
};

pub(in crate::http) static INSTRUMENTS: Description = Description {
    id: "instruments",
    section: Section::Service,
    summary: "The server's own instruments",
    text: "What components push is never among them.",
    parameters: &[],
    body: &[],
    answers: &[ok(
        "Text exposition 0.0.4.",
        &[Media {
            media_type: "text/plain; version=0.0.4; charset=utf-8",
            schema: || json!({"type": "string"}),
            example: None,
        }],
    )],
    errors: &[],
};

pub(in crate::http) static OPENAPI: Description = Description {
    id: "openapi",
    section: Section::Service,
    summary: "This description, as OpenAPI 3.1",
    text: "",
    parameters: &[IF_NONE_MATCH],
    body: &[],
    answers: &[
        Answer {
            status: 200,
            text: "The document.",
            headers: &[TAG, NO_CACHE],
            media: &[Media {
                media_type: "application/json",
                schema: || json!({"type": "object", "required": ["openapi", "info", "paths"]}),
                example: None,
            }],
        },
        UNCHANGED,
    ],
    errors: &[],
};

const A_PAGE: Answer = Answer {
    status: 200,
    text: "The page.",
    headers: &[TAG, NO_CACHE],
    media: &[Media {
        media_type: "text/html; charset=utf-8",
        schema: || json!({"type": "string"}),
        example: None,
    }],
};

pub(in crate::http) static DOCS: Description = Description {
    id: "docs",
    section: Section::Service,
    summary: "This description, as a page",
    text: "",
    parameters: &[IF_NONE_MATCH],
    body: &[],
    answers: &[A_PAGE, UNCHANGED],
    errors: &[],
};

pub(in crate::http) static STATUS: Description = Description {
    id: "status",
    section: Section::Service,
    summary: "What the server does at the moment, as a page",
    text: "",
    parameters: &[IF_NONE_MATCH],
    body: &[],
    answers: &[A_PAGE, UNCHANGED],
    errors: &[],
};
