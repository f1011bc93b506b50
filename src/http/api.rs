//! What the handlers work with, and the way from a request to its handler.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use super::admission;
use super::body::BodyBudget;
use super::cardinality::{self, LastCensus};
use super::openapi::Documents;
use super::readiness::Readiness;
use super::reply::{self, Reply};
use super::request_body::Request;
use super::retry_after::Spread;
use super::routes::{self, Handler};
use super::{partitions, reading, report, runtime, scrape, service, status};
use crate::access::{Caller, Gate, Remembered};
use crate::clock::Clock;
use crate::exposition::Page;
use crate::ingest::Ingest;
use crate::jobs::{Maintenance, SelfReporter};
use crate::log::Progress;
use crate::model::Limits;
use crate::query::Queries;
use crate::registry::{ComponentLoader, Registry};
use crate::telemetry::{Route, Telemetry};

/// Bounds and defaults of the handlers.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// What a report may hold; of a body, before and after decompression.
    pub limits: Limits,
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
    /// Lets requests in.
    pub gate: Arc<Gate>,
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
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
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
    pub(super) census: LastCensus,
    draining: AtomicBool,
    /// Made when they are first asked for.
    documents: OnceLock<Documents>,
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
            census: LastCensus::default(),
            draining: AtomicBool::new(false),
            documents: OnceLock::new(),
        }
    }

    /// Refuses reports from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Answers one request and counts it. `connection` knows what its last one came with.
    pub(super) async fn handle(&self, request: &mut Request, connection: &Remembered) -> Reply {
        let began = Instant::now();
        let (route, reply) = self.route(request, connection).await;
        self.parts.telemetry.http.answered(
            route,
            reply.status().as_u16(),
            began.elapsed().as_secs_f64(),
        );
        reply
    }

    async fn route(&self, request: &mut Request, connection: &Remembered) -> (Route, Reply) {
        let path = request.uri().path();
        let Some(resource) = routes::find(path) else { return (Route::Other, not_found(path)) };
        let Some(operation) = resource.operation(request.method()) else {
            return (resource.route, wrong_method(&resource.allowed()));
        };
        let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let admitted =
            admission::admit(&self.parts.gate, connection, authorization, operation.needs);
        let reply = match admitted {
            Ok(caller) => self.answer(operation.handler, &caller, request).await,
            Err(denied) => Box::pin(admission::turn_away(admission::denied(denied), request)).await,
        };
        (resource.route, reply)
    }

    async fn answer(&self, handler: Handler, caller: &Caller, request: &mut Request) -> Reply {
        match handler {
            Handler::Report => report::report(self, caller, request).await,
            Handler::SelfReport => report::self_report(self, caller, request).await,
            Handler::Page => scrape::prometheus(self, request).await,
            Handler::NotImplemented => partitions::not_implemented(),
            Handler::Health => service::health(),
            Handler::Ready => service::ready(self),
            Handler::Instruments => service::metrics(self),
            Handler::OpenApi => self.documents().json.reply(request),
            Handler::Status => status::page(request.headers()),
            Handler::Docs => self.documents().page.reply(request),
            // Each connection has room for the largest future, thousands of them all the time. What
            // is asked for seldom and speaks with PostgreSQL has its room when it is asked for.
            Handler::Query => Box::pin(reading::query(self, request)).await,
            Handler::Cardinality => Box::pin(cardinality::cardinality(self, request)).await,
            Handler::Components => Box::pin(runtime::components(self)).await,
            Handler::Pools => Box::pin(runtime::pools(self, request)).await,
            Handler::Registry(call) => Box::pin(runtime::call(self, caller, call, request)).await,
            Handler::Partitions => Box::pin(partitions::list(self)).await,
            Handler::CreatePartitions => Box::pin(partitions::create(self, request)).await,
            Handler::CleanUp => Box::pin(partitions::cleanup(self)).await,
        }
    }

    fn documents(&self) -> &Documents {
        self.documents.get_or_init(|| Documents::new(&self.settings.limits))
    }
}

fn wrong_method(allowed: &str) -> Reply {
    let detail = format!("this path takes {allowed} only");
    let mut reply = reply::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &detail);
    let allowed = HeaderValue::try_from(allowed).expect("methods are letters");
    reply.headers_mut().insert(header::ALLOW, allowed);
    reply
}

fn not_found(path: &str) -> Reply {
    let shown: String = path.chars().take(100).collect();
    let detail = format!("there is no {shown} here; docs/api.md lists the paths");
    reply::error(StatusCode::NOT_FOUND, "not_found", &detail)
}
