//! What the handlers work with, and the way from a request to its handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use super::body::BodyBudget;
use super::reply::{self, Reply};
use super::retry_after::Spread;
use super::runtime::{self, Call};
use super::{partitions, reading, report, scrape, service};
use crate::clock::Clock;
use crate::exposition::Page;
use crate::ingest::Ingest;
use crate::jobs::{Maintenance, SelfReporter};
use crate::log::Progress;
use crate::query::Queries;
use crate::registry::{ComponentLoader, Registry};
use crate::telemetry::{Route, Telemetry};

/// Bounds and defaults of the handlers.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Bytes of a body, before and after decompression.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that are being received.
    pub in_flight_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a query may wait for the flush and run.
    pub query_timeout: Duration,
    /// The zone of a query's timestamps that name none.
    pub time_zone: TimeZone,
}

/// What the handlers hand on to.
pub struct ApiParts {
    /// Takes reports.
    pub ingest: Arc<Ingest>,
    /// Reports about the server.
    pub self_reporter: SelfReporter,
    /// Renders the page.
    pub page: Arc<Page>,
    /// Knows the components.
    pub registry: Arc<Registry>,
    /// The way to components that are not in memory.
    pub loader: ComponentLoader,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Answers queries.
    pub queries: Arc<Queries>,
    /// Looks after the partitions.
    pub partitions: Arc<Maintenance>,
    /// How far the log is.
    pub progress: Arc<Progress>,
    /// Where requests are counted.
    pub telemetry: Arc<Telemetry>,
}

/// The API: one for all connections.
pub struct Api {
    pub(super) parts: ApiParts,
    pub(super) settings: ApiSettings,
    pub(super) bodies: Arc<BodyBudget>,
    pub(super) spread: Spread,
    /// Turns for pages of some components.
    pub(super) chosen_pages: Semaphore,
    /// Bounds what administrators may have done at once, each on a connection of its own.
    pub(super) administration: Semaphore,
    draining: AtomicBool,
}

impl Api {
    /// An API over `parts`.
    pub fn new(parts: ApiParts, settings: ApiSettings) -> Self {
        let bodies = BodyBudget::new(settings.in_flight_bytes_max);
        Self {
            parts,
            settings,
            bodies,
            spread: Spread::default(),
            chosen_pages: Semaphore::new(scrape::CHOSEN_PAGES_MAX),
            administration: Semaphore::new(partitions::AT_ONCE_MAX),
            draining: AtomicBool::new(false),
        }
    }

    /// Refuses reports from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Answers one request and counts it.
    pub(super) async fn handle(&self, request: Request<Incoming>) -> Reply {
        let began = Instant::now();
        let (route, reply) = self.route(request).await;
        self.parts.telemetry.http.answered(
            route,
            reply.status().as_u16(),
            began.elapsed().as_secs_f64(),
        );
        reply
    }

    async fn route(&self, request: Request<Incoming>) -> (Route, Reply) {
        let post = request.method() == Method::POST;
        let get = request.method() == Method::GET || request.method() == Method::HEAD;
        match request.uri().path() {
            "/api/metrics/report" if post => (Route::Report, report::report(self, request).await),
            "/api/metrics/self-report" if post => {
                (Route::SelfReport, report::self_report(self, &request).await)
            }
            "/api/metrics/query" if get => (Route::Query, reading::query(self, &request).await),
            "/api/metrics/prometheus" if get => {
                (Route::Prometheus, scrape::prometheus(self, &request).await)
            }
            "/api/metrics/components" if get => {
                (Route::Components, runtime::components(self).await)
            }
            path if path.starts_with("/api/runtime/") || path.starts_with("/api/worker/") => {
                self.route_runtime(request).await
            }
            "/api/metrics/partitions" if get => (Route::Partitions, partitions::list(self).await),
            "/api/metrics/partitions/create" if post => {
                (Route::Partitions, partitions::create(self, &request).await)
            }
            "/api/metrics/cleanup" if post => (Route::Partitions, partitions::cleanup(self).await),
            "/api/metrics/ttl/set" | "/api/metrics/ttl/extend-component" => {
                (Route::Partitions, partitions::not_implemented())
            }
            "/health" if get => (Route::Service, service::health()),
            "/ready" if get => (Route::Service, service::ready(self)),
            "/metrics" if get => (Route::Service, service::metrics(self)),
            "/api/metrics/report" => (Route::Report, wrong_method("POST")),
            "/api/metrics/self-report" => (Route::SelfReport, wrong_method("POST")),
            "/api/metrics/query" => (Route::Query, wrong_method("GET")),
            "/api/metrics/prometheus" => (Route::Prometheus, wrong_method("GET")),
            "/api/metrics/components" => (Route::Components, wrong_method("GET")),
            "/api/metrics/partitions" => (Route::Partitions, wrong_method("GET")),
            "/api/metrics/partitions/create" | "/api/metrics/cleanup" => {
                (Route::Partitions, wrong_method("POST"))
            }
            "/health" | "/ready" | "/metrics" => (Route::Service, wrong_method("GET")),
            path => (Route::Other, not_found(path)),
        }
    }
}

impl Api {
    /// The calls of the runtime registry.
    async fn route_runtime(&self, request: Request<Incoming>) -> (Route, Reply) {
        let (post, delete) = (request.method() == Method::POST, request.method() == Method::DELETE);
        let get = request.method() == Method::GET || request.method() == Method::HEAD;
        let call = match request.uri().path() {
            "/api/runtime/register" if post => Call::Register,
            "/api/runtime/deregister" if delete => Call::Deregister,
            "/api/worker/pool/register" if post => Call::RegisterPool,
            "/api/worker/pool/deregister" if delete || post => Call::DeregisterPool,
            "/api/worker/pool/heartbeat" if post => Call::Heartbeat,
            "/api/worker/pools" if get => {
                return (Route::Runtime, runtime::pools(self, &request).await);
            }
            "/api/runtime/register"
            | "/api/worker/pool/register"
            | "/api/worker/pool/heartbeat" => {
                return (Route::Runtime, wrong_method("POST"));
            }
            "/api/runtime/deregister" => return (Route::Runtime, wrong_method("DELETE")),
            "/api/worker/pool/deregister" => {
                return (Route::Runtime, wrong_method("DELETE, POST"));
            }
            "/api/worker/pools" => return (Route::Runtime, wrong_method("GET")),
            path => return (Route::Other, not_found(path)),
        };
        (Route::Runtime, runtime::call(self, call, request).await)
    }
}

fn wrong_method(allowed: &'static str) -> Reply {
    let detail = format!("this path takes {allowed} only");
    let mut reply = reply::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &detail);
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    reply
}

fn not_found(path: &str) -> Reply {
    let shown: String = path.chars().take(100).collect();
    let detail = format!("there is no {shown} here; docs/api.md lists the paths");
    reply::error(StatusCode::NOT_FOUND, "not_found", &detail)
}
