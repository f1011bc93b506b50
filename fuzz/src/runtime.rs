//! The bodies of the runtime registry's calls, against a model by the words of `docs/api.md`, and the
//! answers to them against serde_json.

use noetl_metrics::model::{ComponentKey, Details, RuntimeId};
use noetl_metrics::protocol::runtime::{
    RegistrationBody, RuntimeBodyError, read_deregistration, read_heartbeat,
    read_pool_deregistration, read_pool_registration, read_registration, write_heartbeat,
    write_pool, write_runtime,
};
use serde_json::{Map, Value, json};

/// The bytes as the body of each call.
pub(super) fn run(bytes: &[u8]) {
    let model = match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Some(Model(fields)),
        Ok(_) | Err(_) => None,
    };
    let expect = |read: fn(&Model) -> Option<RegistrationBody>| model.as_ref().and_then(read);
    let registered = taken(read_registration(bytes));
    assert_eq!(registered, expect(|model| model.registration(model.component()?)));
    let pool = taken(read_pool_registration(bytes));
    assert_eq!(pool, expect(Model::pool_registration));

    let expect = |read: fn(&Model) -> Option<ComponentKey>| model.as_ref().and_then(read);
    let left = taken(read_deregistration(bytes));
    assert_eq!(left, expect(Model::component));
    let pool_left = taken(read_pool_deregistration(bytes));
    assert_eq!(pool_left, expect(Model::pool));
    let heard = taken(read_heartbeat(bytes));
    assert_eq!(heard, model.as_ref().and_then(Model::heartbeat));

    for body in [registered, pool].iter().flatten() {
        is_stored_as_it_was_read(body);
    }
    for key in [left, pool_left].iter().flatten() {
        is_answered(key);
    }
}

/// What was read; an error has its words.
fn taken<T>(read: Result<T, RuntimeBodyError>) -> Option<T> {
    read.inspect_err(|error| assert!(!error.to_string().is_empty() && !error.code().is_empty()))
        .ok()
}

/// The fields of a body.
struct Model(Map<String, Value>);

impl Model {
    /// The value, unless it is as good as missing.
    fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null() && *value != "")
    }

    /// The field as `read` takes it; `None` where it is wrong.
    fn optional<T>(&self, field: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
        self.value(field).map_or(Some(None), |value| read(value).map(Some))
    }

    fn text(&self, field: &str, bytes_max: usize) -> Option<Option<Box<str>>> {
        let fits = |text: &&str| text.len() <= bytes_max && !text.contains('\0');
        self.optional(field, |value| value.as_str().filter(fits).map(Box::from))
    }

    fn integer(&self, field: &str) -> Option<Option<i32>> {
        self.optional(field, |value| match value {
            Value::String(digits) => digits.parse().ok(),
            other => {
                let number = other.as_f64()?;
                let fits = f64::from(i32::MIN)..=f64::from(i32::MAX);
                (number.fract() == 0.0 && fits.contains(&number)).then_some(number as i32)
            }
        })
    }

    fn json(&self, field: &str, fits: fn(&Value) -> bool) -> Option<Option<Box<str>>> {
        self.optional(field, |value| {
            let text = serde_json::to_string(value).expect("JSON");
            // Nothing but U+0000 is written in this way, unless its backslash is itself escaped.
            let nul = text.replace("\\\\", "").contains("\\u0000");
            (fits(value) && text.len() <= 16_384 && !nul).then(|| text.into())
        })
    }

    fn key(&self, component_type: &str) -> Option<ComponentKey> {
        ComponentKey::new(component_type, &self.text("name", 255)??).ok()
    }

    fn component(&self) -> Option<ComponentKey> {
        let component_type = self.text("component_type", 63)?;
        self.key(component_type.as_deref().unwrap_or("server_api"))
    }

    fn pool(&self) -> Option<ComponentKey> {
        self.key("worker_pool")
    }

    fn heartbeat(&self) -> Option<Option<ComponentKey>> {
        match self.text("name", 255)? {
            Some(_) => self.pool().map(Some),
            None => Some(None),
        }
    }

    fn pool_registration(&self) -> Option<RegistrationBody> {
        self.text("runtime", 63)??;
        self.registration(self.pool()?)
    }

    fn registration(&self, key: ComponentKey) -> Option<RegistrationBody> {
        let details = Details {
            base_url: Some(self.text("base_url", 2048)??),
            runtime: self.text("runtime", 63)?,
            capacity: self.integer("capacity")?,
            labels: self.json("labels", |value| value.is_object() || value.is_array())?,
            pid: self.integer("pid")?,
            hostname: self.text("hostname", 255)?,
            meta: self.json("meta", |_| true)?,
        };
        let status = self.text("status", 63)?.unwrap_or_else(|| "ready".into());
        Some(RegistrationBody { key, status, details })
    }
}

/// Sent once more as it was understood, it is understood in the same way.
fn is_stored_as_it_was_read(body: &RegistrationBody) {
    let details = &body.details;
    let json = |text: &Option<Box<str>>| {
        text.as_ref().map(|text| serde_json::from_str::<Value>(text).expect("JSON"))
    };
    let again = json!({
        "name": body.key.name(),
        "component_type": body.key.component_type(),
        "status": body.status,
        "base_url": details.base_url,
        "runtime": details.runtime,
        "capacity": details.capacity,
        "labels": json(&details.labels),
        "pid": details.pid.map(|pid| pid.to_string()),
        "hostname": details.hostname,
        "meta": json(&details.meta),
    });
    assert_eq!(read_registration(again.to_string().as_bytes()).as_ref(), Ok(body));
}

/// Every answer is JSON, whatever the component is called.
fn is_answered(key: &ComponentKey) {
    let (name, component_type) = (key.name(), key.component_type());
    let id = RuntimeId::derive(key);
    let check = |write: &dyn Fn(&mut Vec<u8>), expected: Value| {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON"), expected);
    };
    check(
        &|out| write_runtime(out, key, Some(id)),
        json!({"status": "ok", "name": name, "component_type": component_type,
               "runtime_id": id.get()}),
    );
    check(
        &|out| write_pool(out, key, Some((name, id))),
        json!({"status": "ok", "name": name, "runtime": name, "runtime_id": id.get()}),
    );
    for (known, status) in [(true, "ok"), (false, "unknown")] {
        check(
            &|out| write_heartbeat(out, Some(key), known),
            json!({"status": status, "name": name}),
        );
    }
}
