//! What is read: samples, the page.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, StatusCode};
use tokio::task::block_in_place;
use tokio::time::{Instant, timeout_at};

use super::api::Api;
use super::reply::{self, Refusal, Reply};
use crate::exposition::Rendered;
use crate::model::RuntimeId;
use crate::protocol::parameters;
use crate::query::{Consistency, Filter, QueryError};
use crate::registry::Component;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

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

/// `GET /api/metrics/prometheus`
pub(super) async fn prometheus(api: &Api, request: &Request<Incoming>) -> Reply {
    let chosen = match chosen_components(api, request.uri().query().unwrap_or_default()) {
        Ok(chosen) => chosen,
        Err(refusal) => return *refusal,
    };
    let page = &api.parts.page;
    let rendered = match chosen {
        Some(components) => Arc::new(block_in_place(|| page.render_some(&components))),
        None => page.fresh().unwrap_or_else(|| block_in_place(|| page.render())),
    };
    page_reply(&rendered, accepts_gzip(request))
}

fn page_reply(rendered: &Rendered, gzip: bool) -> Reply {
    let body = if gzip { block_in_place(|| rendered.gzip()) } else { rendered.text() };
    let mut reply = reply::with(StatusCode::OK, TEXT, body);
    let headers = reply.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// The components that the page is restricted to; `None` for all.
fn chosen_components(api: &Api, query: &str) -> Result<Option<Vec<Arc<Component>>>, Refusal> {
    let bad =
        |detail: &str| Box::new(reply::error(StatusCode::BAD_REQUEST, "invalid_parameter", detail));
    let registry = &api.parts.registry;
    let mut chosen: Option<Vec<Arc<Component>>> = None;
    for (name, value) in parameters::pairs(query) {
        let Some(value) = parameters::decode(value) else {
            return Err(bad("a parameter is not percent-encoded UTF-8; encode it"));
        };
        let found = match name {
            _ if value.is_empty() => continue,
            "component_name" => registry.find_all(&value),
            "runtime_id" => {
                let id = value.parse().map_err(|_| bad("runtime_id is no integer; send one"))?;
                registry.find_by_id(RuntimeId::from_raw(id)).into_iter().collect()
            }
            _ => {
                return Err(bad(
                    "the page takes the parameters component_name and runtime_id only",
                ));
            }
        };
        chosen = Some(match chosen {
            None => found,
            Some(before) => before
                .into_iter()
                .filter(|one| found.iter().any(|other| Arc::ptr_eq(one, other)))
                .collect(),
        });
    }
    Ok(chosen)
}

fn accepts_gzip(request: &Request<Incoming>) -> bool {
    let values = request.headers().get_all(header::ACCEPT_ENCODING);
    values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |coding| {
            let mut parts = coding.split(';').map(str::trim);
            let gzip =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            let refused =
                parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
            gzip && !refused
        },
    )
}
