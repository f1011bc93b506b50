//! Plain requests, told from all others by their bytes.

use bytes::Bytes;
use httparse::{EMPTY_HEADER, Header, Status, parse_headers};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Uri};

use crate::http::request_body::{Request, RequestBody};
use crate::http::routes::{self, Handler};

/// How a report begins, byte for byte.
const REPORT: &[u8] = b"POST /api/metrics/report HTTP/1.1\r\n";
/// Bytes of another first line.
const LINE_BYTES_MAX: usize = 256;
/// Headers of a plain request.
const HEADERS_MAX: usize = 32;
/// Bytes of its head.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// Bytes of its body.
const BODY_BYTES_MAX: usize = 56 << 10;
/// Bytes of all of it.
pub(super) const BYTES_MAX: usize = HEAD_BYTES_MAX + BODY_BYTES_MAX;

/// What bytes are the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A plain request, which may be followed by the next one.
    Plain(PlainRequest<'a>),
    /// Up to now, one.
    Incomplete(Missing),
    /// Something else.
    Other,
}

/// What an incomplete request lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The end of its head, and all of its body.
    Head,
    /// The end of its body.
    Body,
}

/// A call that is answered in one piece, whose body is here, and whose head asks for nothing that concerns the
/// connection. Values are those of the first header of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainRequest<'a> {
    /// Whether it is a report.
    pub is_report: bool,
    /// `Authorization`
    pub authorization: Option<&'a [u8]>,
    /// `Content-Type`
    pub content_type: Option<&'a [u8]>,
    /// `Content-Encoding`
    pub content_encoding: Option<&'a [u8]>,
    /// `Idempotency-Key`
    pub key: Option<&'a [u8]>,
    /// All before the body.
    pub head: &'a [u8],
    /// What follows the head.
    pub body: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Reads as far as is needed to tell. Bodies above `body_bytes_max` are not plain.
    pub fn of(bytes: &'a [u8], body_bytes_max: usize) -> Self {
        let (is_report, line) = match line(bytes) {
            Ok(line) => line,
            Err(not_plain) => return not_plain,
        };
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        match parse_headers(&bytes[line..], &mut headers) {
            Ok(Status::Complete((bytes_of_headers, headers))) => {
                let head = line + bytes_of_headers;
                if head > HEAD_BYTES_MAX {
                    return Self::Other;
                }
                let (head, rest) = bytes.split_at(head);
                Self::with_headers(is_report, head, headers, rest, body_bytes_max)
            }
            Ok(Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => Self::Incomplete(Missing::Head),
            Ok(Status::Partial) | Err(_) => Self::Other,
        }
    }

    fn with_headers(
        is_report: bool,
        head: &'a [u8],
        headers: &[Header<'a>],
        rest: &'a [u8],
        body_bytes_max: usize,
    ) -> Self {
        let (mut authorization, mut content_type) = (None, None);
        let (mut content_encoding, mut key) = (None, None);
        let mut length = None;
        for header in headers {
            let (name, value) = (header.name, header.value);
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let place = match name.len() {
                14 if is("content-length") => {
                    // Two of them are a way to have two servers see two different requests.
                    match (length, number(value)) {
                        (None, Some(number)) => length = Some(number),
                        _ => return Self::Other,
                    }
                    continue;
                }
                10 if is("connection") && !value.eq_ignore_ascii_case(b"keep-alive") => {
                    return Self::Other;
                }
                17 if is("transfer-encoding") => return Self::Other,
                6 if is("expect") => return Self::Other,
                7 if is("upgrade") => return Self::Other,
                12 if is("content-type") => &mut content_type,
                13 if is("authorization") => &mut authorization,
                16 if is("content-encoding") => &mut content_encoding,
                15 if is("idempotency-key") => &mut key,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        let length = length.unwrap_or(0);
        if length > body_bytes_max.min(BODY_BYTES_MAX) {
            return Self::Other;
        }
        match rest.get(..length) {
            None => Self::Incomplete(Missing::Body),
            Some(body) => Self::Plain(PlainRequest {
                is_report,
                authorization,
                content_type,
                content_encoding,
                key,
                head,
                body,
            }),
        }
    }
}

impl PlainRequest<'_> {
    /// Bytes of head and body.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// The same as hyper would have read it; `None` where it would not.
    pub(super) fn to_request(&self) -> Option<Request> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut head = httparse::Request::new(&mut headers);
        head.parse(self.head).ok()?;
        let body = RequestBody::Whole(Bytes::copy_from_slice(self.body));
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
        *request.uri_mut() = Uri::try_from(head.path?).ok()?;
        for header in head.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(header.value).ok()?);
        }
        Some(request)
    }
}

/// Whether the first line is that of a report, and its bytes.
fn line(bytes: &[u8]) -> Result<(bool, usize), Parsed<'_>> {
    if bytes.starts_with(REPORT) {
        return Ok((true, REPORT.len()));
    }
    let start = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let end = start.windows(2).position(|two| two == b"\r\n");
    let line = &start[..end.unwrap_or(start.len())];
    if !line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r')) {
        return Err(Parsed::Other);
    }
    let Some(end) = end else {
        let may_come = bytes.len() < LINE_BYTES_MAX;
        return Err(if may_come { Parsed::Incomplete(Missing::Head) } else { Parsed::Other });
    };
    match handler(line) {
        Some(handler) if handler.answers_whole() => Ok((handler == Handler::Report, end + 2)),
        _ => Err(Parsed::Other),
    }
}

