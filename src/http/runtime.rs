//! The runtime registry: who registers, lives, leaves, and who is there.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::admission::permit;
use super::api::Api;
use super::body::Received;
use super::reply::{self, Refusal, Reply};
use super::report;
use super::request_body::Request;
use super::terms::{self, Format};
use crate::access::Caller;
use crate::model::{ComponentKey, ListedComponent};
use crate::protocol::parameters;
use crate::protocol::runtime::{
    self as bodies, RUNTIME_BODY_BYTES_MAX, RegistrationBody, RuntimeBodyError, WORKER_POOL,
};
use crate::query::{ComponentList, PoolFilter};
use crate::registry::{Component, LoadOutcome, LookupKey, RegistryFull, Written};

/// How long a registration waits to be stored before it is answered all the same: it is in memory
/// then, and stored later.
const STORED_WAIT: Duration = Duration::from_secs(2);
/// How long a list waits for PostgreSQL before it shows what the memory knows.
const LIST_WAIT: Duration = Duration::from_secs(2);

/// One of the calls that change the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `POST /api/runtime/register`
    Register,
    /// `DELETE /api/runtime/deregister`
    Deregister,
    /// `POST /api/worker/pool/register`
    RegisterPool,
    /// `DELETE` or `POST /api/worker/pool/deregister`
    DeregisterPool,
    /// `POST /api/worker/pool/heartbeat`
    Heartbeat,
}

/// Answers one call.
pub(super) async fn call(api: &Api, caller: &Caller, call: Call, request: &mut Request) -> Reply {
    let answer = match receive(api, request).await {
        Ok(document) => answer(api, caller, call, document.as_ref()).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(answer) => reply::json(answer),
        Err(refusal) => report::after_the_body(*refusal, request).await,
    }
}

async fn receive(api: &Api, request: &mut Request) -> Result<Received, Refusal> {
    if api.is_draining() {
        return Err(report::stopping());
    }
    let headers = request.headers();
    let format = terms::format(terms::value(headers, &header::CONTENT_TYPE))?;
    let encoding = terms::encoding(terms::value(headers, &header::CONTENT_ENCODING))?;
    if format != Format::Json {
        return Err(Box::new(reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            "send application/json",
        )));
    }
    report::receive(api, request.body_mut(), encoding, RUNTIME_BODY_BYTES_MAX).await
}

async fn answer(
    api: &Api,
    caller: &Caller,
    call: Call,
    document: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(128);
    match call {
        Call::Register => {
            let body = bodies::read_registration(document).map_err(|error| wrong(&error))?;
            permit(caller, body.key.name())?;
            let component = register(api, body).await?;
            bodies::write_runtime(&mut out, component.key(), Some(component.runtime_id()));
        }
        Call::RegisterPool => {
            let body = bodies::read_pool_registration(document).map_err(|error| wrong(&error))?;
            let runtime = body.details.runtime.clone().unwrap_or_default();
            permit(caller, body.key.name())?;
            let component = register(api, body).await?;
            let registered = Some((&*runtime, component.runtime_id()));
            bodies::write_pool(&mut out, component.key(), registered);
        }
        Call::Deregister => {
            let key = bodies::read_deregistration(document).map_err(|error| wrong(&error))?;
            permit(caller, key.name())?;
            deregister(api, &key).await?;
            bodies::write_runtime(&mut out, &key, None);
        }
        Call::DeregisterPool => {
            let key = bodies::read_pool_deregistration(document).map_err(|error| wrong(&error))?;
            permit(caller, key.name())?;
            deregister(api, &key).await?;
            bodies::write_pool(&mut out, &key, None);
        }
        Call::Heartbeat => {
            let heard = bodies::read_heartbeat(document).map_err(|error| wrong(&error))?;
            let known = match &heard {
                Some(key) => {
                    permit(caller, key.name())?;
                    heartbeat(api, key).await?
                }
                None => false,
            };
            bodies::write_heartbeat(&mut out, heard.as_ref(), known);
        }
    }
    Ok(out)
}

fn wrong(error: &RuntimeBodyError) -> Refusal {
    Box::new(reply::error(StatusCode::BAD_REQUEST, error.code(), &error.to_string()))
}

async fn register(api: &Api, body: RegistrationBody) -> Result<Arc<Component>, Refusal> {
    let RegistrationBody { key, status, details } = body;
    let now = api.parts.clock.now();
    let registered = api.parts.registry.register(&key, &status, details, now);
    let (component, written) = registered.map_err(full)?;
    stored(written).await?;
    Ok(component)
}

/// Waits until PostgreSQL has it, if it does soon.
async fn stored(written: oneshot::Receiver<Written>) -> Result<(), Refusal> {
    match timeout(STORED_WAIT, written).await {
        Ok(Ok(Written::Refused(reason))) => {
            Err(Box::new(reply::error(StatusCode::BAD_REQUEST, "registration_refused", &reason)))
        }
        // In memory it is in any case.
        _ => Ok(()),
    }
}

