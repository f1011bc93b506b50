//! The words in which a call is described: what OpenAPI has for it, as data.

use serde_json::Value;

/// A JSON Schema, made when the document is.
pub(super) type Schema = fn() -> Value;

/// What one method of one path takes and answers.
pub(in crate::http) struct Description {
    /// Names the call in generated clients, and the place on the page.
    pub(super) id: &'static str,
    pub(super) section: Section,
    /// A line without a full stop.
    pub(super) summary: &'static str,
    /// More than the line, in CommonMark.
    pub(super) text: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// The forms of the body; none where there is no body.
    pub(super) body: &'static [Media],
    pub(super) answers: &'static [Answer],
    /// The codes of its errors, in groups of [`super::errors`].
    pub(super) errors: &'static [&'static [&'static str]],
}

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Reporting,
    Querying,
    Components,
    Partitions,
    Service,
}

impl Section {
    pub(super) const ALL: [Self; 5] =
        [Self::Reporting, Self::Querying, Self::Components, Self::Partitions, Self::Service];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Reporting => "Reporting",
            Self::Querying => "Reading",
            Self::Components => "Components",
            Self::Partitions => "Partitions",
            Self::Service => "Service",
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Reporting => "Samples come in, and are acknowledged when they are on the disk.",
            Self::Querying => "Samples out of PostgreSQL, and the last values for Prometheus.",
            Self::Components => "Who reports: the runtime registry.",
            Self::Partitions => {
                "What an administrator looks at and need not do: the server does it."
            }
            Self::Service => "For those who run the server.",
        }
    }
}

/// A parameter of the URL's query, or a header.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) text: &'static str,
    pub(super) schema: Schema,
    /// Shown in the example; none where the example does better without.
    pub(super) example: Option<&'static str>,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the URL. An empty value is as good as none, everywhere.
    Query,
    /// In the URL, as a JSON text.
    QueryJson,
    Header,
}

/// A body in one form.
pub(super) struct Media {
    pub(super) media_type: &'static str,
    pub(super) schema: Schema,
    pub(super) example: Option<Schema>,
}

/// An answer that is no error.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: &'static str,
    pub(super) headers: &'static [Header],
    pub(super) media: &'static [Media],
}

/// A header of an answer.
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) schema: Schema,
    /// Whether each such answer has it.
    pub(super) required: bool,
}

/// A JSON body.
pub(super) const fn json_body(schema: Schema, example: Schema) -> Media {
    Media { media_type: "application/json", schema, example: Some(example) }
}

/// 200 with JSON.
pub(super) const fn ok(text: &'static str, media: &'static [Media]) -> Answer {
    Answer { status: 200, text, headers: &[], media }
}

/// A parameter of the URL.
pub(super) const fn query(
    name: &'static str,
    text: &'static str,
    schema: Schema,
    example: Option<&'static str>,
) -> Parameter {
    Parameter { name, place: Place::Query, text, schema, example }
}

/// A header of the request, which the example does without.
pub(super) const fn header(name: &'static str, text: &'static str, schema: Schema) -> Parameter {
    Parameter { name, place: Place::Header, text, schema, example: None }
}
