//! The bodies of the runtime registry's calls, and the answers to them.
//!
//! These come a few times a minute from each component, so they are read the plain way, by
//! serde_json. `null` and the empty string are the same as a missing field, fields that are not
//! listed are ignored, and of a field that stands twice the last one counts.

mod answer;
mod error;

use serde_json::{Map, Number, Value};

pub use answer::{write_heartbeat, write_pool, write_runtime};
pub use error::RuntimeBodyError;

use crate::model::component::{COMPONENT_NAME_BYTES_MAX, COMPONENT_TYPE_BYTES_MAX};
use crate::model::{ComponentKey, Details, STATUS_READY};

/// Bytes of one body.
pub const RUNTIME_BODY_BYTES_MAX: usize = 64 << 10;
/// The type of worker pools.
pub const WORKER_POOL: &str = "worker_pool";
/// The type of a component that registers without naming one.
pub const SERVER_API: &str = "server_api";

/// Bytes of `base_url`.
pub const URL_BYTES_MAX: usize = 2048;
/// Bytes of `hostname`.
pub const HOSTNAME_BYTES_MAX: usize = 255;
/// Bytes of `runtime` and of `status`.
pub const WORD_BYTES_MAX: usize = 63;
/// Bytes of `labels` and of `meta`, each as compact JSON.
pub const JSON_BYTES_MAX: usize = 16 << 10;

/// What a component registers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationBody {
    /// Who it is.
    pub key: ComponentKey,
    /// What its status is to be.
    pub status: Box<str>,
    /// What it says of itself.
    pub details: Details,
}

/// The body of `POST /api/runtime/register`.
pub fn read_registration(document: &[u8]) -> Result<RegistrationBody, RuntimeBodyError> {
    let body = Body::parse(document)?;
    registration(&body, body.key_of_any_type()?)
}

/// The body of `POST /api/worker/pool/register`.
pub fn read_pool_registration(document: &[u8]) -> Result<RegistrationBody, RuntimeBodyError> {
    let body = Body::parse(document)?;
    let key = body.key_of(WORKER_POOL)?;
    body.required("runtime", WORD_BYTES_MAX)?;
    registration(&body, key)
}

/// The body of `DELETE /api/runtime/deregister`: who leaves.
pub fn read_deregistration(document: &[u8]) -> Result<ComponentKey, RuntimeBodyError> {
    Body::parse(document)?.key_of_any_type()
}

/// The body of `DELETE /api/worker/pool/deregister`: which pool leaves.
pub fn read_pool_deregistration(document: &[u8]) -> Result<ComponentKey, RuntimeBodyError> {
    Body::parse(document)?.key_of(WORKER_POOL)
}

/// The body of `POST /api/worker/pool/heartbeat`: which pool lives, if it says so.
pub fn read_heartbeat(document: &[u8]) -> Result<Option<ComponentKey>, RuntimeBodyError> {
    let body = Body::parse(document)?;
    match body.text("name", COMPONENT_NAME_BYTES_MAX)? {
        Some(_) => body.key_of(WORKER_POOL).map(Some),
        None => Ok(None),
    }
}

fn registration(body: &Body, key: ComponentKey) -> Result<RegistrationBody, RuntimeBodyError> {
    let owned = |text: &str| Box::<str>::from(text);
    let details = Details {
        base_url: Some(body.required("base_url", URL_BYTES_MAX)?.into()),
        runtime: body.text("runtime", WORD_BYTES_MAX)?.map(owned),
        capacity: body.integer("capacity")?,
        labels: body.json("labels", |value| value.is_object() || value.is_array())?,
        pid: body.integer("pid")?,
        hostname: body.text("hostname", HOSTNAME_BYTES_MAX)?.map(owned),
        meta: body.json("meta", |_| true)?,
    };
    let status = body.text("status", WORD_BYTES_MAX)?.unwrap_or(STATUS_READY);
    Ok(RegistrationBody { key, status: status.into(), details })
}

/// A JSON object, field by field.
struct Body(Map<String, Value>);

impl Body {
    fn parse(document: &[u8]) -> Result<Self, RuntimeBodyError> {
        match serde_json::from_slice(document) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(other) => Err(RuntimeBodyError::NotAnObject(kind_of(&other))),
            Err(error) => Err(RuntimeBodyError::NotJson(error.to_string())),
        }
    }

    /// The value, unless it is as good as missing.
    fn get(&self, field: &'static str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null() && *value != "")
    }

    fn text(&self, field: &'static str, max: usize) -> Result<Option<&str>, RuntimeBodyError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = RuntimeBodyError::WrongType { field, wanted: "a string" };
        let text = value.as_str().ok_or(wrong)?;
        if text.len() > max {
            return Err(RuntimeBodyError::TooLong { field, bytes: text.len(), max });
        }
        if text.contains('\0') {
            return Err(RuntimeBodyError::Nul { field });
        }
        Ok(Some(text))
    }

    fn required(&self, field: &'static str, max: usize) -> Result<&str, RuntimeBodyError> {
        self.text(field, max)?.ok_or(RuntimeBodyError::Missing { field })
    }

    /// An integer, or a string of its digits, as an environment variable has it.
    fn integer(&self, field: &'static str) -> Result<Option<i32>, RuntimeBodyError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = match value {
            Value::String(digits) => digits.parse().ok(),
            Value::Number(number) => whole(number),
            _ => None,
        };
        let wanted = "an integer of 32 bits";
        number.map(Some).ok_or(RuntimeBodyError::WrongType { field, wanted })
    }

    fn json(
        &self,
        field: &'static str,
        fits: fn(&Value) -> bool,
    ) -> Result<Option<Box<str>>, RuntimeBodyError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        if !fits(value) {
            return Err(RuntimeBodyError::WrongType { field, wanted: "an object or an array" });
        }
        if has_nul(value) {
            return Err(RuntimeBodyError::Nul { field });
        }
        let text = value.to_string();
        if text.len() > JSON_BYTES_MAX {
            let max = JSON_BYTES_MAX;
            return Err(RuntimeBodyError::TooLong { field, bytes: text.len(), max });
        }
        Ok(Some(text.into()))
    }

    fn key_of_any_type(&self) -> Result<ComponentKey, RuntimeBodyError> {
        let component_type = self.text("component_type", COMPONENT_TYPE_BYTES_MAX)?;
        self.key_of(component_type.unwrap_or(SERVER_API))
    }

    fn key_of(&self, component_type: &str) -> Result<ComponentKey, RuntimeBodyError> {
        let name = self.required("name", COMPONENT_NAME_BYTES_MAX)?;
        Ok(ComponentKey::new(component_type, name)?)
    }
}

/// A number without a fraction, also where it is written with one, as `4.0` is: many languages have
/// only one kind of number.
fn whole(number: &Number) -> Option<i32> {
    match number.as_i64() {
        Some(number) => i32::try_from(number).ok(),
        None => number.as_f64()?.to_string().parse().ok(),
    }
}

/// PostgreSQL's jsonb takes everything else. The parser bounds how deep this goes.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
