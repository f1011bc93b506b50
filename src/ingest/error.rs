//! Why a report was not taken.

use crate::access::OverRate;
use crate::log::{AppendError, LogFailed};
use crate::protocol::ReportError;
use crate::protocol::ndjson::TooManyLines;

/// Nothing of the report is stored, unless a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// The body is no report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The body has too many lines.
    #[error(transparent)]
    Lines(#[from] TooManyLines),
    /// The body has no line that is not blank.
    #[error("the body has no lines; send one report, a JSON object, per line")]
    NoLines,
    /// Every metric was rejected.
    #[error("no metric could be taken; {first_reason}")]
    NothingTaken {
        /// Why the first one was not.
        first_reason: String,
        /// The answer's body, with all reasons.
        answer: Vec<u8>,
    },
    /// The component must be registered and is not.
    #[error("Component '{0}' not found in runtime registry")]
    UnknownComponent(String),
    /// The caller's token is bound to other components.
    #[error(
        "this token may not report as component '{0}'; use the token of that component, or have \
         the server's operator make one with a pattern for it"
    )]
    ComponentNotAllowed(String),
    /// The caller's token has no samples left for now.
    #[error(transparent)]
    OverRate(#[from] OverRate),
    /// The component is not in memory, and PostgreSQL, which may know it, does not answer.
    #[error(
        "Component '{0}' is not known here yet, and the database that may know it does not answer; \
         try again later, or report by component_name"
    )]
    RegistryAway(String),
    /// A new component finds no room for its series.
    #[error(
        "the server holds its limit of series or components, or has had too many new series lately, \
         and takes no new component; known ones go on. Try again later, report to another server, or \
         raise series-max, components-max or new-series-per-minute-max"
    )]
    RegistryFull,
    /// The key came with another body before.
    #[error("this Idempotency-Key came with another body before; use a new key for a new report")]
    KeyReused,
    /// The key's first request has not entered the log yet.
    #[error("the first request with this Idempotency-Key is still being worked on; try again")]
    KeyInFlight,
    /// The log does not take the record.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The log took the record and then failed: it may or may not be found at the next start.
    #[error(transparent)]
    Unsynced(#[from] LogFailed),
}

impl IngestError {
    /// Whether the server is well and only has more to do than it can.
    pub fn is_overload(&self) -> bool {
        matches!(self, Self::Log(AppendError::OverBudget { .. } | AppendError::StagingFull))
    }

    /// Whether this report alone is to blame, so that others beside it can be taken.
    pub(super) fn is_the_lines_own(&self) -> bool {
        match self {
            Self::Report(_)
            | Self::NothingTaken { .. }
            | Self::UnknownComponent(_)
            | Self::ComponentNotAllowed(_)
            | Self::KeyReused
            | Self::Log(AppendError::TooLarge { .. }) => true,
            Self::Lines(_)
            | Self::NoLines
            | Self::OverRate(_)
            | Self::RegistryAway(_)
            | Self::RegistryFull
            | Self::KeyInFlight
            | Self::Log(_)
            | Self::Unsynced(_) => false,
        }
    }

    /// The stable code in an answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Report(error) => error.code(),
            Self::Lines(_) => "too_many_lines",
            Self::NoLines => "no_lines",
            Self::NothingTaken { .. } => "no_valid_metrics",
            Self::UnknownComponent(_) => "component_not_found",
            Self::ComponentNotAllowed(_) => "component_not_allowed",
            Self::OverRate(_) => "token_over_rate",
            Self::RegistryAway(_) => "registry_unavailable",
            Self::RegistryFull => "registry_full",
            Self::KeyReused => "idempotency_key_reused",
            Self::KeyInFlight => "idempotency_key_in_flight",
            Self::Log(AppendError::OverBudget { .. }) => "log_over_budget",
            Self::Log(AppendError::StagingFull) => "log_busy",
            Self::Log(AppendError::DiskFull) => "disk_full",
            Self::Log(AppendError::TooLarge { .. }) => "report_too_large",
            Self::Log(AppendError::Failed(_)) | Self::Unsynced(_) => "log_failed",
            Self::Log(AppendError::Closed) => "stopping",
        }
    }
}
