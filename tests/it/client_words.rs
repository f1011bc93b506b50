//! The words and bounds that the client states for itself, against those of the server.

use noetl_metrics::model::limits::{HELP_BYTES_MAX, UNIT_BYTES_MAX};
use noetl_metrics::model::{ComponentKey, Limits, MetricType};
use noetl_metrics_client::vocabulary as client;

#[test]
fn types_and_limits_are_those_of_the_server() {
    for of_client in client::MetricType::ALL {
        let parsed = MetricType::parse(of_client.as_str()).map(MetricType::as_str);
        assert_eq!(parsed, Some(of_client.as_str()));
    }
    let limits = Limits::default();
    assert_eq!(client::NAME_BYTES_MAX, limits.name_bytes_max);
    assert_eq!(client::LABEL_VALUE_BYTES_MAX, limits.label_value_bytes_max);
    assert_eq!(client::LABELS_MAX, limits.labels_max);
    assert_eq!(client::HELP_BYTES_MAX, HELP_BYTES_MAX);
    assert_eq!(client::UNIT_BYTES_MAX, UNIT_BYTES_MAX);
    assert!(noetl_metrics_client::snapshot::REPORT_BYTES_MAX < limits.body_bytes_max / 2);
}

#[test]
fn components_are_named_within_what_the_server_takes() {
    let key = |kind: usize, name: usize| ComponentKey::new(&"t".repeat(kind), &"n".repeat(name));
    let (kind, name) = (client::COMPONENT_TYPE_BYTES_MAX, client::COMPONENT_NAME_BYTES_MAX);
    assert!(key(kind, name).is_ok());
    assert!(key(kind + 1, name).is_err() && key(kind, name + 1).is_err());
}

/// The page names the bound on keys, and the paths that the client calls.
#[test]
fn paths_and_keys_are_those_of_the_page() {
    let page = include_str!("../../docs/api.md");
    assert!(page.contains(&format!("1 to {} bytes", client::KEY_BYTES_MAX)));
    for path in [
        client::REPORT_PATH,
        client::POOL_REGISTER_PATH,
        client::POOL_DEREGISTER_PATH,
        client::HEARTBEAT_PATH,
        client::REGISTER_PATH,
        client::DEREGISTER_PATH,
    ] {
        assert!(page.contains(path), "{path}");
    }
}
