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

use super::negotiation;
use super::policy::{self, digest};
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
        let policy = policy::of(&format!(
            "script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'",
            digest(SCRIPT),
            digest(STYLE),
        ));
        let tag = |coding| value(&format!("\"{}{coding}\"", &digest(&plain)[..16]));
        let tags = [tag(""), tag("-gzip")];
        Self { policy, tags, plain: plain.into(), gzip: gzip.into() }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("tags are visible ASCII")
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
    policy::insert(headers, &document.policy);
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
    fn the_parts_are_in_the_page_and_end_where_they_should() {
        let page = std::str::from_utf8(&DOCUMENT.plain).unwrap();
        assert!(!page.contains("<!--style-->") && !page.contains("<!--script-->"));
        assert!(page.contains("Leon Sorokin"), "the licence of uPlot");
        for (part, end) in [(STYLE, "</style"), (SCRIPT, "</script"), (SCRIPT, "<!--")] {
            assert!(!part.contains(end), "{end} would end a part early");
        }
    }
}
