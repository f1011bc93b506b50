//! The bodies of the registry's calls, and the answers to them.

use serde_json::{Value, json};

use super::{about, id, list, name, named, object, or_null, stored_text, text};
use crate::model::component::{COMPONENT_NAME_BYTES_MAX, COMPONENT_TYPE_BYTES_MAX};
use crate::protocol::runtime::{
    HOSTNAME_BYTES_MAX, JSON_BYTES_MAX, SERVER_API, URL_BYTES_MAX, WORD_BYTES_MAX,
};

pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("Registration", registration()),
        ("PoolRegistration", pool_registration()),
        ("StoredJson", stored_json()),
        ("Component", component()),
        ("Pool", object(&json!({"name": component_name()}), &[])),
        ("Heartbeat", heartbeat()),
        ("Registered", answer(&["name", "component_type", "runtime_id"])),
        ("Deregistered", answer(&["name", "component_type"])),
        ("PoolRegistered", answer(&["name", "runtime", "runtime_id"])),
        ("PoolDeregistered", answer(&["name"])),
        ("Heard", heard()),
    ]
}

const OPTIONAL: [&str; 6] = ["status", "capacity", "labels", "pid", "hostname", "meta"];

/// `null` and the empty string are the same as a missing field.
fn optional_text(bytes_max: usize) -> Value {
    or_null(text(bytes_max))
}

fn component_name() -> Value {
    name(COMPONENT_NAME_BYTES_MAX)
}

fn component_type() -> Value {
    let mut component_type = optional_text(COMPONENT_TYPE_BYTES_MAX);
    component_type["default"] = json!(SERVER_API);
    component_type
}

fn registration() -> Value {
    let mut fields = details();
    fields["component_type"] = component_type();
    fields["runtime"] = optional_text(WORD_BYTES_MAX);
    let optional = [&OPTIONAL[..], &["component_type", "runtime"]].concat();
    about(object(&fields, &optional), IGNORED)
}

fn pool_registration() -> Value {
    let mut fields = details();
    fields["runtime"] = name(WORD_BYTES_MAX);
    about(object(&fields, &OPTIONAL), IGNORED)
}

const IGNORED: &str = "`null` and the empty string are the same as a missing field. Fields that are \
                       not listed are ignored; of one that stands twice the last one counts.";

fn details() -> Value {
    let bytes = format!("At most {JSON_BYTES_MAX} bytes of JSON.");
    json!({
        "name": component_name(),
        "base_url": name(URL_BYTES_MAX),
        "status": about(optional_text(WORD_BYTES_MAX), "`ready` if missing."),
        "capacity": integer(),
        "labels": about(
            json!({"anyOf": [json_object(), json_array(), {"type": "null"}]}),
            &format!("Not the labels of series. {bytes}")
        ),
        "pid": integer(),
        "hostname": optional_text(HOSTNAME_BYTES_MAX),
        "meta": about(json!({"anyOf": [named("StoredJson")]}), &bytes),
    })
}

/// What PostgreSQL's jsonb takes.
fn stored_json() -> Value {
    let finite = json!({"type": "number", "minimum": f64::MIN, "maximum": f64::MAX});
    let plain = json!({"type": ["boolean", "null"]});
    let any = json!({"anyOf": [stored_text(), finite, plain, json_object(), json_array()]});
    about(any, "Any JSON without the character U+0000.")
}

fn json_object() -> Value {
    json!({"type": "object", "propertyNames": stored_text(),
           "additionalProperties": named("StoredJson")})
}

fn json_array() -> Value {
    list(&named("StoredJson"))
}

fn integer() -> Value {
    json!({
        "description": "An integer of 32 bits, or a string of its digits.",
        "anyOf": [
            {"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX},
            {"type": "string", "pattern": "^([+-]?[0-9]{1,9})?$"},
            {"type": "null"},
        ],
    })
}

fn component() -> Value {
    let fields = json!({"name": component_name(), "component_type": component_type()});
    object(&fields, &["component_type"])
}

fn heartbeat() -> Value {
    let name = about(optional_text(COMPONENT_NAME_BYTES_MAX), "Without it nobody is heard.");
    object(&json!({"name": name}), &["name"])
}

fn answer(fields: &[&str]) -> Value {
    let mut properties = json!({"status": {"const": "ok"}});
    for field in fields {
        let schema = if *field == "runtime_id" { id() } else { json!({"type": "string"}) };
        properties[*field] = schema;
    }
    object(&properties, &[])
}

fn heard() -> Value {
    let fields = json!({
        "status": {"enum": ["ok", "unknown"], "description": "`unknown`: register again."},
        "name": {"type": ["string", "null"]},
    });
    object(&fields, &[])
}
