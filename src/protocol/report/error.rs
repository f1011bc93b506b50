//! Why a whole report is refused.

use simd_json::ErrorType;

use crate::model::component::InvalidComponent;

/// A body that is no report: nothing of it is stored, and the answer is 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not a JSON document.
    #[error("the body is not JSON: {what}{}", at_byte(*.position))]
    NotJson {
        /// What is wrong, in words.
        what: &'static str,
        /// Where, in bytes from the start of the document, if the parser knows.
        position: Option<usize>,
    },
    /// Nested deeper than [`super::JSON_DEPTH_MAX`].
    #[error("the body is nested deeper than {} levels; a report needs four", super::JSON_DEPTH_MAX)]
    TooDeep,
    /// Longer than [`super::DOCUMENT_BYTES_MAX`].
    #[error("the body is {0} bytes long; send at most {max} at once", max = super::DOCUMENT_BYTES_MAX)]
    TooLong(usize),
    /// JSON, but no object.
    #[error("the body is {0}; send an object with component_name and metrics")]
    NotAnObject(&'static str),
    /// A field of the report stands twice.
    #[error("the field {0} stands twice in the report; send it once")]
    DuplicateField(&'static str),
    /// Neither a name nor an id.
    #[error("the report names no component; send component_name or runtime_id")]
    NoComponent,
    /// The component's name or type is not one.
    #[error(transparent)]
    InvalidComponent(#[from] InvalidComponent),
    /// A field of the report has a type it may not have.
    #[error("{field} is {found}; send {expected}")]
    WrongType {
        /// The field.
        field: &'static str,
        /// What it is.
        found: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// There is no `metrics`.
    #[error("the report has no metrics; send an array of them in the field metrics")]
    NoMetrics,
    /// `metrics` is an empty array.
    #[error("metrics is an empty array; send at least one metric")]
    EmptyMetrics,
    /// `metrics` has more than [`super::METRICS_MAX`] entries.
    #[error("the report has {0} metrics; send at most {max} at once", max = super::METRICS_MAX)]
    TooManyMetrics(usize),
}

impl ReportError {
    /// The stable code in the answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::TooLong(_) => "report_too_long",
            Self::NotAnObject(_) => "not_an_object",
            Self::DuplicateField(_) => "duplicate_field",
            Self::NoComponent => "no_component",
            Self::InvalidComponent(_) => "invalid_component",
            Self::WrongType { .. } => "wrong_type",
            Self::NoMetrics => "no_metrics",
            Self::EmptyMetrics => "empty_metrics",
            Self::TooManyMetrics(_) => "too_many_metrics",
        }
    }

    /// Says in words what the parser found.
    #[cold]
    pub(super) fn from_parser(error: &simd_json::Error) -> Self {
        let what = match (error.error(), error.character()) {
            (ErrorType::DepthLimitExceeded, _) => return Self::TooDeep,
            (ErrorType::Eof, _) => "it ends too early",
            (ErrorType::InvalidUtf8, _) => "it is not valid UTF-8",
            // Python's json.dumps writes NaN, Infinity and -Infinity bare.
            (_, Some('N' | 'I')) | (ErrorType::InvalidNumber, Some('-')) => {
                "NaN and Infinity are no JSON; send null, \"NaN\", \"+Inf\" or \"-Inf\""
            }
            (ErrorType::InvalidNumber | ErrorType::InvalidExponent, _) => {
                "a number is malformed or larger than a 64-bit float can be"
            }
            (ErrorType::InvalidEscape, _) => "a string has an unknown escape",
            (ErrorType::InvalidUnicodeEscape | ErrorType::InvalidUnicodeCodepoint, _) => {
                "a string has an escape \\u that is no character, such as half a surrogate pair"
            }
            (ErrorType::UnterminatedString, _) => "a string does not end",
            (ErrorType::TrailingData, _) => "something follows the document",
            (ErrorType::Syntax, None) => {
                "it is cut short, or a string has a control character that is not escaped"
            }
            (ErrorType::Syntax, _) => "it ends too early",
            _ => "a character stands where it may not",
        };
        Self::NotJson { what, position: error.character().map(|_| error.index()) }
    }
}

fn at_byte(position: Option<usize>) -> String {
    position.map(|position| format!(" at byte {position}")).unwrap_or_default()
}
