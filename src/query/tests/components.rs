//! The lists of components: PostgreSQL's rows, and what only the memory knows.

use serde_json::{Value, json};
use sqlx::Executor;

use super::fixture::{Fixture, SECOND, Series, noon};
use crate::model::MetricType::Gauge;
use crate::model::{ComponentKey, Details, NodeNumber};
use crate::query::{ComponentList, PoolFilter};
use crate::registry::{GroupIds, Registry, RegistrySettings};

fn registry() -> Registry {
    let ids = GroupIds::new(NodeNumber::new(0).unwrap(), 0..10);
    Registry::new(RegistrySettings::new(100, 100), ids)
}

fn register(registry: &Registry, component_type: &str, name: &str, runtime: &str) {
    let key = ComponentKey::new(component_type, name).unwrap();
    let labels = Some(r#"{"zone":"a"}"#.into());
    let runtime = Some(runtime.into());
    let details = Details { runtime, capacity: Some(3), labels, ..Details::default() };
    registry.register(&key, "busy", details, noon(90 * SECOND)).unwrap();
}

async fn fixture(names: &[&str]) -> Fixture {
    let series = names.iter().zip(0..);
    let series: Vec<_> = series.map(|(name, at)| Series(1, at, name, "m", Gauge, &[])).collect();
    Fixture::new(&series).await
}

fn names(list: &ComponentList) -> Vec<String> {
    list.components.iter().map(|one| one.key.to_string()).collect()
}

#[tokio::test]
async fn stored_and_remembered_components_stand_in_one_order_once() {
    let mut fixture =
        fixture(&["worker_pool/b", "worker_pool/d", "broker/z", "worker_pool/B"]).await;
    fixture
        .conn
        .execute("UPDATE noetl.runtime SET status = 'off\"line' WHERE name = 'z'")
        .await
        .unwrap();
    let registry = registry();
    for name in ["a", "b", "c", "e"] {
        register(&registry, "worker_pool", name, "cpu");
    }
    let stored = fixture.queries.components(None).await.unwrap();
    let list = ComponentList::merge(Some(stored), &registry, None);
    let pools = ["B", "a", "b", "c", "d", "e"].map(|name| format!("worker_pool/{name}"));
    assert_eq!(names(&list), [&["broker/z".to_owned()], &pools[..]].concat());
    let json: Value = serde_json::from_slice(&list.to_json()).unwrap();
    assert_eq!(
        json["components"][0],
        json!({
            "runtime_id": list.components[0].runtime_id.get(),
            "name": "z",
            "component_type": "broker",
            "status": "off\"line",
            "last_heartbeat": "2024-01-01T12:00:00Z",
        })
    );
    assert_eq!(json.as_object().unwrap().len(), 1);
    assert_eq!(json["components"][3]["status"], "busy", "what is not stored yet counts");
    assert_eq!(json["components"][3]["last_heartbeat"], "2024-01-01T12:01:30Z");
    let stored = fixture.queries.components(Some("worker_pool")).await.unwrap();
    assert_eq!(names(&ComponentList::merge(Some(stored), &registry, Some("worker_pool"))), pools);
    let away = ComponentList::merge(None, &registry, Some("worker_pool"));
    assert_eq!(names(&away), ["a", "b", "c", "e"].map(|name| format!("worker_pool/{name}")));
}

#[tokio::test]
async fn pools_have_their_fields_and_are_filtered() {
    let fixture = fixture(&["worker_pool/b"]).await;
    let registry = registry();
    register(&registry, "worker_pool", "a", "gpu");
    let stored = fixture.queries.components(Some("worker_pool")).await.unwrap();
    let list = ComponentList::merge(Some(stored), &registry, Some("worker_pool"));
    let pools = |runtime: Option<&str>, status: Option<&str>| -> Value {
        let filter =
            PoolFilter { runtime: runtime.map(Into::into), status: status.map(Into::into) };
        serde_json::from_slice(&list.to_pools_json(&filter)).unwrap()
    };
    let a = json!({
        "name": "a", "runtime": "gpu", "status": "busy", "capacity": 3, "labels": {"zone": "a"},
        "last_heartbeat": "2024-01-01T12:01:30Z", "created_at": "2024-01-01T12:01:30Z",
        "updated_at": "2024-01-01T12:01:30Z",
    });
    let b = json!({
        "name": "b", "runtime": null, "status": "ready", "capacity": null, "labels": null,
        "last_heartbeat": "2024-01-01T12:00:00Z", "created_at": "2024-01-01T12:00:00Z",
        "updated_at": "2024-01-01T12:00:00Z",
    });
    let all = json!({"items": [a, b], "runtime": null, "status": null, "count": 2});
    assert_eq!(pools(None, None), all);
    let gpu = json!({"items": [a], "runtime": "gpu", "status": null, "count": 1});
    assert_eq!(pools(Some("gpu"), None), gpu);
    let ready = json!({"items": [b], "runtime": null, "status": "ready", "count": 1});
    assert_eq!(pools(None, Some("ready")), ready);
    let none = json!({"items": [], "runtime": "gpu", "status": "ready", "count": 0});
    assert_eq!(pools(Some("gpu"), Some("ready")), none);
}
