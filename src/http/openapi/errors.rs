//! The codes of errors: the table of `docs/api.md`, with what a client is to do.

/// An error as it is told.
pub(super) struct ErrorCode {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) cause: &'static str,
}

const fn error(status: u16, code: &'static str, cause: &'static str) -> ErrorCode {
    ErrorCode { status, code, cause }
}

/// All of them, by status.
pub(super) static ERRORS: &[ErrorCode] = &[
    error(400, "invalid_json", "not JSON, not UTF-8, a bare `NaN`, a number out of range"),
    error(400, "too_deep", "nested deeper than 16 levels"),
    error(400, "not_an_object", "JSON, but no object"),
    error(400, "duplicate_field", "a field of the report stands twice"),
    error(400, "no_component", "neither `component_name` nor `runtime_id`"),
    error(400, "invalid_component", "a name or type is empty, too long, or has U+0000 in it"),
    error(400, "missing_field", "a field is needed"),
    error(400, "field_too_long", "a field is too long"),
    error(400, "invalid_field", "a field has U+0000 in it"),
    error(400, "registration_refused", "a constraint or trigger on `noetl.runtime` objects"),
    error(400, "wrong_type", "a field has a type it may not have"),
    error(400, "no_metrics", "no array `metrics`"),
    error(400, "empty_metrics", "`metrics` is empty"),
    error(400, "too_many_metrics", "more than 1,000,000 metrics"),
    error(400, "report_too_long", "a document of more than 1 GiB"),
    error(400, "no_valid_metrics", "every metric was rejected; `metrics_rejected` says why"),
    error(400, "no_valid_lines", "no line could be taken; `lines_rejected` says why"),
    error(400, "too_many_lines", "more than 100,000 lines"),
    error(400, "no_lines", "no line that is not blank"),
    error(400, "corrupt_body", "not what `Content-Encoding` says, or cut short"),
    error(400, "body_broken", "the connection or the framing broke"),
    error(400, "invalid_idempotency_key", "an empty key, or one of more than 128 bytes"),
    error(400, "invalid_parameter", "a parameter is unknown, given twice or wrong"),
    error(401, "missing_token", "the server has tokens, and the request came without one"),
    error(401, "invalid_token", "the token is not known, or was revoked"),
    error(403, "insufficient_scope", "the token has other scopes; `WWW-Authenticate` names it"),
    error(403, "component_not_allowed", "the token is bound to other components"),
    error(404, "component_not_found", "no component has this `runtime_id`, or this name"),
    error(404, "not_found", "no such path"),
    error(405, "method_not_allowed", "the header `Allow` has the methods of the path"),
    error(408, "body_too_slow", "the body took longer than `body-timeout`"),
    error(409, "idempotency_key_reused", "the key came with another body before"),
    error(413, "body_too_large", "the body is too long, as sent or decompressed"),
    error(413, "report_too_large", "the record would fit no segment of the log"),
    error(415, "unsupported_content_type", "the body is of no type that the call takes"),
    error(415, "unsupported_encoding", "`Content-Encoding` is none that the server knows"),
    error(429, "log_over_budget", "PostgreSQL is away or behind, and the log is full"),
    error(429, "log_busy", "the disk does not keep up"),
    error(429, "too_many_bytes_in_flight", "all bodies together are too many bytes just now"),
    error(429, "registry_full", "a new component, and there is no room for its series"),
    error(429, "token_over_rate", "the token has sent its samples per second"),
    error(500, "query_failed", "PostgreSQL refused the statement; see the server's log"),
    error(500, "partitions_failed", "something stands in the way, such as a table of that name"),
    error(501, "not_implemented", "it does not exist yet"),
    error(503, "self_report_busy", "64 requests wait already"),
    error(503, "starting", "the server is not ready yet; `GET /ready` says what it waits for"),
    error(503, "stopping", "the server is draining"),
    error(503, "partitions_busy", "two such requests are running, or a lock is held"),
    error(503, "disk_full", "no space for a further segment"),
    error(503, "log_failed", "a write or sync failed: the report may or may not be found later"),
    error(503, "idempotency_key_in_flight", "the key's first request is not in the log yet"),
    error(503, "registry_unavailable", "PostgreSQL, which may know the component, is away"),
    error(503, "flush_behind", "what was acknowledged is not in PostgreSQL in time"),
    error(503, "queries_busy", "as many queries or streams run as may"),
    error(503, "query_timed_out", "it took too long"),
    error(503, "database_unavailable", "PostgreSQL is away; reports are still taken"),
];

/// Of every call that needs a token.
pub(super) const TOKEN: &[&str] = &["missing_token", "invalid_token", "insufficient_scope"];

/// Of every call that speaks for a component.
pub(super) const WRITE: &[&str] = &["component_not_allowed"];

/// Of every call with a body.
pub(super) const BODY: &[&str] = &[
    "invalid_json",
    "not_an_object",
    "wrong_type",
    "corrupt_body",
    "body_broken",
    "body_too_slow",
    "body_too_large",
    "unsupported_content_type",
    "unsupported_encoding",
    "too_many_bytes_in_flight",
    "stopping",
];

/// Of what is written into the log.
pub(super) const LOG: &[&str] = &[
    "invalid_component",
    "component_not_found",
    "report_too_large",
    "log_over_budget",
    "log_busy",
    "registry_full",
    "disk_full",
    "log_failed",
    "registry_unavailable",
];

/// Of a body with reports.
pub(super) const REPORT: &[&str] = &[
    "too_deep",
    "duplicate_field",
    "no_component",
    "no_metrics",
    "empty_metrics",
    "too_many_metrics",
    "report_too_long",
    "no_valid_metrics",
    "no_valid_lines",
    "too_many_lines",
    "no_lines",
    "invalid_idempotency_key",
    "idempotency_key_reused",
    "idempotency_key_in_flight",
    "token_over_rate",
];

/// Of a body of the registry's calls.
pub(super) const FIELDS: &[&str] = &["missing_field", "field_too_long", "invalid_field"];

/// Whether answers of this status say when to come back.
pub(super) fn passes(status: u16) -> bool {
    matches!(status, 429 | 503)
}
