//! Whether a request may be made at all, decided before its body is read.

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use super::reply::{self, Refusal, Reply};
use super::report;
use super::request_body::Request;
use super::routes::Needs;
use crate::access::{Caller, Denied, Gate, Remembered};

/// How much of the body of a stranger is read so that it sees the answer. What is read is dropped
/// at once, so that it costs no memory.
const DISCARD_BYTES: usize = 16 << 20;

/// Who makes the request, if they may.
pub(super) fn admit(
    gate: &Gate,
    connection: &Remembered,
    authorization: Option<&[u8]>,
    needs: Needs,
) -> Result<Caller, Denied> {
    match needs {
        Needs::Nothing => Ok(Caller::trusted().clone()),
        Needs::Token(scope) => gate.admit(connection, authorization, scope),
    }
}

/// The answer to who may not, with what is needed in the words of RFC 6750.
pub(super) fn denied(denied: Denied) -> Reply {
    let (status, code) = match denied {
        Denied::Missing => (StatusCode::UNAUTHORIZED, "missing_token"),
        Denied::Unknown => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Denied::Scope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
    };
    let mut reply = reply::error(status, code, &denied.to_string());
    reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge(denied));
    reply
}

/// The answer to who has to come with something else, or at another time: so that it is seen, the
/// body is taken off the connection first.
pub(super) async fn turn_away(reply: Reply, request: &mut Request) -> Reply {
    report::after_so_much(reply, request, DISCARD_BYTES).await
}

fn challenge(denied: Denied) -> HeaderValue {
    match denied {
        Denied::Missing => HeaderValue::from_static(r#"Bearer realm="noetl-metrics""#),
        Denied::Unknown => {
            HeaderValue::from_static(r#"Bearer realm="noetl-metrics", error="invalid_token""#)
        }
        Denied::Scope(scope) => {
            let text = format!(
                r#"Bearer realm="noetl-metrics", error="insufficient_scope", scope="{}""#,
                scope.as_str()
            );
            HeaderValue::try_from(text).expect("a scope is a word")
        }
    }
}

/// Whether the caller may be the component that a body names.
pub(super) fn permit(caller: &Caller, component: &str) -> Result<(), Refusal> {
    if caller.may_be(component) {
        return Ok(());
    }
    let detail = format!(
        "this token may not be used for component '{component}'; use the token of that component, \
         or have the server's operator make one with a pattern for it"
    );
    Err(Box::new(reply::error(StatusCode::FORBIDDEN, "component_not_allowed", &detail)))
}
