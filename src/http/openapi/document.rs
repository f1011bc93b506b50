//! The document: the table of calls in the words of OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::describe::{Answer, Header, Media, Parameter, Place, Section};
use super::errors::{self, ERRORS};
use super::schemas::{self, named};
use crate::access::Scope;
use crate::http::routes::{Handler, Needs, Operation, RESOURCES, Verb};
use crate::model::Limits;

/// The whole API. The bounds of a report are settings, so they are those of this server.
pub(super) fn document(limits: &Limits) -> Value {
    let mut paths = Map::new();
    for resource in RESOURCES {
        let operations: Map<_, _> = resource
            .operations
            .iter()
            .map(|operation| (verb(operation.verb).to_owned(), call(operation)))
            .collect();
        paths.insert(resource.path.to_owned(), Value::Object(operations));
    }
    let tags: Vec<_> = Section::ALL
        .iter()
        .map(|section| json!({"name": section.title(), "description": section.text()}))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "noetl-metrics",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            "description": TEXT,
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": schemas::all(limits), "securitySchemes": {"token": token_scheme()}},
    })
}

const TEXT: &str = "\
Workers push their metrics; the server acknowledges what is synced in its own log, brings it into PostgreSQL \
exactly once, and keeps the last values for Prometheus.

HTTP/1.1 with keep-alive. A server with tokens lets nobody in without one, but for `/health`, `/ready` and this \
description; one without has the same calls and asks for nothing. JSON is UTF-8. \
`HEAD` is answered wherever `GET` is; another method is a 405 with `Allow`, another path a 404.

Every error is `{\"status\":\"error\",\"error\":\"<code>\",\"detail\":\"<sentence>\"}`: the code is for programs and \
stays, the sentence is for people. What passes is a 429 or 503 with `Retry-After` in seconds: send the same again \
then, with its key.

A call that takes parameters refuses one that is unknown or given twice, since a filter with a spelling mistake \
would answer another question. An empty one is as good as none.";

fn token_scheme() -> Value {
    json!({
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `noetl-metrics token create`, with the scope that the call names: `write`, \
                        `read` or `admin`. It may be bound to components.",
    })
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Delete => "delete",
    }
}

fn call(operation: &Operation) -> Value {
    let (description, needs) = (operation.description, operation.needs);
    let mut responses: Map<_, _> =
        description.answers.iter().map(|one| (one.status.to_string(), answer(one))).collect();
    responses.extend(refusals(operation));
    let mut call = json!({
        "operationId": description.id,
        "tags": [description.section.title()],
        "summary": description.summary,
        "responses": responses,
    });
    if let Needs::Token(scope) = needs {
        // OpenAPI 3.1 has roles of a call for schemes other than OAuth as well. A server without
        // tokens asks for none, so that the empty requirement stands beside it.
        call["security"] = json!([{"token": [scope.as_str()]}, {}]);
    }
    if !description.text.is_empty() {
        call["description"] = json!(description.text);
    }
    if !description.parameters.is_empty() {
        call["parameters"] = description.parameters.iter().map(parameter).collect();
    }
    if !description.body.is_empty() {
        call["requestBody"] = json!({"required": true, "content": content(description.body)});
    }
    call
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = (parameter.schema)();
    let mut rendered = json!({"name": parameter.name, "description": parameter.text});
    match parameter.place {
        Place::Query => {
            rendered["in"] = json!("query");
            rendered["allowEmptyValue"] = json!(true);
        }
        Place::QueryJson => rendered["in"] = json!("query"),
        Place::Header => rendered["in"] = json!("header"),
    }
    let example = parameter.example.map(|example| match schema["type"].as_str() {
        Some("string") => json!(example),
        _ => serde_json::from_str(example).unwrap_or_else(|_| json!(example)),
    });
    let mut described = json!({"schema": schema});
    if let Some(example) = example {
        described["example"] = example;
    }
    match parameter.place {
        Place::QueryJson => rendered["content"] = json!({"application/json": described}),
        Place::Query | Place::Header => merge(&mut rendered, described),
    }
    rendered
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn content(media: &[Media]) -> Value {
    let content: Map<_, _> = media
        .iter()
        .map(|one| {
            let mut rendered = json!({"schema": (one.schema)()});
            if let Some(example) = one.example {
                rendered["example"] = example();
            }
            (one.media_type.to_owned(), rendered)
        })
        .collect();
    Value::Object(content)
}

fn answer(answer: &Answer) -> Value {
    let mut rendered = json!({"description": answer.text});
    if !answer.headers.is_empty() {
        rendered["headers"] = headers(answer.headers);
    }
    if !answer.media.is_empty() {
        rendered["content"] = content(answer.media);
    }
    rendered
}

fn headers(headers: &[Header]) -> Value {
    let headers: Map<_, _> = headers
        .iter()
        .map(|header| {
            let rendered = json!({"description": header.text, "required": header.required,
                                  "schema": (header.schema)()});
            (header.name.to_owned(), rendered)
        })
        .collect();
    Value::Object(headers)
}

/// The errors of a call by their status, each with the codes that it may have.
fn refusals(operation: &Operation) -> Map<String, Value> {
    let groups: &[&[&str]] = match operation.needs {
        Needs::Nothing => &[],
        Needs::Token(Scope::Write) => &[errors::TOKEN, errors::WRITE],
        Needs::Token(Scope::Read | Scope::Admin) => &[errors::TOKEN],
    };
    let start: &[&[&str]] = match operation.handler {
        Handler::Health => &[],
        _ => &[&["starting"]],
    };
    let groups = groups.iter().chain(start).chain(operation.description.errors);
    let has = |code: &str| groups.clone().any(|group| group.contains(&code));
    let mut rendered = Map::new();
    for status in ERRORS.chunk_by(|one, next| one.status == next.status) {
        let codes: Vec<_> = status.iter().filter(|error| has(error.code)).collect();
        let Some(first) = codes.first() else { continue };
        let causes: Vec<_> =
            codes.iter().map(|error| format!("* `{}`: {}", error.code, error.cause)).collect();
        let names: Vec<_> = codes.iter().map(|error| error.code).collect();
        let schema = json!({"allOf": [named("Error"), {"properties": {"error": {"enum": names}}}]});
        let mut refusal = json!({
            "description": causes.join("\n"),
            "content": {"application/json": {"schema": schema}},
        });
        if errors::passes(first.status) {
            refusal["headers"] = headers(&[RETRY_AFTER]);
        }
        rendered.insert(first.status.to_string(), refusal);
    }
    rendered
}

const RETRY_AFTER: Header = Header {
    name: "Retry-After",
    text: "Seconds to wait before sending the same again.",
    schema: || json!({"type": "integer", "minimum": 1, "maximum": 300}),
    required: true,
};
