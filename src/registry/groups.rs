//! Fresh group ids, from blocks of counters that the log's identity file hands out.

use std::ops::Range;

use parking_lot::Mutex;

use crate::model::{GroupId, NodeNumber, SLOTS_PER_GROUP, Slot};

/// Hands out the ids of new groups. Never blocks on I/O: the owner adds a block of counters
/// before the last one runs out.
#[derive(Debug)]
pub struct GroupIds {
    node: NodeNumber,
    /// Groups of lower counters are never appended to.
    open_from: u64,
    blocks: Mutex<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    current: Range<u64>,
    spare: Option<Range<u64>>,
}

impl GroupIds {
    /// Ids of `node` with the counters of `block`, which no earlier run may have used.
    pub fn new(node: NodeNumber, block: Range<u64>) -> Self {
        Self { node, open_from: 0, blocks: Mutex::new(Blocks { current: block, spare: None }) }
    }

    /// Has groups with counters below `counter` stay as they are: some of their slots may have
    /// been given out by records that were lost.
    #[must_use]
    pub fn with_groups_closed_below(self, counter: u64) -> Self {
        Self { open_from: counter, ..self }
    }

    /// The node whose groups these are.
    pub fn node(&self) -> NodeNumber {
        self.node
    }

    fn may_grow(&self, group: GroupId) -> bool {
        group.node() == self.node && group.counter() >= self.open_from
    }

    /// Whether [`GroupIds::add_block`] should be called soon.
    pub fn wants_block(&self) -> bool {
        self.blocks.lock().spare.is_none()
    }

    /// Adds counters for when the current ones are used up.
    pub fn add_block(&self, block: Range<u64>) {
        self.blocks.lock().spare = Some(block);
    }

    /// The next id; `None` when both blocks are used up.
    pub(super) fn next(&self) -> Option<GroupId> {
        let mut blocks = self.blocks.lock();
        if blocks.current.is_empty() {
            blocks.current = blocks.spare.take()?;
        }
        blocks.current.next().map(|counter| GroupId::new(self.node, counter))
    }
}

/// The newest group of a component that this node may append to.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenGroup {
    pub(super) id: GroupId,
    pub(super) next_slot: u8,
}

impl OpenGroup {
    /// Takes the next slot of the group in `open`, beginning a new group where it is full;
    /// `None` when no group id is left.
    pub(super) fn take_slot(open: &mut Option<Self>, ids: &GroupIds) -> Option<(GroupId, Slot)> {
        let full = open.is_none_or(|group| usize::from(group.next_slot) >= SLOTS_PER_GROUP);
        if full {
            *open = Some(Self { id: ids.next()?, next_slot: 0 });
        }
        let group = open.as_mut()?;
        let slot = Slot::new(group.next_slot)?;
        group.next_slot += 1;
        Some((group.id, slot))
    }

    /// Learns of a stored (group, slot), told in ascending order of both. The newest own group
    /// goes on after its last slot; one with a slot missing is never appended to, for the
    /// missing one may be taken.
    pub(super) fn learn(open: &mut Option<Self>, ids: &GroupIds, group: GroupId, slot: Slot) {
        if !ids.may_grow(group) {
            return;
        }
        const FULL: u8 = SLOTS_PER_GROUP as u8;
        match open {
            Some(known) if known.id > group => {}
            Some(known) if known.id == group => match slot.get() {
                next if next == known.next_slot => known.next_slot += 1,
                next if next > known.next_slot => known.next_slot = FULL,
                _ => {}
            },
            _ => {
                let next_slot = if slot.get() == 0 { 1 } else { FULL };
                *open = Some(Self { id: group, next_slot });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u16) -> NodeNumber {
        NodeNumber::new(number).unwrap()
    }

    #[test]
    fn a_group_takes_64_series_and_then_the_next_begins() {
        let ids = GroupIds::new(node(3), 10..12);
        let mut open = None;
        let taken: Vec<_> = std::iter::from_fn(|| OpenGroup::take_slot(&mut open, &ids))
            .map(|(group, slot)| (group.counter(), slot.get()))
            .collect();
        assert_eq!(taken.len(), 128, "two groups are all there is");
        assert_eq!((taken[0], taken[63], taken[64]), ((10, 0), (10, 63), (11, 0)));
        ids.add_block(50..51);
        assert_eq!(
            OpenGroup::take_slot(&mut open, &ids).map(|(group, _)| group.counter()),
            Some(50)
        );
    }

    #[test]
    fn a_foreign_group_is_never_appended_to() {
        let ids = GroupIds::new(node(3), 10..12);
        let mut open = None;
        OpenGroup::learn(&mut open, &ids, GroupId::new(node(4), 9), Slot::new(0).unwrap());
        assert!(open.is_none());
        for (counter, slot) in [(7, 0), (8, 0), (8, 1), (7, 1), (8, 0)] {
            OpenGroup::learn(
                &mut open,
                &ids,
                GroupId::new(node(3), counter),
                Slot::new(slot).unwrap(),
            );
        }
        let (group, slot) = OpenGroup::take_slot(&mut open, &ids).unwrap();
        assert_eq!((group.counter(), slot.get()), (8, 2), "the newest own group goes on");
    }

    #[test]
    fn a_closed_group_is_never_appended_to() {
        let first_of = |closed_below| {
            let ids = GroupIds::new(node(3), 10..12).with_groups_closed_below(closed_below);
            let mut open = None;
            for (counter, slot) in [(7, 0), (8, 0)] {
                let (group, slot) = (GroupId::new(node(3), counter), Slot::new(slot).unwrap());
                OpenGroup::learn(&mut open, &ids, group, slot);
            }
            OpenGroup::take_slot(&mut open, &ids).map(|(group, slot)| (group.counter(), slot.get()))
        };
        assert_eq!(first_of(0), Some((8, 1)));
        assert_eq!(first_of(8), Some((8, 1)));
        assert_eq!(first_of(9), Some((10, 0)));
    }

    #[test]
    fn a_group_with_a_hole_is_never_appended_to() {
        for slots in [[2, 3].as_slice(), &[0, 1, 3], &[0, 2, 1]] {
            let ids = GroupIds::new(node(3), 10..12);
            let mut open = None;
            for slot in slots {
                OpenGroup::learn(
                    &mut open,
                    &ids,
                    GroupId::new(node(3), 7),
                    Slot::new(*slot).unwrap(),
                );
            }
            let (group, _) = OpenGroup::take_slot(&mut open, &ids).unwrap();
            assert_eq!(group.counter(), 10, "after {slots:?} a new group begins");
        }
    }
}
