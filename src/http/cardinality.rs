//! `GET /api/metrics/cardinality`: what the memory is full of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::api::Api;
use super::reply::{self, Reply};
use super::request_body::Request;
use crate::protocol::parameters;
use crate::registry::{Census, Registry};

/// Entries of a list when no number is named, and at most.
pub(super) const LIMIT: u32 = 10;
pub(super) const LIMIT_MAX: u32 = 100;
/// So long a count is told to all who ask. It takes a fraction of a second for a million series:
/// however many ask, a few percent of a processor.
const AGE_MAX: Duration = Duration::from_secs(10);

/// The last count.
#[derive(Debug, Default)]
pub(super) struct LastCensus(Mutex<Option<(Instant, Arc<Census>)>>);

/// `GET /api/metrics/cardinality`
pub(super) async fn cardinality(api: &Api, request: &Request) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let limit = match parameters::only_number(query, "limit", LIMIT, 1..=LIMIT_MAX) {
        Ok(limit) => limit as usize,
        Err(detail) => return reply::invalid_parameter(&detail),
    };
    let registry = &api.parts.registry;
    let now_s = api.parts.clock.now().seconds();
    let (age, census) = api.census.get(registry, now_s).await;
    reply::json(render(registry, &census, age, limit).to_string())
}

impl LastCensus {
    /// A count and its age. One counts at a time, and those who wait for it get the same.
    async fn get(&self, registry: &Registry, now_s: u32) -> (Duration, Arc<Census>) {
        let mut last = self.0.lock().await;
        if let Some((counted, census)) = &*last
            && counted.elapsed() < AGE_MAX
        {
            return (counted.elapsed(), Arc::clone(census));
        }
        let census = Arc::new(block_in_place(|| registry.census(LIMIT_MAX as usize, now_s)));
        *last = Some((Instant::now(), Arc::clone(&census)));
        (Duration::ZERO, census)
    }
}

fn render(registry: &Registry, census: &Census, age: Duration, limit: usize) -> Value {
    let settings = registry.settings();
    let components: Vec<_> = census
        .largest_components
        .iter()
        .take(limit)
        .map(|one| {
            json!({
                "component_name": one.key.name(),
                "component_type": one.key.component_type(),
                "runtime_id": one.runtime_id.get(),
                "series": one.series,
                "active_series": one.active_series,
                "new_series_last_minute": one.new_series,
                "rejected": one.refused,
            })
        })
        .collect();
    let metrics: Vec<_> = census
        .largest_metrics
        .iter()
        .take(limit)
        .map(|one| json!({"metric_name": &*one.metric, "series": one.series}))
        .collect();
    let labels: Vec<_> = census
        .largest_labels
        .iter()
        .take(limit)
        .map(|one| json!({"metric_name": &*one.metric, "label": &*one.label, "values": one.values}))
        .collect();
    json!({
        "series": census.series,
        "series_max": settings.series_max,
        "new_series_last_minute": census.new_series,
        "new_series_per_minute_max": settings.new_series_per_minute_max,
        "components": census.components,
        "components_at_limit": census.components_at_limit,
        "component_series_max": settings.component_series_max,
        "component_new_series_per_minute_max": settings.component_new_series_per_minute_max,
        "largest_components": components,
        "largest_metrics": metrics,
        "largest_labels": labels,
        "complete": !census.forgot,
        "age_seconds": age.as_secs(),
    })
}
