//! What an answer asks of the client, by the table of errors in `docs/api.md`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

/// An answer, received whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) ahead_s: Option<f64>,
    pub(super) body: Bytes,
}

/// What is to be done with what was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is on the server's disk, but for these.
    Taken(Rejects),
    /// It is to be sent again, not before that time where one is named.
    Again {
        /// The time.
        after: Option<Duration>,
        /// What the server says.
        said: String,
    },
    /// Who sends it is not let in. A token is replaced, widened or named by hand, and what was
    /// measured can wait for that.
    Denied {
        /// The code of the error.
        code: String,
        /// What the server says.
        said: String,
    },
    /// The component has to register first; then it is to be sent again.
    Unregistered,
    /// It would be refused again.
    Refused {
        /// The code of the error.
        code: String,
        /// What the server says.
        said: String,
    },
}

/// The metrics of a report that were not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejects {
    /// How many.
    pub count: u64,
    /// Why the first of them was not.
    pub reason: String,
}

impl Answer {
    /// What is to be done.
    pub fn outcome(&self) -> Outcome {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let said = match text("detail") {
            detail if detail.is_empty() => format!("status {}", self.status),
            detail => detail,
        };
        let code = text("error");
        match self.status {
            // A proxy's page is no promise.
            200 if body["status"] == "ok" => Outcome::Taken(rejects(&body)),
            404 if code == "component_not_found" => Outcome::Unregistered,
            400 if code == "body_broken" => Outcome::Again { after: None, said },
            401 | 403 => Outcome::Denied { code, said },
            408 | 429 | 500.. => Outcome::Again { after: self.retry_after, said },
            // Neither the contract's 200 nor an error: somebody else answers there, for now.
            ..400 => {
                Outcome::Again { after: None, said: format!("no answer of the server: {said}") }
            }
            _ => Outcome::Refused { code, said },
        }
    }

    /// The value of the answer's field `status`, such as `unknown` for a heartbeat.
    pub fn status_word(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        (self.status == 200).then(|| body["status"].as_str().map(str::to_owned))?
    }

    /// By how many seconds this host's clock is ahead of the server's, to about a second.
    pub fn ahead_s(&self) -> Option<f64> {
        self.ahead_s
    }
}

fn rejects(body: &Value) -> Rejects {
    let listed = body["metrics_rejected"].as_array();
    let first = listed.and_then(|all| all.first());
    let listed = listed.map_or(0, |all| all.len() as u64);
    Rejects {
        count: body["metrics_rejected_count"].as_u64().unwrap_or(listed),
        reason: first.and_then(|one| one["reason"].as_str()).unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, retry_after: Option<u64>, body: &'static str) -> Outcome {
        let retry_after = retry_after.map(Duration::from_secs);
        let body = Bytes::from_static(body.as_bytes());
        Answer { status, retry_after, ahead_s: None, body }.outcome()
    }

    #[test]
    fn outcomes_are_those_of_the_contract() {
        let taken =
            |count, reason: &str| Outcome::Taken(Rejects { count, reason: reason.to_owned() });
        assert_eq!(outcome(200, None, r#"{"status":"ok","metrics_inserted":1}"#), taken(0, ""));
        let some = r#"{"status":"ok","metrics_rejected":[{"index":1,"reason":"r"},{"index":2,"reason":"s"}]}"#;
        assert_eq!(outcome(200, None, some), taken(2, "r"));
        let many =
            r#"{"status":"ok","metrics_rejected":[{"reason":"r"}],"metrics_rejected_count":1001}"#;
        assert_eq!(outcome(200, None, many), taken(1001, "r"));
        let error = r#"{"status":"error","error":"log_over_budget","detail":"wait"}"#;
        let again = |after, said: &str| Outcome::Again { after, said: said.to_owned() };
        assert_eq!(outcome(429, Some(7), error), again(Some(Duration::from_secs(7)), "wait"));
        assert_eq!(outcome(503, None, "<html>"), again(None, "status 503"));
        assert_eq!(outcome(408, None, ""), again(None, "status 408"));
        assert_eq!(outcome(502, None, ""), again(None, "status 502"));
        let stranger = r#"{"error":"invalid_token","detail":"d"}"#;
        let denied = |code: &str, said: &str| Outcome::Denied {
            code: code.to_owned(),
            said: said.to_owned(),
        };
        assert_eq!(outcome(401, None, stranger), denied("invalid_token", "d"));
        assert_eq!(outcome(403, None, "<html>"), denied("", "status 403"));
        let broken = r#"{"error":"body_broken","detail":"d"}"#;
        assert_eq!(outcome(400, None, broken), again(None, "d"));
        let unknown = r#"{"error":"component_not_found","detail":"d"}"#;
        assert_eq!(outcome(404, None, unknown), Outcome::Unregistered);
        let refused = |code: &str, said: &str| Outcome::Refused {
            code: code.to_owned(),
            said: said.to_owned(),
        };
        let invalid = r#"{"error":"invalid_json","detail":"d"}"#;
        assert_eq!(outcome(400, None, invalid), refused("invalid_json", "d"));
        assert_eq!(outcome(404, None, ""), refused("", "status 404"));
        assert_eq!(outcome(409, None, ""), refused("", "status 409"));
    }

    #[test]
    fn a_page_of_somebody_else_is_no_promise() {
        for (status, body) in [(200, "<html>"), (200, "{}"), (204, ""), (302, "")] {
            assert!(matches!(outcome(status, None, body), Outcome::Again { .. }), "{status}");
        }
    }
}
