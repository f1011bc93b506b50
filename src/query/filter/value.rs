//! The values of the parameters: each function reads one kind, or says in a predicate what is
//! wrong with the text and what to write.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Consistency, LIMIT_MAX, Order};
use crate::model::{MetricType, RuntimeId, Timestamp};
use crate::protocol::{parameters, timestamp};
use crate::query::cursor::Cursor;

/// A name, or names that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::query) enum Pattern {
    /// Exactly this name.
    Exact(String),
    /// In the syntax of SQL's `LIKE`.
    Like(String),
}

fn says(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(super) fn runtime_id_of(text: &str) -> Result<RuntimeId, String> {
    let id = parameters::integer(text);
    let id = id.ok_or("is not an integer; GET /api/metrics/components lists them")?;
    Ok(RuntimeId::from_raw(id))
}

/// `*` becomes `%`; what `LIKE` takes for special is escaped.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    if !text.contains('*') {
        return Ok(Pattern::Exact(text.to_owned()));
    }
    let mut like = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '*' => like.push('%'),
            '%' | '_' | '\\' => like.extend(['\\', c]),
            c => like.push(c),
        }
    }
    Ok(Pattern::Like(like))
}

pub(super) fn metric_type_of(text: &str) -> Result<MetricType, String> {
    MetricType::parse(text)
        .ok_or_else(|| "is none of counter, gauge, histogram and summary".to_owned())
}

/// The object with its values as strings, as a report's labels are taken; `None` when empty.
pub(super) fn label_object(text: &str) -> Result<Option<String>, String> {
    let example = "write it like {\"hostname\":\"node-1\"}, percent-encoded";
    let object: BTreeMap<String, Value> = serde_json::from_str(text)
        .map_err(|_| format!("is not a JSON object of labels; {example}"))?;
    let mut labels = BTreeMap::new();
    for (key, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(format!("has a value that is no string for {key:?}; {example}"));
            }
        };
        if key.contains('\0') || value.contains('\0') {
            return Err("must not contain the character U+0000".to_owned());
        }
        labels.insert(key, value);
    }
    Ok((!labels.is_empty()).then(|| Value::from_iter(labels).to_string()))
}

/// A text, an integer or a number with a fraction or an exponent, as in a report.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(number) = text.parse::<i64>() {
        return timestamp::from_integer(number.into()).map_err(says);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && let Ok(number) = text.parse::<f64>()
    {
        return timestamp::from_float(number).map_err(says);
    }
    // The `+` of a zone, when it was not percent-encoded, has become a space.
    let restored = match text.rsplit_once(' ') {
        Some((time, zone)) if time.len() >= "2024-01-01T12:00".len() => format!("{time}+{zone}"),
        _ => text.to_owned(),
    };
    timestamp::parse(&restored, zone).map_err(says)
}

pub(super) fn cursor_of(text: &str) -> Result<Cursor, String> {
    text.parse().map_err(says)
}

pub(super) fn order_of(text: &str) -> Result<Order, String> {
    match text {
        "desc" => Ok(Order::NewestFirst),
        "asc" => Ok(Order::OldestFirst),
        _ => Err("is neither desc (newest first) nor asc (oldest first)".to_owned()),
    }
}

pub(super) fn limit_of(text: &str) -> Result<usize, String> {
    let limit = parameters::integer(text).and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| format!("is not a whole number from 1 to {LIMIT_MAX}"))
}

pub(super) fn consistency_of(text: &str) -> Result<Consistency, String> {
    match text {
        "acknowledged" => Ok(Consistency::Acknowledged),
        "eventual" => Ok(Consistency::Eventual),
        _ => Err("is neither acknowledged nor eventual".to_owned()),
    }
}
