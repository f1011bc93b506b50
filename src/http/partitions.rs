//! What an administrator does with partitions: list, make, drop.

use hyper::StatusCode;
use serde_json::json;

use super::api::Api;
use super::reply::{self, Reply};
use super::request_body::Request;
use crate::jobs::{MaintenanceError, partition_to_json};
use crate::protocol::parameters;

/// Requests of this kind that may be worked on at once.
pub(super) const AT_ONCE_MAX: usize = 2;
/// Days for which partitions are made when none are named.
pub(super) const DAYS_AHEAD: u32 = 7;
/// The most that can be named.
pub(super) const DAYS_AHEAD_MAX: u32 = 366;

/// `GET /api/metrics/partitions`
pub(super) async fn list(api: &Api) -> Reply {
    let Ok(_turn) = api.administration.try_acquire() else { return busy() };
    match api.parts.partitions.list().await {
        Ok(partitions) => {
            let count = partitions.len();
            let partitions: Vec<_> = partitions.iter().map(partition_to_json).collect();
            reply::json(json!({"partitions": partitions, "count": count}).to_string())
        }
        Err(error) => failed(&error),
    }
}

/// `POST /api/metrics/partitions/create`
pub(super) async fn create(api: &Api, request: &Request) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let days = match parameters::only_number(query, "days_ahead", DAYS_AHEAD, 0..=DAYS_AHEAD_MAX) {
        Ok(days) => days,
        Err(detail) => return reply::invalid_parameter(&detail),
    };
    let Ok(_turn) = api.administration.try_acquire() else { return busy() };
    match api.parts.partitions.create(days).await {
        Ok(created) => {
            let count = created.partitions.len();
            reply::json(
                json!({"status": "ok", "created_partitions": created.partitions,
                       "created_count": count, "days_ahead": days,
                       "message": created.message()})
                .to_string(),
            )
        }
        Err(error) => failed(&error),
    }
}

/// `POST /api/metrics/cleanup`
pub(super) async fn cleanup(api: &Api) -> Reply {
    let Ok(_turn) = api.administration.try_acquire() else { return busy() };
    match api.parts.partitions.clean_up().await {
        Ok(cleanup) => {
            let count = cleanup.dropped.len();
            let message = cleanup.message();
            reply::json(
                json!({"status": "ok", "dropped_partitions": cleanup.dropped,
                       "dropped_count": count, "message": message})
                .to_string(),
            )
        }
        Err(error) => failed(&error),
    }
}

/// Retention for single metrics or components, which is not there yet.
pub(super) fn not_implemented() -> Reply {
    reply::error(
        StatusCode::NOT_IMPLEMENTED,
        "not_implemented",
        "a retention for single metrics or components does not exist yet; set metrics-retention \
         for all",
    )
}

fn busy() -> Reply {
    reply::retry(
        StatusCode::SERVICE_UNAVAILABLE,
        2,
        "partitions_busy",
        "other requests about partitions are being worked on; try again",
    )
}

fn failed(error: &MaintenanceError) -> Reply {
    let detail = error.to_string();
    tracing::warn!(%error, "a request about partitions failed");
    match error {
        MaintenanceError::Connect(_) => reply::retry(
            StatusCode::SERVICE_UNAVAILABLE,
            5,
            "database_unavailable",
            "PostgreSQL cannot be reached; reports are still taken",
        ),
        error if error.passes() => {
            reply::retry(StatusCode::SERVICE_UNAVAILABLE, 5, "partitions_busy", &detail)
        }
        _ => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "partitions_failed", &detail),
    }
}
