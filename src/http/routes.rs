//! The calls of this server: one table, from which requests are told apart, wrong methods are
//! answered, and the API is described.

use hyper::Method;

use super::openapi::{Description, calls as described};
use super::runtime::Call;
use crate::access::Scope;
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
    pub(super) needs: Needs,
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

/// What a request must come with where the server has tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: it tells nothing of what is stored.
    Nothing,
    /// A token of the scope.
    Token(Scope),
}

/// Who answers. A value and no function, so that the report's future lies in that of its connection
/// and not in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    Report,
    SelfReport,
    Query,
    Page,
    Cardinality,
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

impl Handler {
    /// Whether it always answers in one piece.
    pub(super) fn answers_whole(self) -> bool {
        match self {
            Self::Page | Self::Query | Self::OpenApi | Self::Docs | Self::Status => false,
            Self::Report
            | Self::SelfReport
            | Self::Cardinality
            | Self::Components
            | Self::Pools
            | Self::Registry(_)
            | Self::Partitions
            | Self::CreatePartitions
            | Self::CleanUp
            | Self::NotImplemented
            | Self::Health
            | Self::Ready
            | Self::Instruments => true,
        }
    }
}

use Handler as H;
use Verb::{Delete, Get, Post};

const OPEN: Needs = Needs::Nothing;
const READ: Needs = Needs::Token(Scope::Read);
pub(super) const WRITE: Needs = Needs::Token(Scope::Write);
const ADMIN: Needs = Needs::Token(Scope::Admin);

/// Every path. The search goes through it from the top, so reports come first; comparing with the
/// others is mostly comparing lengths.
pub(super) static RESOURCES: &[Resource] = &[
    at("/api/metrics/report", Route::Report, &[on(Post, H::Report, WRITE, &described::REPORT)]),
    at(
        "/api/metrics/self-report",
        Route::SelfReport,
        &[on(Post, H::SelfReport, WRITE, &described::SELF_REPORT)],
    ),
    at("/api/metrics/query", Route::Query, &[on(Get, H::Query, READ, &described::QUERY)]),
    at("/api/metrics/prometheus", Route::Prometheus, &[on(Get, H::Page, READ, &described::PAGE)]),
    at(
        "/api/metrics/cardinality",
        Route::Cardinality,
        &[on(Get, H::Cardinality, READ, &described::CARDINALITY)],
    ),
    at(
        "/api/metrics/components",
        Route::Components,
        &[on(Get, H::Components, READ, &described::COMPONENTS)],
    ),
    at(
        "/api/runtime/register",
        Route::Runtime,
        &[on(Post, H::Registry(Call::Register), WRITE, &described::REGISTER)],
    ),
    at(
        "/api/runtime/deregister",
        Route::Runtime,
        &[on(Delete, H::Registry(Call::Deregister), WRITE, &described::DEREGISTER)],
    ),
    at(
        "/api/worker/pool/register",
        Route::Runtime,
        &[on(Post, H::Registry(Call::RegisterPool), WRITE, &described::REGISTER_POOL)],
    ),
    at(
        "/api/worker/pool/deregister",
        Route::Runtime,
        &[
            on(Delete, H::Registry(Call::DeregisterPool), WRITE, &described::DEREGISTER_POOL),
            on(Post, H::Registry(Call::DeregisterPool), WRITE, &described::DEREGISTER_POOL_BY_POST),
        ],
    ),
    at(
        "/api/worker/pool/heartbeat",
        Route::Runtime,
        &[on(Post, H::Registry(Call::Heartbeat), WRITE, &described::HEARTBEAT)],
    ),
    at("/api/worker/pools", Route::Runtime, &[on(Get, H::Pools, READ, &described::POOLS)]),
    at(
        "/api/metrics/partitions",
        Route::Partitions,
        &[on(Get, H::Partitions, READ, &described::LIST)],
    ),
    at(
        "/api/metrics/partitions/create",
        Route::Partitions,
        &[on(Post, H::CreatePartitions, ADMIN, &described::CREATE)],
    ),
    at(
        "/api/metrics/cleanup",
        Route::Partitions,
        &[on(Post, H::CleanUp, ADMIN, &described::CLEAN_UP)],
    ),
    at(
        "/api/metrics/ttl/set",
        Route::Partitions,
        &[on(Post, H::NotImplemented, ADMIN, &described::SET_RETENTION)],
    ),
    at(
        "/api/metrics/ttl/extend-component",
        Route::Partitions,
        &[on(Post, H::NotImplemented, ADMIN, &described::EXTEND_RETENTION)],
    ),
    at("/health", Route::Service, &[on(Get, H::Health, OPEN, &described::HEALTH)]),
    at("/ready", Route::Service, &[on(Get, H::Ready, OPEN, &described::READY)]),
    at("/metrics", Route::Service, &[on(Get, H::Instruments, READ, &described::INSTRUMENTS)]),
    at("/api/openapi.json", Route::Service, &[on(Get, H::OpenApi, OPEN, &described::OPENAPI)]),
    at("/docs", Route::Service, &[on(Get, H::Docs, OPEN, &described::DOCS)]),
    at("/", Route::Service, &[on(Get, H::Status, OPEN, &described::STATUS)]),
];

const fn at(path: &'static str, route: Route, operations: &'static [Operation]) -> Resource {
    Resource { path, route, operations }
}

const fn on(
    verb: Verb,
    handler: Handler,
    needs: Needs,
    description: &'static Description,
) -> Operation {
    Operation { verb, handler, needs, description }
}

/// What is at `path`.
pub(super) fn find(path: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.path == path)
}

impl Resource {
    /// What `method` does here.
    pub(super) fn operation(&self, method: &Method) -> Option<&'static Operation> {
        self.operations.iter().find(|operation| operation.verb.takes(method))
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
            let found = resource.operation(&method).map(|operation| operation.handler);
            let found = found.ok_or_else(|| resource.allowed());
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
    fn only_calls_that_tell_nothing_of_what_is_stored_are_open() {
        let operations = RESOURCES.iter().flat_map(|resource| {
            resource.operations.iter().map(|operation| (resource.path, operation))
        });
        let open: Vec<_> =
            operations.clone().filter(|(_, one)| one.needs == OPEN).map(|(path, _)| path).collect();
        assert_eq!(open, ["/health", "/ready", "/api/openapi.json", "/docs", "/"]);
        for (path, operation) in operations {
            let changes = matches!(operation.needs, Needs::Token(Scope::Write | Scope::Admin));
            assert_eq!(changes, operation.verb != Get, "{path}");
        }
    }

    #[test]
    fn reports_need_no_search() {
        assert_eq!(RESOURCES[0].operations[0].handler, H::Report);
    }
}
