//! Answers to plain requests, head and body in one piece.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header;
use hyper::http::HeaderName;

use crate::http::reply::Reply;

/// What an answer says about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// It goes on, about which HTTP/1.1 says nothing.
    Stays,
    /// It ends with this answer.
    Ends,
}

/// 200 with JSON.
pub(super) fn accepted(out: &mut Vec<u8>, body: &[u8], connection: Connection) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
    end(out, body, connection);
}

/// An answer whose body is in one piece, as those to plain requests are.
pub(super) fn rendered(out: &mut Vec<u8>, reply: Reply, connection: Connection) {
    let (head, body) = reply.into_parts();
    let (code, reason) = (head.status.as_str(), head.status.canonical_reason().unwrap_or_default());
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.headers.iter().filter(|(name, _)| **name != header::CONNECTION) {
        line(out, name, value.as_bytes());
    }
    end(out, &body.into_whole(), connection);
}

fn end(out: &mut Vec<u8>, body: &[u8], connection: Connection) {
    if connection == Connection::Ends {
        line(out, &header::CONNECTION, b"close");
    }
    line(out, &header::CONTENT_LENGTH, itoa::Buffer::new().format(body.len()).as_bytes());
    with_date(|date| line(out, &header::DATE, date));
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn line(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writing a date takes longer than the rest of an answer, so each thread does it once a second.
fn with_date(take: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    DATE.with_borrow_mut(|(of, date)| {
        if *of != second || date.is_empty() {
            *of = second;
            *date = httpdate::fmt_http_date(now);
        }
        take(date.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply;
    use hyper::StatusCode;

    /// Head and body, and the date taken out.
    fn split(out: Vec<u8>) -> (String, String) {
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (dates, lines): (Vec<&str>, Vec<&str>) =
            head.split("\r\n").partition(|line| line.starts_with("date: "));
        let [date] = dates[..] else { panic!("{head}") };
        let date = httpdate::parse_http_date(date.strip_prefix("date: ").unwrap()).unwrap();
        assert!(date.elapsed().unwrap().as_secs() < 60, "{head}");
        (lines.join("\n"), body.to_owned())
    }

    #[test]
    fn an_answer_has_its_length_and_the_date() {
        let mut out = Vec::new();
        accepted(&mut out, b"{}", Connection::Stays);
        let head = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2";
        assert_eq!(split(out), (head.to_owned(), "{}".to_owned()));
        let mut out = Vec::new();
        accepted(&mut out, b"", Connection::Ends);
        assert!(split(out).0.contains("\nconnection: close\n"));
    }

    #[test]
    fn a_refusal_keeps_its_headers() {
        let reply = reply::retry(StatusCode::TOO_MANY_REQUESTS, 7, "busy", "come again");
        let mut out = Vec::new();
        rendered(&mut out, reply, Connection::Stays);
        let (head, body) = split(out);
        assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\n"), "{head}");
        assert!(head.contains("\nretry-after: 7\n"), "{head}");
        assert!(head.ends_with(&format!("\ncontent-length: {}", body.len())), "{head}");
        assert!(body.contains("\"busy\""), "{body}");
    }
}
