//! For those who run the server: is it alive, is it ready, how is it doing.

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::api::Api;
use super::reply::{self, Reply};

/// The process answers.
pub(super) fn health() -> Reply {
    reply::json("{\"status\":\"ok\"}")
}

/// Reports are taken. A database that is away does not change that: the log buffers.
pub(super) fn ready(api: &Api) -> Reply {
    let telemetry = &api.parts.telemetry;
    if api.is_draining() {
        return reply::retry(
            StatusCode::SERVICE_UNAVAILABLE,
            5,
            "stopping",
            "the server is stopping",
        );
    }
    if let Err(error) = api.parts.ingest.admit()
        && !error.is_overload()
    {
        return reply::retry(StatusCode::SERVICE_UNAVAILABLE, 5, error.code(), &error.to_string());
    }
    let database = if telemetry.flush.postgres_up.get() == 1 { "up" } else { "away" };
    let backlog_rows = telemetry.log.backlog_rows.get();
    reply::json(format!(
        "{{\"status\":\"ready\",\"database\":\"{database}\",\"backlog_rows\":{backlog_rows}}}"
    ))
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
