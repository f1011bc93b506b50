//! The status page at `/`: one document that shows people how the server is doing.
//!
//! Its parts are files of their own under `status/`, joined when the server is compiled. What it
//! shows it asks of the paths that anybody may ask, so there is nothing here but bytes. Charts are
//! drawn by uPlot 1.6.32, as it comes from npm, with its licence.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::negotiation;
use super::reply::{self, Reply};
use super::reply_body::ReplyBody;

const PAGE: &str = include_str!("status/page.html");

const STYLE: &str =
    concat!(include_str!("status/uplot/uPlot.min.css"), include_str!("status/style.css"));

const SCRIPT: &str = concat!(
    include_str!("status/uplot/uPlot.iife.min.js"),
    "(() => {\n\"use strict\";\n",
    include_str!("status/script/format.js"),
    include_str!("status/script/exposition.js"),
    include_str!("status/script/server.js"),
    include_str!("status/script/grid.js"),
    include_str!("status/script/overview.js"),
    include_str!("status/script/components.js"),
    include_str!("status/script/partitions.js"),
    include_str!("status/script/series.js"),
    include_str!("status/script/chart.js"),
    include_str!("status/script/main.js"),
    "})();\n",
);

const LICENCE: &str = include_str!("status/uplot/LICENSE");

struct Document {
    plain: Bytes,
    gzip: Bytes,
    policy: HeaderValue,
    tags: [HeaderValue; 2],
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);

impl Document {
    fn new() -> Self {
        let style = format!("<style>{STYLE}</style>");
        let script = format!("<!-- Charts by uPlot.\n{LICENCE}-->\n<script>{SCRIPT}</script>");
        let plain = PAGE.replace("<!--style-->", &style).replace("<!--script-->", &script);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(plain.as_bytes()).expect("writing to a Vec cannot fail");
        let gzip = gzip.finish().expect("writing to a Vec cannot fail");
        // Only what stands in this page may run, and it may speak to this server only.
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest(SCRIPT),
            digest(STYLE),
        );
        let tag = |coding| value(&format!("\"{}{coding}\"", &digest(&plain)[..16]));
        let tags = [tag(""), tag("-gzip")];
        Self { policy: value(&policy), tags, plain: plain.into(), gzip: gzip.into() }
    }
}

/// The SHA-256 of a text in base64, as a policy wants it.
fn digest(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(44);
    for group in Sha256::digest(text).chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            encoded.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    // 32 bytes leave one digit over.
    encoded + "="
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("policies and tags are visible ASCII")
}

/// `GET /`
pub(super) fn page(headers: &HeaderMap) -> Reply {
    let document = &*DOCUMENT;
    let gzip = negotiation::accepts_gzip(headers);
    let tag = &document.tags[usize::from(gzip)];
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let body = if gzip { &document.gzip } else { &document.plain };
    let mut reply = reply::tagged(headers, tag.clone(), html, || ReplyBody::whole(body.clone()));
    let unchanged = reply.status() == StatusCode::NOT_MODIFIED;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, document.policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if gzip && !unchanged {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_in_base64() {
        assert_eq!(digest(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(digest("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn the_parts_are_in_the_page_and_end_where_they_should() {
        let page = std::str::from_utf8(&DOCUMENT.plain).unwrap();
        assert!(!page.contains("<!--style-->") && !page.contains("<!--script-->"));
        assert!(page.contains("Leon Sorokin"), "the licence of uPlot");
        for (part, end) in [(STYLE, "</style"), (SCRIPT, "</script"), (SCRIPT, "<!--")] {
            assert!(!part.contains(end), "{end} would end a part early");
        }
    }
}
