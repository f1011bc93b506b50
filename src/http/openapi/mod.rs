//! What the API is, told to programs and to people.
//!
//! Owns the description of each call (`calls`), the schemas of bodies and answers (`schemas`) and
//! the codes of errors (`errors`); and makes of them, with the paths and methods of the table of
//! routes, an OpenAPI document (`document`) and a page (`page`). Guarantees that whatever is served
//! is described, for a route is no route without. Refuses to know what the handlers do: that the
//! description is true is checked by schemathesis, against the real server.

pub(super) mod calls;
mod describe;
mod document;
mod errors;
mod page;
mod schemas;

use bytes::Bytes;
use hyper::header::HeaderValue;
use sha2::{Digest, Sha256};

pub(super) use describe::Description;

use super::policy;
use super::reply::{self, Reply};
use super::reply_body::ReplyBody;
use super::request_body::Request;
use crate::model::Limits;

/// The document and the page, as they are sent.
pub(super) struct Documents {
    pub(super) json: Document,
    pub(super) page: Document,
}

/// A text that stays the same while the server runs.
pub(super) struct Document {
    content_type: HeaderValue,
    tag: HeaderValue,
    /// What a browser may do with it, where it is for one.
    policy: Option<HeaderValue>,
    body: Bytes,
}

impl Documents {
    /// Those of a server with these limits.
    pub(super) fn new(limits: &Limits) -> Self {
        let document = document::document(limits);
        let json = HeaderValue::from_static("application/json");
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let page = page::render(&document);
        let mut page = Document::new(html, page);
        page.policy =
            Some(policy::of(&format!("style-src 'sha256-{}'", policy::digest(page::STYLE))));
        Self { json: Document::new(json, document.to_string()), page }
    }
}

impl Document {
    fn new(content_type: HeaderValue, body: String) -> Self {
        let digest = Sha256::digest(&body);
        let tag = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let tag = HeaderValue::try_from(format!("\"{tag}\"")).expect("a digest in hexadecimal");
        Self { content_type, tag, policy: None, body: body.into() }
    }

    pub(super) fn reply(&self, request: &Request) -> Reply {
        let body = || ReplyBody::whole(self.body.clone());
        let (tag, content_type) = (self.tag.clone(), self.content_type.clone());
        let mut reply = reply::tagged(request.headers(), tag, content_type, body);
        if let Some(policy) = &self.policy {
            policy::insert(reply.headers_mut(), policy);
        }
        reply
    }
}

#[cfg(test)]
mod tests;
