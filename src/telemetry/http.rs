//! Requests by route and status, resolved to their counters ahead of time.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use super::must_register;

/// The routes that are counted apart. A path that is none of them counts as [`Route::Other`],
/// so that clients cannot make label values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /api/metrics/report`
    Report,
    /// `POST /api/metrics/self-report`
    SelfReport,
    /// `GET /api/metrics/query`
    Query,
    /// `GET /api/metrics/prometheus`
    Prometheus,
    /// `GET /api/metrics/cardinality`
    Cardinality,
    /// `GET /api/metrics/components`
    Components,
    /// `/api/runtime/…`, `/api/worker/…`
    Runtime,
    /// `/api/metrics/partitions`, `…/partitions/create`, `…/cleanup` and `…/ttl/…`
    Partitions,
    /// `GET /health`, `/ready`, `/metrics`, `/api/openapi.json`, `/docs`
    Service,
    /// Everything else.
    Other,
}

impl Route {
    const ALL: [Self; 10] = [
        Self::Report,
        Self::SelfReport,
        Self::Query,
        Self::Prometheus,
        Self::Cardinality,
        Self::Components,
        Self::Runtime,
        Self::Partitions,
        Self::Service,
        Self::Other,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::SelfReport => "self_report",
            Self::Query => "query",
            Self::Prometheus => "prometheus",
            Self::Cardinality => "cardinality",
            Self::Components => "components",
            Self::Runtime => "runtime",
            Self::Partitions => "partitions",
            Self::Service => "service",
            Self::Other => "other",
        }
    }
}

/// Statuses that this server answers; another counts as the last, 500.
const STATUSES: [u16; 15] =
    [200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 501, 503, 500];

/// What is measured of requests.
#[derive(Debug)]
pub struct HttpInstruments {
    /// Connections open.
    pub connections: IntGauge,
    /// Connections that did not come to speak TLS.
    pub handshakes_failed: IntCounter,
    /// Reports between their first byte and their answer.
    pub reports_in_flight: IntGauge,
    requests: Vec<[IntCounter; STATUSES.len()]>,
    seconds: Vec<Histogram>,
}

impl HttpInstruments {
    pub(super) fn new(registry: &Registry) -> Self {
        let requests = IntCounterVec::new(
            Opts::new(
                "noetl_metrics_http_requests_total",
                "Requests answered, by route and status.",
            ),
            &["route", "status"],
        )
        .expect("instrument names are valid");
        let buckets = prometheus::exponential_buckets(100e-6, 2.0, 18).expect("bucket bounds rise");
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "noetl_metrics_http_request_seconds",
                "Seconds from a request's head to its answer, by route.",
            )
            .buckets(buckets),
            &["route"],
        )
        .expect("instrument names are valid");
        let connections = gauge("noetl_metrics_http_connections", "Connections open.");
        let handshakes_failed = IntCounter::new(
            "noetl_metrics_tls_handshakes_failed_total",
            "Connections that ended before they spoke TLS: too slow, no TLS, or a certificate that is not trusted.",
        )
        .expect("instrument names are valid");
        let reports_in_flight = gauge(
            "noetl_metrics_http_reports_in_flight",
            "Reports being received or waiting for the log.",
        );
        must_register(registry, Box::new(requests.clone()));
        must_register(registry, Box::new(seconds.clone()));
        must_register(registry, Box::new(connections.clone()));
        must_register(registry, Box::new(handshakes_failed.clone()));
        must_register(registry, Box::new(reports_in_flight.clone()));
        Self {
            connections,
            handshakes_failed,
            reports_in_flight,
            requests: Route::ALL
                .map(|route| {
                    STATUSES.map(|status| {
                        requests.with_label_values(&[route.as_str(), &status.to_string()])
                    })
                })
                .to_vec(),
            seconds: Route::ALL.map(|route| seconds.with_label_values(&[route.as_str()])).to_vec(),
        }
    }

    /// Counts one answer.
    pub fn answered(&self, route: Route, status: u16, seconds: f64) {
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.requests[route as usize][at].inc();
        self.seconds[route as usize].observe(seconds);
    }
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("instrument names are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_under_its_route_and_status() {
        let registry = Registry::new();
        let http = HttpInstruments::new(&registry);
        http.answered(Route::Report, 200, 0.001);
        http.answered(Route::Query, 503, 0.001);
        http.answered(Route::Query, 401, 0.001);
        http.answered(Route::Query, 403, 0.001);
        http.answered(Route::Prometheus, 304, 0.001);
        http.answered(Route::Query, 599, 0.001);
        let count = |route: Route, status: u16| {
            http.requests[route as usize]
                [STATUSES.iter().position(|known| *known == status).unwrap()]
            .get()
        };
        assert_eq!(
            (count(Route::Report, 200), count(Route::Query, 503), count(Route::Query, 500)),
            (1, 1, 1)
        );
        assert_eq!((count(Route::Prometheus, 304), count(Route::Prometheus, 500)), (1, 0));
        assert_eq!((count(Route::Query, 401), count(Route::Query, 403)), (1, 1));
        assert_eq!(count(Route::Report, 503), 0);
    }
}
