//! For those who run the server: is it alive, is it ready, how is it doing.

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use super::api::Api;
use super::readiness::{Latch, Latches, Readiness};
use super::reply::{self, Reply};
use crate::protocol::answer;

/// Seconds after which to ask a server again that is not ready.
const RETRY_AFTER_S: u32 = 5;

/// The process answers.
pub(super) fn health() -> Reply {
    reply::json("{\"status\":\"ok\"}")
}

/// Reports are taken. A database that is away does not change that: the log buffers.
pub(super) fn ready(api: &Api) -> Reply {
    let latches = api.parts.readiness.now();
    if let Some((code, matter)) = latches.problem() {
        return not_ready(latches, code, matter);
    }
    if let Err(error) = api.parts.ingest.admit()
        && !error.is_overload()
    {
        return not_ready(latches.with(Latch::Log), error.code(), &error.to_string());
    }
    let telemetry = &api.parts.telemetry;
    let database = if telemetry.flush.postgres_up.get() == 1 { "up" } else { "away" };
    let backlog_rows = telemetry.log.backlog_rows.get();
    reply::json(format!(
        "{{\"status\":\"ready\",\"database\":\"{database}\",\"backlog_rows\":{backlog_rows},\
         \"latches\":{}}}",
        latches.json()
    ))
}

/// The same of a server that has no API yet.
pub(super) fn starting(readiness: &Readiness) -> Reply {
    let latches = readiness.now();
    // The last one is dropped a moment after the API is there.
    let (code, matter) = latches.problem().unwrap_or(("starting", "the server is starting"));
    not_ready(latches, code, matter)
}

/// The error, and beside it the latches.
fn not_ready(latches: Latches, code: &str, matter: &str) -> Reply {
    let mut body = Vec::with_capacity(512);
    answer::write_error(&mut body, code, matter);
    let closed = body.pop();
    debug_assert_eq!(closed, Some(b'}'), "an error is an object");
    body.extend_from_slice(b",\"latches\":");
    body.extend_from_slice(latches.json().as_bytes());
    body.push(b'}');
    let mut reply = reply::rendered_error(StatusCode::SERVICE_UNAVAILABLE, body);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    reply
}

/// The server's own instruments.
pub(super) fn metrics(api: &Api) -> Reply {
    let instruments = &api.parts.telemetry.ingest;
    let registry = &api.parts.registry;
    let settings = registry.settings();
    for (gauge, value) in [
        (&instruments.components, registry.component_count()),
        (&instruments.series, registry.series_count()),
        (&instruments.series_max, settings.series_max),
        (&instruments.component_series_max, settings.component_series_max),
    ] {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    reply::with(StatusCode::OK, content_type, api.parts.telemetry.render())
}
