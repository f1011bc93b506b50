//! The page for Prometheus.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::task::block_in_place;

use super::api::Api;
use super::negotiation;
use super::reply::{self, Reply};
use super::reply_body::ReplyBody;
use super::request_body::Request;
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
pub(super) async fn prometheus(api: &Api, request: &Request) -> Reply {
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
    let mut reply = reply::tagged(headers, tag, content_type, || {
        if gzip {
            ReplyBody::parts(page.gzip(), page.gzip_bytes())
        } else {
            ReplyBody::text(page.text())
        }
    });
    let whole = reply.status() == StatusCode::OK;
    let headers = reply.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if gzip && whole {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

/// What the page is restricted to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Chosen {
    component_name: Option<String>,
    runtime_id: Option<RuntimeId>,
}

fn chosen(query: &str) -> Result<Chosen, &'static str> {
    let mut chosen = Chosen::default();
    for (name, value) in parameters::pairs(query) {
        let value = Some(parameters::text(value)?).filter(|value| !value.is_empty());
        let before = match name {
            "component_name" => std::mem::replace(&mut chosen.component_name, value).is_some(),
            "runtime_id" => {
                let integer = |value: String| {
                    parameters::integer(&value).ok_or("runtime_id is no integer; send one")
                };
                let id = value.map(integer).transpose()?;
                std::mem::replace(&mut chosen.runtime_id, id.map(RuntimeId::from_raw)).is_some()
            }
            _ => return Err("the page takes the parameters component_name and runtime_id only"),
        };
        if before {
            return Err("a parameter stands twice; send each once");
        }
    }
    Ok(chosen)
}

/// The components that the page is restricted to; `None` for all.
fn chosen_components(api: &Api, query: &str) -> Result<Option<Vec<Arc<Component>>>, &'static str> {
    let registry = &api.parts.registry;
    Ok(match chosen(query)? {
        Chosen { component_name: None, runtime_id: None } => None,
        Chosen { component_name: Some(name), runtime_id: None } => Some(registry.find_all(&name)),
        Chosen { component_name, runtime_id: Some(id) } => {
            let fits = |one: &Arc<Component>| {
                component_name.as_deref().is_none_or(|name| one.key().name() == name)
            };
            Some(registry.find_by_id(id).into_iter().filter(fits).collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_restricted_by_what_is_named_once() {
        let check = |query: &str, name: Option<&str>, id: Option<i64>| {
            let component_name = name.map(str::to_owned);
            let expected = Chosen { component_name, runtime_id: id.map(RuntimeId::from_raw) };
            assert_eq!(chosen(query), Ok(expected), "{query}");
        };
        check("", None, None);
        check("component_name=&runtime_id=", None, None);
        check("component_name=a%20b", Some("a b"), None);
        check("runtime_id=-7&component_name=c", Some("c"), Some(-7));
        check("runtime_id=-7.0", None, Some(-7));
        for wrong in
            ["name=a", "name=", "runtime_id=x", "component_name=%ff", "runtime_id=1&runtime_id=2"]
        {
            assert!(chosen(wrong).is_err(), "{wrong}");
        }
    }
}
