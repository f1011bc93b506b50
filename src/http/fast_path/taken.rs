//! What becomes of a plain report that can be taken at once.

use std::time::Instant;

use super::request::PlainRequest;
use crate::access::Remembered;
use crate::http::api::Api;
use crate::http::reply::Refusal;
use crate::http::report::{self, InFlight};
use crate::http::terms::{Format, Terms};
use crate::http::{admission, routes};
use crate::ingest::Logged;
use crate::protocol::Encoding;

/// A report that is in the log, or refused.
pub(super) struct Taken<'a> {
    pub(super) api: &'a Api,
    /// When it had come.
    pub(super) began: Instant,
    _in_flight: InFlight<'a>,
    attempted: Result<Logged, Refusal>,
}

impl<'a> Taken<'a> {
    /// `None` where there is something to wait for before it is in the log.
    pub(super) fn of(
        api: &'a Api,
        remembered: &Remembered,
        report: &PlainRequest<'_>,
    ) -> Option<Self> {
        let began = Instant::now();
        let attempted = attempt(api, remembered, report).transpose()?;
        Some(Self { api, began, _in_flight: InFlight::new(api), attempted })
    }

    /// The body of the answer, once the report is synced.
    pub(super) async fn outcome(self) -> Result<Vec<u8>, Refusal> {
        let synced = self.api.parts.ingest.synced(self.attempted?).await;
        synced.map_err(|error| report::refused(self.api, error))
    }
}

fn attempt(
    api: &Api,
    remembered: &Remembered,
    report: &PlainRequest<'_>,
) -> Result<Option<Logged>, Refusal> {
    let caller = admission::admit(&api.parts.gate, remembered, report.authorization, routes::WRITE)
        .map_err(|denied| Box::new(admission::denied(denied)))?;
    report::admit(api)?;
    let terms = Terms::of(report.content_type, report.content_encoding, report.key)?;
    if terms.format != Format::Json || terms.encoding != Encoding::Identity {
        return Ok(None);
    }
    let attempted = api.parts.ingest.try_report(report.body, terms.key, &caller);
    attempted.map_err(|error| report::refused(api, error))
}
