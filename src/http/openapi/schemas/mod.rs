//! The schemas of bodies and answers, under the names by which the calls refer to them.
//!
//! JSON Schema counts characters where the server counts bytes: a text of other than ASCII
//! characters may be too long before its `maxLength` is reached.

mod querying;
mod reporting;
mod runtime;
mod service;

use serde_json::{Map, Value, json};

use crate::model::Limits;

pub(super) use reporting::unix_time;

/// The types of metrics.
pub(super) const METRIC_TYPES: [&str; 4] = ["counter", "gauge", "histogram", "summary"];

/// All of them; the bounds of a report are settings.
pub(super) fn all(limits: &Limits) -> Map<String, Value> {
    let parts =
        [reporting::schemas(limits), querying::schemas(), runtime::schemas(), service::schemas()];
    let mut all = Map::new();
    for (name, schema) in parts.into_iter().flatten() {
        let before = all.insert(name.to_owned(), schema);
        assert!(before.is_none(), "{name} stands twice");
    }
    all
}

/// A reference to the schema of that name.
pub(super) fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A text that PostgreSQL can hold.
pub(super) fn stored_text() -> Value {
    json!({"type": "string", "pattern": "^[^\\u0000]*$"})
}

/// The same, of at most so many bytes.
pub(super) fn text(bytes_max: usize) -> Value {
    let mut schema = stored_text();
    schema["maxLength"] = json!(bytes_max);
    schema
}

/// The same, and not empty.
fn name(bytes_max: usize) -> Value {
    let mut schema = text(bytes_max);
    schema["minLength"] = json!(1);
    schema
}

/// `schema`, or `null`, which is the same as a missing field.
fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

/// `schema` with a sentence.
fn about(mut schema: Value, sentence: &str) -> Value {
    schema["description"] = json!(sentence);
    schema
}

/// An id of this server.
pub(super) fn id() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

/// A time in an answer.
fn moment() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn list(of: &Value) -> Value {
    json!({"type": "array", "items": of})
}

/// An object, of which the `optional` fields may be missing.
fn object(fields: &Value, optional: &[&str]) -> Value {
    let Value::Object(properties) = fields else { unreachable!("fields are an object") };
    let required: Vec<_> =
        properties.keys().filter(|name| !optional.contains(&name.as_str())).collect();
    json!({"type": "object", "required": required, "properties": fields})
}
