//! The JSON of the answers to the registry's calls.

use super::super::answer::{write_integer, write_string};
use crate::model::{ComponentKey, RuntimeId};

/// Appends the answer to a call about a component of any type; with its id when it registered.
pub fn write_runtime(out: &mut Vec<u8>, key: &ComponentKey, id: Option<RuntimeId>) {
    write_ok(out, key.name());
    out.extend_from_slice(b",\"component_type\":");
    write_string(out, key.component_type());
    write_end(out, id);
}

/// Appends the answer to a call about a worker pool; with its runtime and id when it registered.
pub fn write_pool(out: &mut Vec<u8>, key: &ComponentKey, registered: Option<(&str, RuntimeId)>) {
    write_ok(out, key.name());
    if let Some((runtime, _)) = registered {
        out.extend_from_slice(b",\"runtime\":");
        write_string(out, runtime);
    }
    write_end(out, registered.map(|(_, id)| id));
}

/// Appends the answer to a heartbeat: of whom, and whether that is known.
pub fn write_heartbeat(out: &mut Vec<u8>, heard: Option<&ComponentKey>, known: bool) {
    match heard {
        None => out.extend_from_slice(b"{\"status\":\"ok\",\"name\":null}"),
        Some(key) if known => {
            write_ok(out, key.name());
            out.push(b'}');
        }
        Some(key) => {
            out.extend_from_slice(b"{\"status\":\"unknown\",\"name\":");
            write_string(out, key.name());
            out.push(b'}');
        }
    }
}

fn write_ok(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"{\"status\":\"ok\",\"name\":");
    write_string(out, name);
}

fn write_end(out: &mut Vec<u8>, id: Option<RuntimeId>) {
    if let Some(id) = id {
        out.extend_from_slice(b",\"runtime_id\":");
        write_integer(out, id.get());
    }
    out.push(b'}');
}
