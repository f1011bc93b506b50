//! The directory: its names, and what it was at its last sync.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Survival;
use super::content::Content;

pub(super) type Names = BTreeMap<String, Arc<Content>>;

/// One change, which a crash keeps whole or not at all.
pub(super) struct Change {
    pub(super) serial: u64,
    /// A name that goes.
    pub(super) unlink: Option<String>,
    /// A name that comes, and what it stands for from now on.
    pub(super) link: Option<(String, Arc<Content>)>,
}

impl Change {
    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.unlink {
            names.remove(name);
        }
        if let Some((name, content)) = &self.link {
            names.insert(name.clone(), Arc::clone(content));
        }
    }
}

/// The directory.
#[derive(Default)]
pub(super) struct Directory {
    names: Names,
    synced: Names,
    unsynced: Vec<Change>,
}

impl Directory {
    /// A directory of these files, all synced.
    pub(super) fn new(names: Names) -> Self {
        Self { synced: names.clone(), names, unsynced: Vec::new() }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// The names that a crash leaves.
    pub(super) fn after_crash(&self, survival: &mut Survival<'_>) -> Names {
        let mut names = self.synced.clone();
        for (nth, change) in self.unsynced.iter().enumerate() {
            let survives = match survival {
                Survival::Prefix { serial, .. } => change.serial < *serial,
                Survival::Subset(keep) => keep(nth),
            };
            if survives {
                change.apply(&mut names);
            }
        }
        names
    }
}
