//! The runtime registry.

use serde_json::{Value, json};

use super::super::describe::{Description, Media, Section, json_body, ok, query};
use super::super::errors;
use super::super::schemas::named;
use super::reporting::CONTENT_ENCODING;

const RUNTIME_ID: u64 = 1_426_829_204_108_299;
const REGISTERING: &[&str] = &["registry_full", "registration_refused"];
const LEAVING: &[&str] = &["registry_full", "registry_unavailable"];

pub(in crate::http) static REGISTER: Description = Description {
    id: "registerComponent",
    section: Section::Components,
    summary: "Register a component of any type",
    text: "Registering again replaces what was registered before and keeps the `runtime_id`.",
    parameters: &[CONTENT_ENCODING],
    body: &[json_body(
        || named("Registration"),
        || {
            json!({"name": "broker-1", "component_type": "broker", "base_url": "http://broker-1:8080",
               "labels": {"zone": "a"}, "pid": 4711, "hostname": "node-1"})
        },
    )],
    answers: &[ok(
        "Registered. While PostgreSQL is away the registration is in memory, and stored later.",
        &[json_body(
            || named("Registered"),
            || {
                json!({"status": "ok", "name": "broker-1", "component_type": "broker",
                   "runtime_id": RUNTIME_ID})
            },
        )],
    )],
    errors: &[errors::BODY, errors::FIELDS, REGISTERING],
};

pub(in crate::http) static DEREGISTER: Description = Description {
    id: "deregisterComponent",
    section: Section::Components,
    summary: "Mark a component offline",
    text: "Its row and its samples stay. The answer is the same where nobody has that name.",
    parameters: &[CONTENT_ENCODING],
    body: &[json_body(
        || named("Component"),
        || json!({"name": "broker-1", "component_type": "broker"}),
    )],
    answers: &[ok(
        "It is offline.",
        &[json_body(
            || named("Deregistered"),
            || json!({"status": "ok", "name": "broker-1", "component_type": "broker"}),
        )],
    )],
    errors: &[errors::BODY, errors::FIELDS, LEAVING],
};

pub(in crate::http) static REGISTER_POOL: Description = Description {
    id: "registerWorkerPool",
    section: Section::Components,
    summary: "Register a worker pool",
    text: "The same for a component of type `worker_pool`.",
    parameters: &[CONTENT_ENCODING],
    body: &[json_body(
        || named("PoolRegistration"),
        || {
            json!({"name": "worker-cpu-01", "runtime": "cpu", "base_url": "http://queue-worker",
               "capacity": 4, "labels": ["local", "dev"], "pid": 4711, "hostname": "node-1"})
        },
    )],
    answers: &[ok(
        "Registered. While PostgreSQL is away the registration is in memory, and stored later.",
        &[json_body(
            || named("PoolRegistered"),
            || {
                json!({"status": "ok", "name": "worker-cpu-01", "runtime": "cpu",
                   "runtime_id": RUNTIME_ID})
            },
        )],
    )],
    errors: &[errors::BODY, errors::FIELDS, REGISTERING],
};

pub(in crate::http) static DEREGISTER_POOL: Description =
    pool_leaves("deregisterWorkerPool", "Mark a worker pool offline");
pub(in crate::http) static DEREGISTER_POOL_BY_POST: Description = pool_leaves(
    "deregisterWorkerPoolByPost",
    "Mark a worker pool offline, for clients whose DELETE has no body",
);

const POOL_OFFLINE: &[Media] = &[json_body(|| named("PoolDeregistered"), pool_answer)];

const fn pool_leaves(id: &'static str, summary: &'static str) -> Description {
    Description {
        id,
        section: Section::Components,
        summary,
        text: "Its row and its samples stay. The answer is the same where nobody has that name.",
        parameters: &[CONTENT_ENCODING],
        body: const { &[json_body(|| named("Pool"), || json!({"name": "worker-cpu-01"}))] },
        answers: const { &[ok("It is offline.", POOL_OFFLINE)] },
        errors: &[errors::BODY, errors::FIELDS, LEAVING],
    }
}

pub(in crate::http) static HEARTBEAT: Description = Description {
    id: "heartbeat",
    section: Section::Components,
    summary: "A worker pool lives",
    text: "Every report is a sign of life as well. `status` is `unknown` where no pool has that name: \
           it should register again.",
    parameters: &[CONTENT_ENCODING],
    body: &[json_body(|| named("Heartbeat"), || json!({"name": "worker-cpu-01"}))],
    answers: &[ok("Heard.", &[json_body(|| named("Heard"), pool_answer)])],
    errors: &[errors::BODY, errors::FIELDS, LEAVING],
};

fn pool_answer() -> Value {
    json!({"status": "ok", "name": "worker-cpu-01"})
}

pub(in crate::http) static COMPONENTS: Description = Description {
    id: "listComponents",
    section: Section::Components,
    summary: "Every component, by type and name",
    text: "What PostgreSQL has, brought up to date from memory; where it does not answer within 2 s, \
           what the memory knows. Beyond 100,000 components the list is cut and `truncated`.",
    parameters: &[],
    body: &[],
    answers: &[ok(
        "The list.",
        &[json_body(
            || named("Components"),
            || {
                json!({"components": [{
                    "runtime_id": RUNTIME_ID, "name": "worker-cpu-01", "component_type": "worker_pool",
                    "status": "ready", "last_heartbeat": "2026-11-22T18:12:02.178770Z",
                }]})
            },
        )],
    )],
    errors: &[],
};

pub(in crate::http) static POOLS: Description = Description {
    id: "listWorkerPools",
    section: Section::Components,
    summary: "Worker pools, by name",
    text: "As the list of components. What was asked for stands in the answer.",
    parameters: &[
        query("runtime", "Only pools of this runtime.", || json!({"type": "string"}), Some("cpu")),
        query("status", "Only pools of this status.", || json!({"type": "string"}), None),
    ],
    body: &[],
    answers: &[ok(
        "The list.",
        &[json_body(
            || named("Pools"),
            || {
                json!({"items": [{
            "name": "worker-cpu-01", "runtime": "cpu", "status": "ready", "capacity": 4,
            "labels": ["local", "dev"], "last_heartbeat": "2026-11-22T18:12:02Z",
            "created_at": "2026-11-22T18:10:02.178770Z",
            "updated_at": "2026-11-22T18:10:02.178770Z",
        }], "runtime": "cpu", "status": null, "count": 1})
            },
        )],
    )],
    errors: &[&["invalid_parameter"]],
};
