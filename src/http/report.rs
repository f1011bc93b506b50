//! `POST /api/metrics/report`: decode what is HTTP, hand on, answer.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use prometheus::IntGauge;
use tokio::task::block_in_place;

use super::admission;
use super::api::Api;
use super::body::{self, BodyError, Received};
use super::reply::{self, Refusal, Reply};
use super::request_body::{Request, RequestBody};
use super::retry_after::{retry_after_s, spread_s};
use super::terms::{self, Format, Terms};
use crate::access::Caller;
use crate::ingest::IngestError;
use crate::jobs::{SelfReportError, SelfReported};
use crate::log::AppendError;
use crate::protocol::{Encoding, answer, decompress, parameters};

/// Bodies from this size on are decompressed where blocking is allowed.
const BLOCKING_BYTES: usize = 64 << 10;
/// How much of a refused body is read so that its sender sees the answer instead of a broken
/// connection, and for how long.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Counts a report as in flight while it lives.
pub(super) struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        let gauge = &api.parts.telemetry.http.reports_in_flight;
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Answers one report.
pub(super) async fn report(api: &Api, caller: &Caller, request: &mut Request) -> Reply {
    let in_flight = InFlight::new(api);
    let answer = take(api, caller, request).await;
    drop(in_flight);
    match answer {
        Ok(answer) => reply::json(answer),
        // Each connection has room for the largest future all the time.
        Err(refusal) => Box::pin(after_the_body(*refusal, request)).await,
    }
}

/// `POST /api/metrics/self-report`
pub(super) async fn self_report(api: &Api, caller: &Caller, request: &Request) -> Reply {
    let name = match self_report_name(request.uri().query().unwrap_or_default()) {
        Ok(name) => name,
        Err(detail) => return reply::invalid_parameter(detail),
    };
    // Without a name it is the server's own, which no pattern is meant for.
    let permitted = admission::permit(caller, name.as_deref().unwrap_or_default());
    if let Err(refusal) = permitted.and_then(|()| admit(api)) {
        return *refusal;
    }
    match api.parts.self_reporter.report(name).await {
        Ok(reported) => {
            let mut out = Vec::with_capacity(128);
            let SelfReported { component_name, runtime_id, metrics } = &reported;
            answer::write_self_reported(&mut out, component_name, *runtime_id, *metrics);
            reply::json(out)
        }
        Err(SelfReportError::Ingest(error)) => *refused(api, error),
        Err(error @ SelfReportError::Busy) => {
            reply::retry(StatusCode::SERVICE_UNAVAILABLE, 1, "self_report_busy", &error.to_string())
        }
        Err(SelfReportError::Ended) => *stopping(),
    }
}

fn self_report_name(query: &str) -> Result<Option<Box<str>>, &'static str> {
    let mut name = None;
    for (parameter, value) in parameters::pairs(query) {
        if parameter != "component_name" || name.is_some() {
            return Err("this call takes the parameter component_name only, once");
        }
        name = Some(parameters::text(value)?);
    }
    Ok(name.filter(|name| !name.is_empty()).map(Into::into))
}

/// A refusal that its sender will read: the rest of the body is taken off the connection first,
/// and where that is too much, the answer says that the connection ends. Otherwise a client would
/// send its next request to a connection that is about to close.
pub(super) async fn after_the_body(refusal: Reply, request: &mut Request) -> Reply {
    after_so_much(refusal, request, DISCARD_BYTES).await
}

