//! What is read out of PostgreSQL: samples.

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::api::Api;
use super::reply::{self, Reply};
use crate::query::{Consistency, Filter, QueryError};

/// `GET /api/metrics/query`
pub(super) async fn query(api: &Api, request: &Request<Incoming>) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let filter = match Filter::parse(query, &api.settings.time_zone) {
        Ok(filter) => filter,
        Err(error) => {
            return reply::error(StatusCode::BAD_REQUEST, error.code(), &error.to_string());
        }
    };
    let deadline = Instant::now() + api.settings.query_timeout;
    if filter.consistency() == Consistency::Acknowledged && !wait_flushed(api, deadline).await {
        return reply::retry(
            StatusCode::SERVICE_UNAVAILABLE,
            5,
            "flush_behind",
            "what was acknowledged is safe in the log and not yet in PostgreSQL; try again later, \
             or ask with consistency=eventual for what is there",
        );
    }
    match timeout_at(deadline, api.parts.queries.query(&filter)).await {
        Ok(Ok(answer)) => reply::json(answer.json),
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&QueryError::TimedOut),
    }
}

/// Has everything that is synced flushed; `false` when that takes too long.
async fn wait_flushed(api: &Api, deadline: Instant) -> bool {
    let progress = &api.parts.progress;
    let synced = progress.synced();
    if progress.flushed() >= synced {
        return true;
    }
    progress.request_flush();
    timeout_at(deadline, progress.wait_flushed(synced)).await.is_ok()
}

fn failed(error: &QueryError) -> Reply {
    let detail = error.to_string();
    if error.is_transient() {
        reply::retry(StatusCode::SERVICE_UNAVAILABLE, 2, error.code(), &detail)
    } else {
        reply::error(StatusCode::INTERNAL_SERVER_ERROR, error.code(), &detail)
    }
}
