//! The calls of this server: one table, from which requests are told apart, wrong methods are
//! answered, and the API is described.

use hyper::Method;

use super::openapi::{Description, calls as described};
use super::runtime::Call;
use crate::telemetry::Route;

/// A path and what it takes.
pub(super) struct Resource {
    pub(super) path: &'static str,
    /// What its requests count as.
    pub(super) route: Route,
    pub(super) operations: &'static [Operation],
}

/// A method of a path.
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) handler: Handler,
    /// What it takes and answers.
    pub(super) description: &'static Description,
}

/// The methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Also answers `HEAD`, by the same head; hyper leaves the body out.
    Get,
    Post,
    Delete,
}

/// Who answers. A value and no function, so that the report's future lies in that of its connection
/// and not in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    Report,
    SelfReport,
    Query,
    Page,
    Components,
    Pools,
    Registry(Call),
    Partitions,
    CreatePartitions,
    CleanUp,
    NotImplemented,
    Health,
    Ready,
    Instruments,
    OpenApi,
    Docs,
    Status,
}

use Handler as H;
use Verb::{Delete, Get, Post};

/// Every path. The search goes through it from the top, so reports come first; comparing with the
/// others is mostly comparing lengths.
pub(super) static RESOURCES: &[Resource] = &[
    at("/api/metrics/report", Route::Report, &[on(Post, H::Report, &described::REPORT)]),
    at(
        "/api/metrics/self-report",
        Route::SelfReport,
        &[on(Post, H::SelfReport, &described::SELF_REPORT)],
    ),
    at("/api/metrics/query", Route::Query, &[on(Get, H::Query, &described::QUERY)]),
    at("/api/metrics/prometheus", Route::Prometheus, &[on(Get, H::Page, &described::PAGE)]),
    at(
        "/api/metrics/components",
        Route::Components,
        &[on(Get, H::Components, &described::COMPONENTS)],
    ),
    at(
        "/api/runtime/register",
        Route::Runtime,
        &[on(Post, H::Registry(Call::Register), &described::REGISTER)],
    ),
    at(
        "/api/runtime/deregister",
        Route::Runtime,
        &[on(Delete, H::Registry(Call::Deregister), &described::DEREGISTER)],
    ),
    at(
        "/api/worker/pool/register",
        Route::Runtime,
        &[on(Post, H::Registry(Call::RegisterPool), &described::REGISTER_POOL)],
    ),
    at(
        "/api/worker/pool/deregister",
        Route::Runtime,
        &[
            on(Delete, H::Registry(Call::DeregisterPool), &described::DEREGISTER_POOL),
            on(Post, H::Registry(Call::DeregisterPool), &described::DEREGISTER_POOL_BY_POST),
        ],
    ),
    at(
        "/api/worker/pool/heartbeat",
        Route::Runtime,
        &[on(Post, H::Registry(Call::Heartbeat), &described::HEARTBEAT)],
    ),
    at("/api/worker/pools", Route::Runtime, &[on(Get, H::Pools, &described::POOLS)]),
    at("/api/metrics/partitions", Route::Partitions, &[on(Get, H::Partitions, &described::LIST)]),
    at(
        "/api/metrics/partitions/create",
        Route::Partitions,
        &[on(Post, H::CreatePartitions, &described::CREATE)],
    ),
    at("/api/metrics/cleanup", Route::Partitions, &[on(Post, H::CleanUp, &described::CLEAN_UP)]),
    at(
        "/api/metrics/ttl/set",
        Route::Partitions,
        &[on(Post, H::NotImplemented, &described::SET_RETENTION)],
    ),
    at(
        "/api/metrics/ttl/extend-component",
        Route::Partitions,
        &[on(Post, H::NotImplemented, &described::EXTEND_RETENTION)],
    ),
    at("/health", Route::Service, &[on(Get, H::Health, &described::HEALTH)]),
    at("/ready", Route::Service, &[on(Get, H::Ready, &described::READY)]),
    at("/metrics", Route::Service, &[on(Get, H::Instruments, &described::INSTRUMENTS)]),
    at("/api/openapi.json", Route::Service, &[on(Get, H::OpenApi, &described::OPENAPI)]),
    at("/docs", Route::Service, &[on(Get, H::Docs, &described::DOCS)]),
    at("/", Route::Service, &[on(Get, H::Status, &described::STATUS)]),
];

const fn at(path: &'static str, route: Route, operations: &'static [Operation]) -> Resource {
    Resource { path, route, operations }
}

const fn on(verb: Verb, handler: Handler, description: &'static Description) -> Operation {
    Operation { verb, handler, description }
}

/// What is at `path`.
pub(super) fn find(path: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.path == path)
}

impl Resource {
    /// Who answers `method`.
    pub(super) fn handler(&self, method: &Method) -> Option<Handler> {
        let operation = self.operations.iter().find(|operation| operation.verb.takes(method))?;
        Some(operation.handler)
    }

    /// The value of `Allow`.
    pub(super) fn allowed(&self) -> String {
        let verbs: Vec<_> =
            self.operations.iter().map(|operation| operation.verb.allow()).collect();
        verbs.join(", ")
    }
}

impl Verb {
    fn takes(self, method: &Method) -> bool {
        match self {
            Get => method == Method::GET || method == Method::HEAD,
            Post => method == Method::POST,
            Delete => method == Method::DELETE,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Get => "GET, HEAD",
            Post => "POST",
            Delete => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_found_and_stands_once() {
        let paths: BTreeSet<_> = RESOURCES.iter().map(|resource| resource.path).collect();
        assert_eq!(paths.len(), RESOURCES.len());
        for resource in RESOURCES {
            assert_eq!(find(resource.path).unwrap().path, resource.path);
        }
        for unknown in ["", "//", "/api/metrics/report/", "/API/metrics/report", "/api/metrics"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn a_method_finds_its_handler_or_what_is_allowed() {
        let check = |path: &str, method: Method, expected: Result<Handler, &str>| {
            let resource = find(path).unwrap();
            let found = resource.handler(&method).ok_or_else(|| resource.allowed());
            assert_eq!(found, expected.map_err(str::to_owned), "{method} {path}");
        };
        check("/api/metrics/report", Method::POST, Ok(H::Report));
        check("/api/metrics/report", Method::GET, Err("POST"));
        check("/api/metrics/report", Method::from_bytes(b"post").unwrap(), Err("POST"));
        check("/health", Method::HEAD, Ok(H::Health));
        check("/health", Method::OPTIONS, Err("GET, HEAD"));
        check("/api/worker/pool/deregister", Method::DELETE, Ok(H::Registry(Call::DeregisterPool)));
        check("/api/worker/pool/deregister", Method::PUT, Err("DELETE, POST"));
    }

    #[test]
    fn reports_need_no_search() {
        assert_eq!(RESOURCES[0].operations[0].handler, H::Report);
    }
}
