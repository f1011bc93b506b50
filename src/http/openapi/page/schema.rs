//! Schemas in words.

use serde_json::Value;

use super::markup::{escape, inline, prose};
use super::text;

/// A schema of its own: its sentence, and its fields if it has any.
pub(super) fn definition(schema: &Value) -> String {
    let mut html = prose(text(&schema["description"]));
    match &schema["properties"] {
        Value::Object(properties) => {
            let required = &schema["required"];
            let rows = properties.iter().map(|(name, field)| {
                let needed =
                    required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
                row(name, if needed { "" } else { "optional" }, field)
            });
            html += &table(rows);
        }
        _ => html += &format!("<p>{}</p>\n", words(schema)),
    }
    html
}

/// A table of fields or parameters.
pub(super) fn table(rows: impl Iterator<Item = String>) -> String {
    format!("<table>\n{}</table>\n", rows.collect::<String>())
}

/// A field or parameter.
pub(super) fn row(name: &str, note: &str, schema: &Value) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<small>{note}</small>") };
    let about = inline(text(&schema["description"]));
    format!(
        "<tr><th><code>{}</code>{note}</th><td><span class=\"type\">{}</span> {about}</td></tr>\n",
        escape(name),
        words(schema)
    )
}

/// What a value may be.
pub(super) fn words(schema: &Value) -> String {
    if let Some(name) = text(&schema["$ref"]).rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for choice in ["anyOf", "allOf"] {
        if schema.get("type").is_none()
            && let Value::Array(choices) = &schema[choice]
        {
            return choices.iter().map(words).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escape(&value.to_string()));
    }
    if let Value::Array(values) = &schema["enum"] {
        // That an empty one is as good as none is told once for all.
        let values = values.iter().map(text).filter(|value| !value.is_empty());
        let values: Vec<_> =
            values.map(|value| format!("<code>{}</code>", escape(value))).collect();
        return with_default(values.join(" or "), schema);
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    };
    let kinds = match text(&schema["format"]) {
        "date-time" => kinds + ", RFC 3339",
        _ => kinds,
    };
    let kinds = match schema.get("items") {
        Some(items) => format!("{kinds} of {}", words(items)),
        None => kinds,
    };
    let kinds = match schema.get("additionalProperties") {
        Some(values) => format!("{kinds} of {}", words(values)),
        None => kinds,
    };
    with_default(kinds + &bounds(schema), schema)
}

fn with_default(words: String, schema: &Value) -> String {
    match schema.get("default") {
        Some(Value::String(default)) => format!("{words}, by default <code>{default}</code>"),
        Some(default) => format!("{words}, by default {default}"),
        None => words,
    }
}

/// Bounds that say something: those of all 64-bit numbers do not.
fn bounds(schema: &Value) -> String {
    let told = |low: &str, high: &str, unit: &str| {
        let number =
            |key: &str| schema[key].as_i64().filter(|number| number.unsigned_abs() < 1 << 31);
        match (number(low), number(high)) {
            (Some(low), Some(high)) => format!(", {low} to {high}{unit}"),
            (None, Some(high)) => format!(", up to {high}{unit}"),
            (Some(low), None) => format!(", from {low}{unit}"),
            (None, None) => String::new(),
        }
    };
    [
        told("minimum", "maximum", ""),
        told("minLength", "maxLength", " bytes"),
        told("minItems", "maxItems", ""),
        told("minProperties", "maxProperties", ""),
    ]
    .concat()
}
