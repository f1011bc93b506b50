//! The server's own row in the registry of components.

use noetl_metrics_client::system::host_name;

use crate::config::Settings;
use crate::model::{ComponentKey, Details};

/// The type of servers.
const COMPONENT_TYPE: &str = "server_api";
/// The name of a server on a host without one.
const NAMELESS: &str = "noetl-metrics";

/// Its key: the name that the operator gave it, or the host's.
pub(super) fn key(settings: &Settings) -> ComponentKey {
    let name = settings.server_name.clone().or_else(host_name);
    let key = ComponentKey::new(COMPONENT_TYPE, name.as_deref().unwrap_or(NAMELESS));
    // A setting was checked, but nobody checks what a host is called.
    key.unwrap_or_else(|_| ComponentKey::new(COMPONENT_TYPE, NAMELESS).expect("it is valid"))
}

/// What it says of itself.
pub(super) fn details(settings: &Settings) -> Details {
    let version = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
    Details {
        base_url: Some(settings.server_url.as_str().into()),
        pid: i32::try_from(std::process::id()).ok(),
        hostname: host_name().map(Into::into),
        meta: Some(version.to_string().into()),
        ..Details::default()
    }
}
