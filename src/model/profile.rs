//! What a component says of itself when it registers, and what the registry says of it.

use super::{ComponentKey, RuntimeId, Timestamp};

/// The status of a component that has registered and named none.
pub const STATUS_READY: &str = "ready";
/// The status of a component that has deregistered or fallen silent.
pub const STATUS_OFFLINE: &str = "offline";

/// What a component said of itself; nothing of it decides anything here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Where the component answers.
    pub base_url: Option<Box<str>>,
    /// The kind of runtime that a worker pool offers, such as `cpu`.
    pub runtime: Option<Box<str>>,
    /// How many tasks it takes at once.
    pub capacity: Option<i32>,
    /// JSON: an object or array, without U+0000 in it.
    pub labels: Option<Box<str>>,
    /// The process id on `hostname`.
    pub pid: Option<i32>,
    /// Where it runs.
    pub hostname: Option<Box<str>>,
    /// JSON of any kind, without U+0000 in it.
    pub meta: Option<Box<str>>,
}

/// A component's row in the registry, beside its key, id and last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// [`STATUS_READY`], [`STATUS_OFFLINE`], or what it registered with.
    pub status: Box<str>,
    /// What it registered with.
    pub details: Details,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When its details or its status last changed.
    pub updated_at: Timestamp,
}

impl Details {
    /// Bytes of all texts together.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.base_url, &self.runtime, &self.labels, &self.hostname, &self.meta];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

impl Profile {
    /// Of a component that was seen at `now` and has not registered.
    pub fn seen(now: Timestamp) -> Self {
        Self {
            status: STATUS_READY.into(),
            details: Details::default(),
            created_at: now,
            updated_at: now,
        }
    }
}

/// A component as the registry's lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedComponent {
    /// Its key.
    pub key: ComponentKey,
    /// Its id.
    pub runtime_id: RuntimeId,
    /// As [`Profile::status`].
    pub status: Box<str>,
    /// As [`Details::runtime`].
    pub runtime: Option<Box<str>>,
    /// As [`Details::capacity`].
    pub capacity: Option<i32>,
    /// As [`Details::labels`].
    pub labels: Option<Box<str>>,
    /// The last heartbeat or report.
    pub last_heartbeat: Timestamp,
    /// As [`Profile::created_at`].
    pub created_at: Timestamp,
    /// As [`Profile::updated_at`].
    pub updated_at: Timestamp,
}
