//! Reads the head of an answer and finds the end of its body. Pure: bytes in, verdict out.

use std::ops::Range;
use std::time::Duration;

const HEADERS_MAX: usize = 64;

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not all of the answer is here yet.
    Partial,
    /// The answer is complete.
    Complete(Head),
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// HTTP status code.
    pub(crate) status: u16,
    /// Where its body is in the bytes given.
    pub(crate) body: Range<usize>,
    /// The server will close the connection.
    pub(crate) closes: bool,
    /// The server asks to come back after so long.
    pub(crate) retry_after: Option<Duration>,
}

/// Reads one answer from the beginning of `bytes`. The error is a sentence.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_len)) => head_len,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(error) => return Err(format!("the answer is not HTTP/1.1: {error}")),
    };
    let status = response.code.unwrap_or(0);
    let mut length = None;
    let mut closes = response.version == Some(0);
    let mut retry_after = None;
    for header in response.headers.iter() {
        let text = || std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            let parsed = text().parse::<usize>();
            length = Some(parsed.map_err(|_| format!("bad content-length '{}'", text()))?);
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = text().eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            retry_after = text().parse().ok().map(Duration::from_secs);
        }
    }
    let length = match (length, status) {
        (_, 204 | 304) => 0,
        (Some(length), _) => length,
        (None, _) => return Err(format!("the answer {status} has no content-length")),
    };
    let Some(end) = head_len.checked_add(length) else {
        return Err(format!("absurd content-length {length}"));
    };
    if bytes.len() < end {
        return Ok(Parsed::Partial);
    }
    Ok(Parsed::Complete(Head { status, body: head_len..end, closes, retry_after }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Head {
        match parse(text.as_bytes()).unwrap() {
            Parsed::Complete(head) => head,
            Parsed::Partial => panic!("partial: {text}"),
        }
    }

    #[test]
    fn an_answer_is_complete_with_its_last_byte_only() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]).unwrap(), Parsed::Partial, "{end}");
        }
        let head = complete(text);
        assert_eq!(head.status, 200);
        assert_eq!(&text[head.body], "{\"status\":\"ok\"}");
        assert!(!head.closes);
    }

    #[test]
    fn answers_without_a_body() {
        assert_eq!(complete("HTTP/1.1 204 No Content\r\n\r\n").body.len(), 0);
        assert_eq!(complete("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").body.len(), 0);
    }

    #[test]
    fn closing_and_coming_back() {
        let check = |headers: &str, closes: bool, retry_after: Option<u64>| {
            let head = complete(&format!("HTTP/1.1 503 X\r\ncontent-length:0\r\n{headers}\r\n"));
            assert_eq!((head.closes, head.retry_after.map(|d| d.as_secs())), (closes, retry_after));
        };
        check("", false, None);
        check("Connection: Close\r\n", true, None);
        check("connection: keep-alive\r\nRETRY-AFTER: 7\r\n", false, Some(7));
        check("retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n", false, None);
        assert!(complete("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").closes);
    }

    #[test]
    fn what_is_refused() {
        let check = |text: &str| assert!(parse(text.as_bytes()).is_err(), "{text}");
        check("SSH-2.0-OpenSSH_9.2\r\n");
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        check("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n");
        check("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n");
    }
}
