//! The page for Prometheus.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use tokio::task::block_in_place;

use super::api::Api;
use super::negotiation;
use super::reply::{self, Reply};
use super::reply_body::ReplyBody;
use crate::exposition::{Format, Rendered};
use crate::model::RuntimeId;
use crate::protocol::parameters;
use crate::registry::Component;

/// Pages of some components that are rendered at once; others wait.
pub(super) const CHOSEN_PAGES_MAX: usize = 2;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `GET /api/metrics/prometheus`
pub(super) async fn prometheus(api: &Api, request: &Request<Incoming>) -> Reply {
    let chosen = match chosen_components(api, request.uri().query().unwrap_or_default()) {
        Ok(chosen) => chosen,
        Err(detail) => return reply::invalid_parameter(detail),
    };
    let headers = request.headers();
    let format = format_for(headers);
    let page = &api.parts.page;
    let rendered = match chosen {
        Some(components) => {
            let _turn = api.chosen_pages.acquire().await;
            Arc::new(block_in_place(|| page.render_some(&components, format)))
        }
        None => page.fresh(format).unwrap_or_else(|| block_in_place(|| page.render(format))),
    };
    page_reply(&rendered, headers)
}

/// OpenMetrics where the client likes it at least as much as the older format.
fn format_for(headers: &HeaderMap) -> Format {
    let open = negotiation::weight_of(headers, "application/openmetrics-text", Some("1.0.0"));
    let text = negotiation::weight_of(headers, "text/plain", Some("0.0.4"));
    if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
}

fn page_reply(page: &Rendered, headers: &HeaderMap) -> Reply {
    let gzip = negotiation::accepts_gzip(headers);
    let content_type = match page.format() {
        Format::Text => TEXT,
        Format::OpenMetrics => OPEN_METRICS,
    };
    // The tag is of these bytes, so each format and coding has its own.
    let tag = format!("\"{}-{}{}\"", page.version(), page.format() as u8, u8::from(gzip));
    let tag = HeaderValue::try_from(tag).expect("a version consists of hexadecimal digits");
    let known = negotiation::has(headers, &tag);
    let (status, body) = match (known, gzip) {
        (true, _) => (StatusCode::NOT_MODIFIED, ReplyBody::whole("")),
        (false, true) => (StatusCode::OK, ReplyBody::parts(page.gzip(), page.gzip_bytes())),
        (false, false) => (StatusCode::OK, ReplyBody::text(page.text())),
    };
    let mut reply = reply::with_body(status, content_type, body);
    let headers = reply.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    headers.insert(header::ETAG, tag);
    // The tag makes it cheap to ask, the age worth it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if gzip && !known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// The components that the page is restricted to; `None` for all.
fn chosen_components(api: &Api, query: &str) -> Result<Option<Vec<Arc<Component>>>, &'static str> {
    let registry = &api.parts.registry;
    let mut chosen: Option<Vec<Arc<Component>>> = None;
    for (name, value) in parameters::pairs(query) {
        let value = parameters::text(value)?;
        let found = match name {
            _ if value.is_empty() => continue,
            "component_name" => registry.find_all(&value),
            "runtime_id" => {
                let id = value.parse().map_err(|_| "runtime_id is no integer; send one")?;
                registry.find_by_id(RuntimeId::from_raw(id)).into_iter().collect()
            }
            _ => return Err("the page takes the parameters component_name and runtime_id only"),
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
