//! Requests on a fast path: what is called plain is that to whoever reads it by the book.

use httparse::{EMPTY_HEADER, Request, Status};
use noetl_metrics::http::{Missing, Parsed, PlainRequest};

/// The bytes as what has come on a connection.
pub(super) fn run(bytes: &[u8]) {
    for body_bytes_max in [0, 16, usize::MAX] {
        let parsed = Parsed::of(bytes, body_bytes_max);
        match &parsed {
            Parsed::Plain(request) => holds(bytes, request, body_bytes_max),
            Parsed::Incomplete(_) => assert!(bytes.len() <= 64 << 10, "kept without a bound"),
            Parsed::Other => {}
        }
        let by_the_book = by_the_book(bytes, body_bytes_max);
        let told = match parsed {
            Parsed::Plain(request) => Some(request.body.len()),
            Parsed::Incomplete(Missing::Body) => by_the_book,
            Parsed::Incomplete(Missing::Head) | Parsed::Other => None,
        };
        assert_eq!(told, by_the_book);
    }
}

fn holds(bytes: &[u8], request: &PlainRequest<'_>, body_bytes_max: usize) {
    let whole = &bytes[..request.bytes()];
    assert_eq!([request.head, request.body].concat(), whole);
    assert!(request.body.len() <= body_bytes_max);
    assert_eq!(&Parsed::of(whole, body_bytes_max), &Parsed::Plain(request.clone()));
    // Nothing is a request before it is whole.
    let head = request.head.len();
    for end in (0..whole.len()).step_by(1 + whole.len() / 64).chain([head - 1, whole.len() - 1]) {
        let missing = if end < head { Missing::Head } else { Missing::Body };
        assert_eq!(Parsed::of(&whole[..end], body_bytes_max), Parsed::Incomplete(missing), "{end}");
    }
}

/// The calls that are answered in one piece.
const CALLS: &[(&[&str], &str)] = &[
    (&["POST"], "/api/metrics/report"),
    (&["POST"], "/api/metrics/self-report"),
    (&["GET"], "/api/metrics/cardinality"),
    (&["GET"], "/api/metrics/components"),
    (&["POST"], "/api/runtime/register"),
    (&["DELETE"], "/api/runtime/deregister"),
    (&["POST"], "/api/worker/pool/register"),
    (&["DELETE", "POST"], "/api/worker/pool/deregister"),
    (&["POST"], "/api/worker/pool/heartbeat"),
    (&["GET"], "/api/worker/pools"),
    (&["GET"], "/api/metrics/partitions"),
    (&["POST"], "/api/metrics/partitions/create"),
    (&["POST"], "/api/metrics/cleanup"),
    (&["POST"], "/api/metrics/ttl/set"),
    (&["POST"], "/api/metrics/ttl/extend-component"),
    (&["GET"], "/health"),
    (&["GET"], "/ready"),
    (&["GET"], "/metrics"),
];

/// The length of the body where the head is complete and that of a plain request.
fn by_the_book(bytes: &[u8], body_bytes_max: usize) -> Option<usize> {
    let mut headers = [EMPTY_HEADER; 32];
    let mut request = Request::new(&mut headers);
    let Ok(Status::Complete(head)) = request.parse(bytes) else { return None };
    let (method, target) = (request.method?, request.path?);
    let path = target.split('?').next()?;
    let is_called =
        CALLS.iter().any(|(methods, known)| *known == path && methods.contains(&method));
    // What hyper would skip or mend is its own to judge.
    let line = format!("{method} {target} HTTP/1.1\r\n");
    let is_text = line.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n'));
    if !is_called
        || !is_text
        || head > 8 << 10
        || line.len() > 256
        || !bytes.starts_with(line.as_bytes())
    {
        return None;
    }
    let all = |name: &str| -> Vec<&[u8]> {
        let headers = request.headers.iter();
        headers.filter(|header| header.name.eq_ignore_ascii_case(name)).map(|it| it.value).collect()
    };
    let asks = ["transfer-encoding", "expect", "upgrade"].iter().any(|name| !all(name).is_empty());
    let stays = all("connection").iter().all(|value| value.eq_ignore_ascii_case(b"keep-alive"));
    let length = match all("content-length")[..] {
        [] => b"0",
        [length] => length,
        _ => return None,
    };
    let digits = length.iter().all(u8::is_ascii_digit) && length.len() < 10;
    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
    let plain = !asks && stays && digits && length <= body_bytes_max.min(56 << 10);
    plain.then_some(length)
}
