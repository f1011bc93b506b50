//! Every component and series in memory: which group and slot a series has, and its last value.
//!
//! Owns the interning of series into groups. Guarantees that a (group, slot) never changes its
//! series, that only this node's groups grow, and that memory is bounded: by the limit on
//! series, and by letting go what was idle for long ([`Registry::evict_idle`]). Refuses to know
//! where definitions are stored: the caller logs what [`ComponentState`] says is new, under the
//! lock that assigned it, so that no report can overtake its series' definition.

mod component;
mod directory;
mod groups;
mod lookup;
mod series_table;

pub use component::{Component, ComponentState, Interned, Placement};
pub use directory::{Registry, RegistrySettings};
pub use groups::GroupIds;
pub use lookup::{
    ComponentLoader, LoadOutcome, LoadRequest, LookupKey, StoredComponent, StoredSeries,
};
pub use series_table::{LastValue, SeriesView};