/// The same with another bound on what is read.
pub(super) async fn after_so_much(
    mut refusal: Reply,
    request: &mut Request,
    discard_bytes: usize,
) -> Reply {
    // Who waits for a word before sending the body is told without one, and who was too slow
    // already is not waited for again.
    let in_time = refusal.status() != StatusCode::REQUEST_TIMEOUT;
    let comes = in_time && !request.headers().contains_key(header::EXPECT);
    if !(comes && body::discard(request.body_mut(), discard_bytes, DISCARD_TIME).await) {
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    refusal
}

/// All that can be decided before the body is read.
pub(super) fn admit(api: &Api) -> Result<(), Refusal> {
    if api.is_draining() {
        return Err(stopping());
    }
    api.parts.ingest.admit().map_err(|error| refused(api, error))
}

pub(super) fn stopping() -> Refusal {
    Box::new(reply::retry(
        StatusCode::SERVICE_UNAVAILABLE,
        5,
        "stopping",
        "the server is stopping; try another one, or again once it is back",
    ))
}

async fn take(api: &Api, caller: &Caller, request: &mut Request) -> Result<Vec<u8>, Refusal> {
    admit(api)?;
    api.parts.ingest.admit_caller(caller).map_err(|error| refused(api, error))?;
    let headers = request.headers();
    let key = headers.get("idempotency-key").cloned();
    let terms = Terms::of(
        terms::value(headers, &header::CONTENT_TYPE),
        terms::value(headers, &header::CONTENT_ENCODING),
        key.as_ref().map(HeaderValue::as_bytes),
    )?;
    let limit = api.settings.limits.body_bytes_max;
    let received = receive(api, request.body_mut(), terms.encoding, limit).await?;
    let ingest = &api.parts.ingest;
    let answer = match terms.format {
        Format::Json => ingest.report(received, terms.key, caller).await,
        Format::Lines => ingest.report_lines(received, terms.key, caller).await,
    };
    answer.map_err(|error| refused(api, error))
}

/// Receives a body of up to `limit` bytes, as sent and unpacked.
pub(super) async fn receive(
    api: &Api,
    body: &mut RequestBody,
    encoding: Encoding,
    limit: usize,
) -> Result<Received, Refusal> {
    let mut received = body::receive(body, limit, &api.bodies, api.settings.body_timeout)
        .await
        .map_err(|error| not_received(&error))?;
    if encoding != Encoding::Identity {
        let plain = inflate(encoding, &received.bytes, limit)?;
        received.replace(plain).map_err(|error| not_received(&error))?;
    }
    Ok(received)
}

fn inflate(encoding: Encoding, compressed: &Bytes, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::new();
    let outcome = if compressed.len() < BLOCKING_BYTES {
        decompress(encoding, compressed, &mut plain, limit)
    } else {
        block_in_place(|| decompress(encoding, compressed, &mut plain, limit))
    };
    match outcome {
        Ok(()) => Ok(plain),
        Err(error) => {
            let status = match error {
                crate::protocol::DecompressError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
                crate::protocol::DecompressError::Corrupt(_) => StatusCode::BAD_REQUEST,
            };
            Err(Box::new(reply::error(status, error.code(), &error.to_string())))
        }
    }
}

fn not_received(error: &BodyError) -> Refusal {
    let detail = error.to_string();
    Box::new(match error {
        BodyError::TooLarge { .. } => {
            reply::error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &detail)
        }
        BodyError::OverBudget => {
            reply::retry(StatusCode::TOO_MANY_REQUESTS, 1, "too_many_bytes_in_flight", &detail)
        }
        BodyError::TooSlow { .. } => {
            reply::error(StatusCode::REQUEST_TIMEOUT, "body_too_slow", &detail)
        }
        BodyError::Broken(_) => reply::error(StatusCode::BAD_REQUEST, "body_broken", &detail),
    })
}

/// The status of an error is part of the contract: what is the client's mistake is a 4xx and
/// final, what passes is 429 or 503 and says when to come back.
pub(super) fn refused(api: &Api, error: IngestError) -> Refusal {
    let (code, detail) = (error.code(), error.to_string());
    let busy = StatusCode::TOO_MANY_REQUESTS;
    let away = StatusCode::SERVICE_UNAVAILABLE;
    Box::new(match error {
        IngestError::NothingTaken { answer, .. } => {
            reply::rendered_error(StatusCode::BAD_REQUEST, answer)
        }
        IngestError::Report(_) | IngestError::Lines(_) | IngestError::NoLines => {
            reply::error(StatusCode::BAD_REQUEST, code, &detail)
        }
        IngestError::ComponentNotAllowed(_) => reply::error(StatusCode::FORBIDDEN, code, &detail),
        IngestError::UnknownComponent(_) => reply::error(StatusCode::NOT_FOUND, code, &detail),
        IngestError::KeyReused => reply::error(StatusCode::CONFLICT, code, &detail),
        IngestError::RegistryFull => reply::retry(busy, 60, code, &detail),
        IngestError::OverRate(over) => {
            reply::retry(busy, spread_s(over.wait, api.spread.next()), code, &detail)
        }
        IngestError::KeyInFlight => reply::retry(away, 1, code, &detail),
        IngestError::RegistryAway(_) => reply::retry(away, 5, code, &detail),
        IngestError::Unsynced(_) => reply::retry(away, 30, code, &detail),
        IngestError::Log(log) => match log {
            AppendError::OverBudget { .. } => {
                let wait_s = retry_after_s(api.parts.progress.drain(), api.spread.next());
                reply::retry(busy, wait_s, code, &detail)
            }
            AppendError::StagingFull => reply::retry(busy, 1, code, &detail),
            AppendError::TooLarge { .. } => {
                reply::error(StatusCode::PAYLOAD_TOO_LARGE, code, &detail)
            }
            AppendError::DiskFull => reply::retry(away, 10, code, &detail),
            AppendError::Closed => reply::retry(away, 5, code, &detail),
            AppendError::Failed(_) => reply::retry(away, 30, code, &detail),
        },
    })
}
