//! What requests meet first: the API once it is there, and before that the word that the server is
//! starting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::sync::SetOnce;
use tokio::time::timeout;

use super::api::Api;
use super::readiness::Readiness;
use super::reply::{self, Reply};
use super::request_body::Request;
use super::routes::{self, Handler};
use super::{admission, service};
use crate::access::Remembered;
use crate::telemetry::{Route, Telemetry};

/// How long a request waits for a server that is starting. Most starts take less, so that a client
/// that does not try again loses nothing by a restart.
const START_WAIT: Duration = Duration::from_secs(5);

/// The front of a server: one for all connections.
pub struct Front {
    pub(super) telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    api: SetOnce<Arc<Api>>,
}

impl Front {
    /// A front that has no API yet.
    pub fn new(readiness: Arc<Readiness>, telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry, readiness, api: SetOnce::new() }
    }

    /// Has the API answer from now on.
    ///
    /// # Panics
    /// Where it has one already.
    pub fn open(&self, api: Arc<Api>) {
        assert!(self.api.set(api).is_ok(), "a server has one API");
    }

    /// The API, if it is there.
    pub(super) fn api(&self) -> Option<&Api> {
        self.api.get().map(Arc::as_ref)
    }

    /// Answers one request. `connection` knows what its last one came with.
    pub(super) async fn handle(&self, request: &mut Request, connection: &Remembered) -> Reply {
        match self.api.get() {
            Some(api) => api.handle(request, connection).await,
            // In a box, for a connection has room for the largest future all the time.
            None => Box::pin(self.start(request, connection)).await,
        }
    }

    async fn start(&self, request: &mut Request, connection: &Remembered) -> Reply {
        let began = Instant::now();
        let resource = routes::find(request.uri().path());
        let operation = resource.and_then(|resource| resource.operation(request.method()));
        let reply = match operation.map(|operation| operation.handler) {
            Some(Handler::Health) => service::health(),
            Some(Handler::Ready) => service::starting(&self.readiness),
            _ => match timeout(START_WAIT, self.api.wait()).await {
                Ok(api) => return api.handle(request, connection).await,
                Err(_) => admission::turn_away(starting(), request).await,
            },
        };
        let route = resource.map_or(Route::Other, |resource| resource.route);
        let took = began.elapsed().as_secs_f64();
        self.telemetry.http.answered(route, reply.status().as_u16(), took);
        reply
    }
}

fn starting() -> Reply {
    reply::retry(
        StatusCode::SERVICE_UNAVAILABLE,
        5,
        "starting",
        "the server is starting; try another one, or again soon. GET /ready says what it waits for",
    )
}
