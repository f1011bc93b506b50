//! Components and series as they are kept: what recovery reads and the registry takes in.

use super::{ComponentKey, GroupId, Profile, RuntimeId, Slot, Timestamp};

/// A component of `noetl.runtime` with the places of its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredComponent {
    /// Its key.
    pub key: ComponentKey,
    /// Its id.
    pub runtime_id: RuntimeId,
    /// What the registry says of it.
    pub profile: Profile,
    /// The last heartbeat or report.
    pub last_heartbeat: Timestamp,
    /// Its series, in ascending order of group and slot.
    pub series: Vec<StoredSeries>,
}

/// A series at its place in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSeries {
    /// The group.
    pub group: GroupId,
    /// The place in it.
    pub slot: Slot,
    /// Identity and metadata in canonical form, see [`super::series`].
    pub definition: Box<[u8]>,
}
