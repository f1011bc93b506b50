//! What the server remembers: every component and series, which group and slot a series has, its
//! last value; what components registered with and when they were last heard; the idempotency keys
//! of clients; the partitions that may be written to.
//!
//! Owns the interning of series into groups. Guarantees that a (group, slot) never changes its
//! series, that only this node's groups grow, and that memory is bounded: by the limit on
//! series, and by letting go what was idle for long ([`Registry::evict_idle`]). Refuses to know
//! where definitions are stored: the caller logs what [`ComponentState`] says is new, under the
//! lock that assigned it, so that no report can overtake its series' definition.

mod budget;
mod census;
mod component;
mod descriptor;
mod directory;
mod groups;
mod keys;
mod lookup;
mod registration;
mod series_table;
mod window;

pub use budget::{Budget, Explosion};
pub use census::{Census, CrowdedLabel, CrowdedMetric, LargeComponent};
pub use component::{Component, ComponentState, Interned, Mark, Placement};
pub use directory::{FurtherPlace, Registry, RegistrySettings};
pub use groups::GroupIds;
pub use keys::{BodyDigest, CLIENT_KEY_BYTES_MAX, KeyDigest, KeyMemory, KeyState};
pub use lookup::{ComponentLoader, LoadOutcome, LoadRequest, LookupKey};
pub use registration::{Beat, Change, ChangeKind, RegistryFull, Written};
pub use series_table::{LastValue, SeriesView};
pub use window::{AdmittedSpan, PartitionWindow};
