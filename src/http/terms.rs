//! What the head of a request says of its body.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::reply::{self, Refusal};
use crate::protocol::Encoding;
use crate::registry::CLIENT_KEY_BYTES_MAX;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One report.
    Json,
    /// One report a line.
    Lines,
}

/// What is said of a report beside its body. Made of headers, whoever has read them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) key: Option<&'a [u8]>,
}

impl<'a> Terms<'a> {
    /// By the values of `Content-Type`, `Content-Encoding` and `Idempotency-Key`.
    pub(super) fn of(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        key: Option<&'a [u8]>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            format: format(content_type)?,
            encoding: encoding(content_encoding)?,
            key: idempotency_key(key)?,
        })
    }
}

pub(super) fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

pub(super) fn format(content_type: Option<&[u8]>) -> Result<Format, Refusal> {
    let Some(value) = content_type else { return Ok(Format::Json) };
    let media_type = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media_type.eq_ignore_ascii_case(b"application/json") {
        Ok(Format::Json)
    } else if media_type.eq_ignore_ascii_case(b"application/x-ndjson")
        || media_type.eq_ignore_ascii_case(b"application/ndjson")
    {
        Ok(Format::Lines)
    } else {
        Err(Box::new(reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            "send application/json, or application/x-ndjson with one report a line",
        )))
    }
}

pub(super) fn encoding(content_encoding: Option<&[u8]>) -> Result<Encoding, Refusal> {
    let Some(value) = content_encoding else { return Ok(Encoding::Identity) };
    // A value that is no text is no encoding either.
    Encoding::parse(str::from_utf8(value).unwrap_or("?")).map_err(|error| {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Box::new(reply::error(status, error.code(), &error.to_string()))
    })
}

fn idempotency_key(key: Option<&[u8]>) -> Result<Option<&[u8]>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > CLIENT_KEY_BYTES_MAX {
        let detail =
            format!("Idempotency-Key has {} bytes; send 1 to {CLIENT_KEY_BYTES_MAX}", key.len());
        return Err(Box::new(reply::error(
            StatusCode::BAD_REQUEST,
            "invalid_idempotency_key",
            &detail,
        )));
    }
    Ok(Some(key))
}
