//! Why a body of the runtime registry was not taken.

use crate::model::component::InvalidComponent;

/// Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeBodyError {
    /// Not JSON, or nested too deeply.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON of another kind.
    #[error("the body is {0}; send an object with name and whatever else the call takes")]
    NotAnObject(&'static str),
    /// A field that is needed.
    #[error("{field} is required; send a string that is not empty")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A value of a type that the field may not have.
    #[error("{field} is not {wanted}; send one, or leave it out")]
    WrongType {
        /// Its name.
        field: &'static str,
        /// What it may be.
        wanted: &'static str,
    },
    /// A value of too many bytes.
    #[error("{field} is {bytes} bytes long; the limit is {max}")]
    TooLong {
        /// Its name.
        field: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// PostgreSQL's text cannot hold U+0000.
    #[error("{field} must not contain the character U+0000")]
    Nul {
        /// Its name.
        field: &'static str,
    },
    /// Name and type name no component.
    #[error(transparent)]
    Component(#[from] InvalidComponent),
}

impl RuntimeBodyError {
    /// A code for programs, which stays.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "invalid_json",
            Self::NotAnObject(_) => "not_an_object",
            Self::Missing { .. } => "missing_field",
            Self::WrongType { .. } => "wrong_type",
            Self::TooLong { .. } => "field_too_long",
            Self::Nul { .. } | Self::Component(_) => "invalid_field",
        }
    }
}
