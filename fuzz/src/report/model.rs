//! The contract on reporting (`docs/api.md`) over a parsed document, written for clarity alone.

use jiff::tz::TimeZone;
use noetl_metrics::model::{ComponentKey, RejectKind};
use noetl_metrics::protocol::timestamp;

use super::json::Json;
use super::{Metric, NOW_US, Outcome};

/// What must come of a document.
#[derive(Debug)]
pub enum Expected {
    /// It is no report.
    Refused,
    /// It is one.
    Report(Outcome),
}

/// What must come of `document`.
pub fn read(document: &Json, zone: &TimeZone) -> Expected {
    match report(document) {
        None => Expected::Refused,
        Some(metrics) => {
            let mut outcome = Outcome::default();
            for (index, entry) in (0..).zip(metrics) {
                match metric(entry, index, zone) {
                    Ok(metric) => outcome.metrics.push(metric),
                    Err(kind) => outcome.rejects.push((index, kind)),
                }
            }
            Expected::Report(outcome)
        }
    }
}

/// The metrics of a report; `None` when it is none.
fn report(document: &Json) -> Option<&[Json]> {
    let Json::Object(members) = document else { return None };
    let fields = ["component_name", "component_type", "runtime_id", "metrics"];
    let [name, component_type, runtime_id, metrics] = fields.map(|field| single(members, field));
    let name = text(name?)?;
    let component_type = text(component_type?)?;
    match runtime_id? {
        None => name.is_some().then_some(())?,
        Some(Json::Number(number)) => drop(number.as_i64()?),
        Some(Json::Text(digits)) => drop(digits.parse::<i64>().ok()?),
        Some(_) => return None,
    }
    if let Some(name) = name {
        ComponentKey::check(component_type.unwrap_or("external"), name).ok()?;
    }
    match metrics? {
        Some(Json::Array(metrics)) if !metrics.is_empty() => Some(metrics),
        _ => None,
    }
}

/// The field's value, `None` for none or `null`; nothing at all when it stands twice.
fn single<'a>(members: &'a [(String, Json)], field: &str) -> Option<Option<&'a Json>> {
    let mut values = members.iter().filter(|(name, _)| name == field).map(|(_, value)| value);
    let first = values.next();
    values.next().is_none().then_some(first.filter(|value| **value != Json::Null))
}

fn text(value: Option<&Json>) -> Option<Option<&str>> {
    match value {
        None => Some(None),
        Some(Json::Text(text)) => Some(Some(text)),
        Some(_) => None,
    }
}

fn metric(metric: &Json, index: u32, zone: &TimeZone) -> Result<Metric, RejectKind> {
    let Json::Object(members) = metric else { return Err(RejectKind::Malformed) };
    let fields =
        ["metric_name", "metric_type", "metric_value", "timestamp", "labels", "help_text", "unit"];
    for field in fields {
        single(members, field).ok_or(RejectKind::Malformed)?;
    }
    let field = |name: &str| single(members, name).flatten();
    let name = match field("metric_name") {
        Some(Json::Text(name)) if !name.is_empty() && name.len() <= 255 && !name.contains('\0') => {
            name.clone()
        }
        _ => return Err(RejectKind::Name),
    };
    let metric_type = match field("metric_type") {
        Some(Json::Text(text)) => {
            let types = ["counter", "gauge", "histogram", "summary"];
            types.into_iter().find(|known| known == text).ok_or(RejectKind::Type)?
        }
        _ => return Err(RejectKind::Type),
    };
    // Here `null` is a value, and not the absence of one.
    let value = members.iter().find(|(name, _)| name == "metric_value").map(|(_, value)| value);
    let value = match value {
        Some(Json::Number(number)) => number.as_f64().ok_or(RejectKind::Value)?,
        Some(Json::Null) => f64::NAN,
        Some(Json::Text(text)) => match text.as_str() {
            "NaN" => f64::NAN,
            "+Inf" | "Inf" | "Infinity" | "+Infinity" => f64::INFINITY,
            "-Inf" | "-Infinity" => f64::NEG_INFINITY,
            _ => return Err(RejectKind::Value),
        },
        _ => return Err(RejectKind::Value),
    };
    let micros = micros(field("timestamp"), zone)?;
    let described = |name: &str| match field(name) {
        None => Ok(None),
        Some(Json::Text(text)) if text.contains('\0') => Err(RejectKind::Metadata),
        Some(Json::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(RejectKind::Metadata),
    };
    let (help, unit) = (described("help_text")?, described("unit")?);
    if unit.as_ref().is_some_and(|unit| unit.len() > 63) {
        return Err(RejectKind::Metadata);
    }
    let help = help.map(|help| help[..help.floor_char_boundary(1024)].to_owned());
    let labels = labels(field("labels"))?;
    let value = value.to_bits();
    Ok(Metric { name, labels, metric_type, help, unit, value, micros, index })
}

/// The parser of timestamps has an oracle of its own.
fn micros(field: Option<&Json>, zone: &TimeZone) -> Result<i64, RejectKind> {
    let timestamp = match field {
        None => return Ok(NOW_US),
        Some(Json::Text(text)) => timestamp::parse(text, zone),
        Some(Json::Number(number)) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => timestamp::from_integer(number.into()),
            (None, Some(number)) => timestamp::from_integer(number.into()),
            (None, None) => timestamp::from_float(number.as_f64().ok_or(RejectKind::Timestamp)?),
        },
        Some(_) => return Err(RejectKind::Timestamp),
    };
    let micros = timestamp.map_err(|_| RejectKind::Timestamp)?.micros();
    if micros > NOW_US + 600_000_000 { Err(RejectKind::Future) } else { Ok(micros) }
}

fn labels(field: Option<&Json>) -> Result<Vec<(String, String)>, RejectKind> {
    let members = match field {
        None => return Ok(Vec::new()),
        Some(Json::Object(members)) if members.len() <= 64 => members,
        Some(_) => return Err(RejectKind::Labels),
    };
    let mut labels = Vec::new();
    for (name, value) in members {
        let text = match value {
            Json::Text(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(truth) => truth.to_string(),
            Json::Null | Json::Array(_) | Json::Object(_) => return Err(RejectKind::Labels),
        };
        let fits = (1..=255).contains(&name.len()) && text.len() <= 2048;
        if !fits || name.contains('\0') || text.contains('\0') {
            return Err(RejectKind::Labels);
        }
        labels.push((name.clone(), text));
    }
    labels.sort();
    let twice = labels.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if twice { Err(RejectKind::Labels) } else { Ok(labels) }
}
