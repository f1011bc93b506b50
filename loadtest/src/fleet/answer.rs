//! What an answer means for the report that was sent. Pure.

use std::time::Duration;

use crate::wire::Head;

/// The verdict on a request that was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All its samples are the server's now.
    Acknowledged,
    /// The same bytes are to be sent again, after so long where the server says so.
    TryAgain(Option<Duration>),
    /// They would never be taken; the reason for a person.
    Refused(String),
}

/// Judges an answer to a request that held `samples` samples.
pub(crate) fn judge(head: &Head, body: &[u8], samples: u64) -> Verdict {
    let refused = |what: &str| {
        let body = String::from_utf8_lossy(&body[..body.len().min(300)]);
        Verdict::Refused(format!("{what}: {} {body}", head.status))
    };
    match head.status {
        200..=299 if find(body, br#""metrics_rejected""#).is_some() => {
            refused("the server rejected metrics of a report")
        }
        200..=299 => match number_after(body, br#""metrics_inserted":"#) {
            Some(inserted) if inserted != samples => {
                refused(&format!("the server took other than the {samples} samples sent"))
            }
            _ => Verdict::Acknowledged,
        },
        429 | 500..=599 => Verdict::TryAgain(head.retry_after),
        _ => refused("the server refused a report"),
    }
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// The number behind `key`; a JSON parser would be the dearest part of an answer of 80 bytes.
fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    let rest = text[find(text, key)? + key.len()..].trim_ascii_start();
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        let retry_after = (status == 429).then(|| Duration::from_secs(2));
        let head = Head { status, body: 0..body.len(), closes: false, retry_after };
        judge(&head, body.as_bytes(), 10)
    }

    #[test]
    fn acknowledged() {
        let check = |status, body| assert_eq!(verdict(status, body), Verdict::Acknowledged);
        check(200, r#"{"status":"ok","runtime_id":1,"metrics_inserted":10,"durable":true}"#);
        check(200, r#"{"status": "ok", "metrics_inserted": 10}"#);
        check(204, "");
    }

    #[test]
    fn tried_again() {
        assert_eq!(verdict(503, ""), Verdict::TryAgain(None));
        assert_eq!(verdict(500, "oops"), Verdict::TryAgain(None));
        assert_eq!(verdict(429, ""), Verdict::TryAgain(Some(Duration::from_secs(2))));
    }

    #[test]
    fn refused() {
        let check = |status, body| {
            assert!(matches!(verdict(status, body), Verdict::Refused(_)), "{status} {body}");
        };
        check(400, "no metrics");
        check(404, "Component 'x' not found in runtime registry");
        check(302, "");
        check(200, r#"{"status":"ok","metrics_inserted":9}"#);
        check(200, r#"{"metrics_inserted":10,"metrics_rejected":[{"index":3}]}"#);
    }
}
