//! Ids and positions, each a type of its own so that none can stand for another.

use std::fmt;

use sha2::{Digest, Sha256};

use super::ComponentKey;

/// How many series a group holds at most; also the factor between a report id and a metric id.
pub const SLOTS_PER_GROUP: usize = 64;

/// The samples of one row lie within less than this, in microseconds, so that a time range over
/// rows is exact once its lower bound is widened by as much.
pub const ROW_SPAN_US: i64 = 1_000_000;

/// Bits that a node's own counter has in a [`ReportId`] or [`GroupId`].
///
/// A metric id is `report_id * 64 + slot` and must stay a positive `int8`: 6 bits of slot,
/// 12 bits of node and 45 bits of counter make 63. 45 bits last 1,100 years at 1,000 reports/s
/// and 1 year at a million.
const COUNTER_BITS: u32 = 45;

/// The number of a server in `noetl.ingest_node`, 0 to 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeNumber(u16);

impl NodeNumber {
    /// The largest node number that fits an id.
    pub const MAX: u16 = 4095;

    /// `None` above [`NodeNumber::MAX`].
    pub fn new(number: u16) -> Option<Self> {
        (number <= Self::MAX).then_some(Self(number))
    }

    /// The bare number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A point in the write-ahead log: the number of rows that precede it.
///
/// A record's own position is that of its first row, so positions double as the node's row
/// counter. "Synced up to `p`" and "flushed up to `p`" mean every row below `p`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPosition(u64);

impl LogPosition {
    /// The start of an empty log.
    pub const ZERO: Self = Self(0);

    /// Wraps a row count.
    pub const fn new(rows: u64) -> Self {
        Self(rows)
    }

    /// The bare row count.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `rows` further on.
    #[must_use]
    pub const fn advance(self, rows: u64) -> Self {
        Self(self.0 + rows)
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of one row of `noetl.report`: the node's number and the row's position in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReportId(i64);

impl ReportId {
    /// The id of the row at `position` of the log of `node`.
    pub fn new(node: NodeNumber, position: LogPosition) -> Self {
        Self(node_scoped(node, position.get()))
    }

    /// The value of the column `report_id`.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// The id of a group: an append-only list of up to [`SLOTS_PER_GROUP`] series of one component.
///
/// Only the node whose number it carries appends to it; every node may write rows for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(i64);

impl GroupId {
    /// The `counter`-th group of `node`.
    pub fn new(node: NodeNumber, counter: u64) -> Self {
        Self(node_scoped(node, counter))
    }

    /// Wraps a value read from the log or from the column `group_id`; `None` when negative.
    pub fn from_raw(raw: i64) -> Option<Self> {
        (0..1 << (COUNTER_BITS + 12)).contains(&raw).then_some(Self(raw))
    }

    /// The value of the column `group_id`.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The node that may append to this group.
    pub fn node(self) -> NodeNumber {
        NodeNumber((self.0.unsigned_abs() >> COUNTER_BITS) as u16)
    }

    /// The group's number among its node's groups.
    pub fn counter(self) -> u64 {
        self.0.unsigned_abs() & ((1 << COUNTER_BITS) - 1)
    }
}

fn node_scoped(node: NodeNumber, counter: u64) -> i64 {
    assert!(counter < 1 << COUNTER_BITS, "a node's counter never passes 45 bits");
    (i64::from(node.get()) << COUNTER_BITS) | counter.cast_signed()
}

/// A series' place in its group, 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u8);

impl Slot {
    /// `None` at [`SLOTS_PER_GROUP`] and above.
    pub fn new(slot: u8) -> Option<Self> {
        (usize::from(slot) < SLOTS_PER_GROUP).then_some(Self(slot))
    }

    /// The bare slot number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The slot as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The id of a component, the primary key of `noetl.runtime`.
///
/// Derived from the component's key, so that every server gives the same answer without a
/// round trip; below 2^53, so that JavaScript can hold it. A row that was there before (an
/// older server's, or the loser of a collision) keeps the id it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuntimeId(i64);

impl RuntimeId {
    /// The id that a component gets when it is first seen.
    pub fn derive(key: &ComponentKey) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((key.component_type().len() as u64).to_le_bytes());
        hasher.update(key.component_type());
        hasher.update(key.name());
        let digest = hasher.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self((u64::from_le_bytes(first) >> 11).cast_signed().max(1))
    }

    /// Wraps a value read from a client or from the column `runtime_id`.
    pub fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The value of the column `runtime_id`.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_ids_leave_room_for_the_slot() {
        let node = NodeNumber::new(NodeNumber::MAX).unwrap();
        let report = ReportId::new(node, LogPosition::new((1 << COUNTER_BITS) - 1));
        let metric_id = report.get().checked_mul(64).and_then(|id| id.checked_add(63));
        assert_eq!(metric_id, Some(i64::MAX));
    }

    #[test]
    fn a_group_id_names_its_node_and_counter() {
        let group = GroupId::new(NodeNumber::new(7).unwrap(), 12_345);
        assert_eq!((group.node().get(), group.counter()), (7, 12_345));
        assert_eq!(GroupId::from_raw(group.get()), Some(group));
        assert_eq!(GroupId::from_raw(-1), None);
        assert_eq!(GroupId::from_raw(i64::MAX), None);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(NodeNumber::new(4096), None);
        assert_eq!(Slot::new(64), None);
    }

    #[test]
    fn runtime_ids_are_stable_positive_and_safe_in_javascript() {
        let key = ComponentKey::new("worker_pool", "worker-cpu-01").unwrap();
        let id = RuntimeId::derive(&key);
        assert_eq!(id, RuntimeId::derive(&key));
        assert!((1..1 << 53).contains(&id.get()));
        let shifted = ComponentKey::new("worker_poolw", "orker-cpu-01").unwrap();
        assert_ne!(id, RuntimeId::derive(&shifted), "the boundary between the parts counts");
    }
}