/// Marks a component offline; one that nobody knows is not there either way.
async fn deregister(api: &Api, key: &ComponentKey) -> Result<(), Refusal> {
    let registry = &api.parts.registry;
    let mut loaded = None;
    loop {
        match registry.find(Some(key.component_type()), key.name()) {
            Some(component) => {
                // One that left the memory at this very moment is looked up again.
                if let Some(written) = registry.deregister(&component, api.parts.clock.now()) {
                    return stored(written).await;
                }
                loaded = None;
            }
            None => match loaded {
                None => loaded = Some(load(api, key).await?),
                Some(LoadOutcome::Loaded | LoadOutcome::Absent) => return Ok(()),
                Some(LoadOutcome::Unavailable) => {
                    return Err(Box::new(reply::retry(
                        StatusCode::SERVICE_UNAVAILABLE,
                        5,
                        "registry_unavailable",
                        "the component is not in memory, and the database that may know it does \
                         not answer; try again later",
                    )));
                }
            },
        }
    }
}

/// Notes a heartbeat; whether the component is known.
async fn heartbeat(api: &Api, key: &ComponentKey) -> Result<bool, Refusal> {
    let find = || api.parts.registry.find(Some(key.component_type()), key.name());
    let component = match find() {
        Some(component) => Some(component),
        None => {
            load(api, key).await?;
            find()
        }
    };
    // Where PostgreSQL cannot be asked, the component registers again, and that is remembered.
    if let Some(component) = &component {
        component.heartbeat(api.parts.clock.now().seconds());
    }
    Ok(component.is_some())
}

async fn load(api: &Api, key: &ComponentKey) -> Result<LoadOutcome, Refusal> {
    if api.parts.registry.is_full() {
        return Err(full(RegistryFull));
    }
    let component_type = Some(key.component_type().into());
    Ok(api.parts.loader.load(LookupKey::Name { component_type, name: key.name().into() }).await)
}

fn full(error: RegistryFull) -> Refusal {
    let status = StatusCode::TOO_MANY_REQUESTS;
    Box::new(reply::retry(status, 60, "registry_full", &error.to_string()))
}

/// `GET /api/metrics/components`
pub(super) async fn components(api: &Api) -> Reply {
    let stored = stored_list(api, None).await;
    reply::json(block_in_place(|| {
        ComponentList::merge(stored, &api.parts.registry, None).to_json()
    }))
}

/// `GET /api/worker/pools`
pub(super) async fn pools(api: &Api, request: &Request) -> Reply {
    let filter = match pool_filter(request.uri().query().unwrap_or_default()) {
        Ok(filter) => filter,
        Err(detail) => return reply::invalid_parameter(detail),
    };
    let stored = stored_list(api, Some(WORKER_POOL)).await;
    reply::json(block_in_place(|| {
        ComponentList::merge(stored, &api.parts.registry, Some(WORKER_POOL)).to_pools_json(&filter)
    }))
}

fn pool_filter(query: &str) -> Result<PoolFilter, &'static str> {
    let mut filter = PoolFilter::default();
    for (name, value) in parameters::pairs(query) {
        let field = match name {
            "runtime" => &mut filter.runtime,
            "status" => &mut filter.status,
            _ => return Err("this list takes the parameters runtime and status only"),
        };
        if field.is_some() {
            return Err("a parameter stands twice; send each once");
        }
        let value = parameters::text(value)?;
        *field = Some(value).filter(|value| !value.is_empty());
    }
    Ok(filter)
}

/// What PostgreSQL has, unless it does not answer soon.
async fn stored_list(api: &Api, component_type: Option<&str>) -> Option<Vec<ListedComponent>> {
    if api.parts.registry.is_away() {
        return None;
    }
    match timeout(LIST_WAIT, api.parts.queries.components(component_type)).await {
        Ok(Ok(listed)) => Some(listed),
        Ok(Err(error)) => {
            tracing::warn!(%error, "components are listed from memory");
            None
        }
        Err(_) => {
            tracing::warn!("components are listed from memory: PostgreSQL does not answer");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_pools_is_filtered_by_what_is_named() {
        let check = |query: &str, runtime: Option<&str>, status: Option<&str>| {
            let expected =
                PoolFilter { runtime: runtime.map(Into::into), status: status.map(Into::into) };
            assert_eq!(pool_filter(query), Ok(expected), "{query}");
        };
        check("", None, None);
        check("runtime=&status=", None, None);
        check("runtime=c%20pu", Some("c pu"), None);
        check("status=ready&runtime=cpu", Some("cpu"), Some("ready"));
        for wrong in ["state=ready", "status=%ff", "status=a&status=b"] {
            assert!(pool_filter(wrong).is_err(), "{wrong}");
        }
    }
}