/// Who answers a request with that first line.
fn handler(line: &[u8]) -> Option<Handler> {
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let path = target.split('?').next().unwrap_or_default();
    let operation = routes::find(path)?.operation(&method)?;
    // Who asks for a head alone gets no body, which hyper knows.
    (method != Method::HEAD).then_some(operation.handler)
}

/// Of digits alone.
fn number(digits: &[u8]) -> Option<usize> {
    let is_plain = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_plain.then(|| digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &str, body: &str) -> Vec<u8> {
        let line = str::from_utf8(REPORT).unwrap();
        let length = body.len();
        format!("{line}host: it\r\n{headers}content-length: {length}\r\n\r\n{body}").into()
    }

    #[test]
    fn the_line_of_reports_is_that_of_their_route() {
        assert_eq!(handler(REPORT.strip_suffix(b"\r\n").unwrap()), Some(Handler::Report));
        let report = routes::find("/api/metrics/report").unwrap();
        assert_eq!(report.operation(&Method::POST).unwrap().needs, routes::WRITE);
    }

    #[test]
    fn a_plain_request_is_known_as_soon_as_it_is_whole_and_not_before() {
        let headers = "Content-Type: a\r\nAUTHORIZATION: b\r\ncontent-encoding: c\r\n\
                       Idempotency-Key: d\r\ncontent-type: other\r\nconnection: Keep-Alive\r\n";
        let report = request(headers, "{\"body\"}");
        let text = str::from_utf8(&report).unwrap();
        let call =
            text.replacen("POST /api/metrics/report", "DELETE /api/worker/pool/deregister", 1);
        for (whole, is_report) in [(report.as_slice(), true), (call.as_bytes(), false)] {
            let head = whole.len() - 8;
            for end in 0..whole.len() {
                let missing = if end < head { Missing::Head } else { Missing::Body };
                assert_eq!(Parsed::of(&whole[..end], 100), Parsed::Incomplete(missing), "{end}");
            }
            let expected = PlainRequest {
                is_report,
                authorization: Some(b"b"),
                content_type: Some(b"a"),
                content_encoding: Some(b"c"),
                key: Some(b"d"),
                head: &whole[..head],
                body: b"{\"body\"}",
            };
            for next in ["", "P", "GET / HTTP/1.1\r\n\r\n"] {
                let bytes = [whole, next.as_bytes()].concat();
                let Parsed::Plain(plain) = Parsed::of(&bytes, 8) else { panic!("{next}") };
                assert_eq!(plain, expected);
                assert_eq!(plain.bytes(), whole.len());
            }
        }
    }

    #[test]
    fn a_plain_request_is_read_as_hyper_would() {
        let bytes = b"GET /api/worker/pools?a=%20b HTTP/1.1\r\nX-A: 1\r\nx-a:  2 \r\n\r\n";
        let Parsed::Plain(plain) = Parsed::of(bytes, 8) else { panic!("not plain") };
        let request = plain.to_request().unwrap();
        assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/api/worker/pools"));
        assert_eq!(request.uri().query(), Some("a=%20b"));
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
    }

    fn request_bytes(method: &str, target: &str) -> Vec<u8> {
        format!("{method} {target} HTTP/1.1\r\n\r\n").into()
    }

    #[test]
    fn what_asks_for_more_is_left_to_others() {
        let other = |bytes: &[u8]| assert_eq!(Parsed::of(bytes, 100), Parsed::Other, "{bytes:?}");
        for line in ["POST /api/metrics/report HTTP/1.0\r\n", "\r\nPOST", "\u{16}\u{3}"] {
            other(line.as_bytes());
        }
        for (method, target) in [
            ("post", "/api/metrics/report"),
            ("POST ", "/api/metrics/report"),
            ("PUT", "/api/metrics/report"),
            ("HEAD", "/health"),
            ("GET", "/nothing"),
            ("GET", "http://it/health"),
            ("GET", "/health?\u{7f}"),
            ("GET", "/docs"),
            ("GET", "/api/metrics/prometheus"),
            ("GET", "/api/metrics/query?limit=1"),
        ] {
            other(&request_bytes(method, target));
        }
        for headers in [
            "content-length: 0\r\n",
            "transfer-encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "connection: close\r\n",
            "connection: keep-alive, upgrade\r\n",
            "upgrade: h2c\r\n",
            "no header\r\n",
            " folded: 1\r\n",
        ] {
            other(&request(headers, ""));
        }
        other(&request(&"a: b\r\n".repeat(HEADERS_MAX), ""));
        other(&request(&format!("a: {}\r\n", "b".repeat(HEAD_BYTES_MAX)), ""));
        let endless = format!("a: {}", "b".repeat(HEAD_BYTES_MAX));
        other(&[REPORT, endless.as_bytes()].concat());
        other("G".repeat(LINE_BYTES_MAX).as_bytes());
        for length in ["", "+1", "-1", "1 ", "0x1", "1e1", "101", "9999999999", "1,1", "one"] {
            let head = format!("content-length: {length}x\r\n\r\n");
            other(&[REPORT, head.as_bytes()].concat());
        }
        other(&[REPORT, b"content-length: 101\r\n\r\n".as_slice()].concat());
    }
}
