//! What is read out of PostgreSQL: samples.

use std::future::ready;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{once, unfold};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::api::Api;
use super::negotiation;
use super::reply::{self, Reply};
use super::reply_body::{Broken, ReplyBody};
use super::request_body::Request;
use crate::query::{Consistency, Filter, Layout, QueryError, SampleStream};

/// `GET /api/metrics/query`
pub(super) async fn query(api: &Api, request: &Request) -> Reply {
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
    match layout_for(request.headers()) {
        Layout::Json => {}
        layout => return stream(api, filter, layout).await,
    }
    match timeout_at(deadline, api.parts.queries.query(&filter)).await {
        Ok(Ok(answer)) => reply::json(answer.json),
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&QueryError::TimedOut),
    }
}

/// JSON, unless the client likes another one more.
fn layout_for(headers: &HeaderMap) -> Layout {
    let weight = |media_type| negotiation::weight_of(headers, media_type, None);
    let json = weight("application/json");
    let ndjson = weight("application/x-ndjson").max(weight("application/ndjson"));
    let csv = weight("text/csv");
    match () {
        () if ndjson > json && ndjson >= csv => Layout::Ndjson,
        () if csv > json => Layout::Csv,
        () => Layout::Json,
    }
}

/// Samples without end. The first piece is waited for, so that an error can still be answered.
async fn stream(api: &Api, filter: Filter, layout: Layout) -> Reply {
    let mut samples = match SampleStream::new(&api.parts.queries, filter, layout) {
        Ok(samples) => samples,
        Err(error) => return failed(&error),
    };
    let first = match samples.next().await {
        Ok(first) => first.unwrap_or_default(),
        Err(error) => return failed(&error),
    };
    let rest = unfold(samples, async |mut samples| match samples.next().await {
        Ok(piece) => piece.map(|piece| (Ok(Bytes::from(piece)), samples)),
        Err(error) => Some((Err(Broken(error.to_string())), samples)),
    });
    let content_type = match layout {
        Layout::Csv => HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
        Layout::Ndjson | Layout::Json => HeaderValue::from_static("application/x-ndjson"),
    };
    let all = once(ready(Ok(Bytes::from(first)))).chain(rest);
    reply::with_body(StatusCode::OK, content_type, ReplyBody::stream(all))
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
