//! How the registry is filled with what is stored: the words between the one who misses a
//! component and the one who reads PostgreSQL, which must not know each other.

use tokio::sync::{mpsc, oneshot};

use crate::model::{RuntimeId, StoredComponent};

/// Names a component that is not in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupKey {
    /// By name, and by type when the client named one.
    Name {
        /// The type, or `None` for any.
        component_type: Option<Box<str>>,
        /// The name.
        name: Box<str>,
    },
    /// By its id.
    Id(RuntimeId),
}

impl LookupKey {
    /// Whether `component` is what this names.
    pub fn names(&self, component: &StoredComponent) -> bool {
        match self {
            Self::Id(id) => component.runtime_id == *id,
            Self::Name { component_type, name } => {
                let key = &component.key;
                key.name() == &**name
                    && component_type.as_deref().is_none_or(|wanted| wanted == key.component_type())
            }
        }
    }
}

/// The answer to a [`LoadRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// The registry now holds the component.
    Loaded,
    /// PostgreSQL has no such component.
    Absent,
    /// PostgreSQL did not answer in time.
    Unavailable,
}

/// A wish to load a component into the registry.
#[derive(Debug)]
pub struct LoadRequest {
    /// Which one.
    pub key: LookupKey,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<LoadOutcome>,
}

/// Asks for components to be loaded. Requests that arrive together are answered by one query.
#[derive(Clone, Debug)]
pub struct ComponentLoader {
    requests: mpsc::Sender<LoadRequest>,
}

impl ComponentLoader {
    /// A loader, and the receiving end for the task that reads PostgreSQL. At most `capacity`
    /// requests wait.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<LoadRequest>) {
        let (requests, receiver) = mpsc::channel(capacity);
        (Self { requests }, receiver)
    }

    /// Has the component loaded into the registry. A loader that is gone counts as a database
    /// that is away.
    pub async fn load(&self, key: LookupKey) -> LoadOutcome {
        let (reply, outcome) = oneshot::channel();
        if self.requests.send(LoadRequest { key, reply }).await.is_err() {
            return LoadOutcome::Unavailable;
        }
        outcome.await.unwrap_or(LoadOutcome::Unavailable)
    }
}
