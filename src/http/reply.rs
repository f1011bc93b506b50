//! Answers, and their errors in one JSON shape.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

use super::negotiation;
use super::reply_body::ReplyBody;
use crate::protocol::answer;

/// Every answer of this server.
pub(super) type Reply = Response<ReplyBody>;

/// An answer instead of what was asked for. Boxed, for it is rare and an answer is large.
pub(super) type Refusal = Box<Reply>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200 with JSON.
pub(super) fn json(body: impl Into<Bytes>) -> Reply {
    with(StatusCode::OK, JSON, body)
}

/// An answer with a body of some content type.
pub(super) fn with(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    with_body(status, content_type, ReplyBody::whole(body))
}

/// An answer whose body is not one piece.
pub(super) fn with_body(status: StatusCode, content_type: HeaderValue, body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, content_type);
    reply
}

/// An answer that its client may have already, as the tag in `request` tells: then 304 and no body.
pub(super) fn tagged(
    request: &HeaderMap,
    tag: HeaderValue,
    content_type: HeaderValue,
    body: impl FnOnce() -> ReplyBody,
) -> Reply {
    let (status, body) = if negotiation::has(request, &tag) {
        (StatusCode::NOT_MODIFIED, ReplyBody::whole(""))
    } else {
        (StatusCode::OK, body())
    };
    let mut reply = with_body(status, content_type, body);
    let headers = reply.headers_mut();
    headers.insert(header::ETAG, tag);
    // The tag makes it cheap to ask, the age worth it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

/// An error: a stable code, and one sentence that a person can act on.
pub(super) fn error(status: StatusCode, code: &str, detail: &str) -> Reply {
    let mut body = Vec::with_capacity(detail.len() + 64);
    answer::write_error(&mut body, code, detail);
    with(status, JSON, body)
}

/// A parameter of the URL that cannot be used, and what to send instead.
pub(super) fn invalid_parameter(detail: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
}

/// An error that passes: the client should try again after so many seconds.
pub(super) fn retry(status: StatusCode, seconds: u32, code: &str, detail: &str) -> Reply {
    let mut reply = error(status, code, detail);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// An error whose body was rendered already.
pub(super) fn rendered_error(status: StatusCode, body: Vec<u8>) -> Reply {
    with(status, JSON, body)
}
