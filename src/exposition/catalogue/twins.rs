//! Series of one component that are written alike.
//!
//! Names and labels are cleaned for the page, and two series may become the same line. Lines of
//! two components never do, for each has its component's name and type. So only a component
//! with something to clean gets an index of its lines.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Catalogue, Cell, Line, Place};

/// The lines of one component by name and labels, each by one of its entries.
#[derive(Debug, Default)]
pub(super) struct Twins {
    entries: HashTable<u32>,
}

impl Twins {
    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * 5
    }
}

/// Of members: the entries of each of their lines.
pub(super) type Shared = HashMap<u32, HashMap<(u32, u32), Vec<u32>>, RandomState>;

impl Catalogue {
    /// The place of a line of the member that is written the same.
    pub(super) fn find_twin(&mut self, at: u32, name: u32, line: &Line) -> Option<Place> {
        if self.member(at).twins.is_none() {
            if !line.altered {
                return None;
            }
            self.member_mut(at).twins = Some(Box::default());
            for (entry, place) in self.member(at).places.clone().into_iter().enumerate() {
                self.note_twin(at, entry as u32, place);
            }
        }
        let member = self.member(at);
        let hash = self.hasher.hash_one((name, line.labels.as_slice()));
        let entry = member.twins.as_ref()?.entries.find(hash, |&entry| {
            let place = member.places[entry as usize];
            self.line_at(place)
                .is_some_and(|(other, labels)| (other, labels) == (name, &line.labels))
        })?;
        Some(member.places[*entry as usize])
    }

    /// Adds a line to its member's index.
    pub(super) fn note_twin(&mut self, at: u32, entry: u32, place: Place) {
        let Some(hash) = self.line_at(place).map(|line| self.hasher.hash_one(line)) else { return };
        let Some(mut twins) = self.member_mut(at).twins.take() else { return };
        let places = &self.member(at).places;
        let leads_here = |other: &u32| places.get(*other as usize) == Some(&place);
        if twins.entries.find(hash, leads_here).is_none() {
            let hash_of = |other: &u32| {
                let line = places.get(*other as usize).and_then(|place| self.line_at(*place));
                line.map_or(0, |line| self.hasher.hash_one(line))
            };
            twins.entries.insert_unique(hash, entry, hash_of);
        }
        self.member_mut(at).twins = Some(twins);
    }

    /// Takes a line, which is still there, from its member's index.
    pub(super) fn forget_twin(&mut self, place: Place, cell: &Cell) {
        let Some(hash) = self.line_at(place).map(|line| self.hasher.hash_one(line)) else { return };
        let Some(mut twins) = self.member_mut(cell.member).twins.take() else { return };
        let places = &self.member(cell.member).places;
        let leads_here = |other: &u32| places.get(*other as usize) == Some(&place);
        if let Ok(found) = twins.entries.find_entry(hash, leads_here) {
            found.remove();
        }
        self.member_mut(cell.member).twins = Some(twins);
    }

    /// The entries whose line is at `place`.
    pub(super) fn sharing(&self, shared: &mut Shared, place: Place, cell: &Cell) -> Vec<u32> {
        let member = self.member(cell.member);
        if member.twins.is_none() {
            return vec![cell.entry];
        }
        let lines = shared.entry(cell.member).or_insert_with(|| {
            let mut lines: HashMap<_, Vec<u32>> = HashMap::new();
            for (place, entry) in member.places.iter().zip(0..) {
                lines.entry((place.block, place.cell)).or_default().push(entry);
            }
            lines
        });
        lines.remove(&(place.block, place.cell)).unwrap_or_default()
    }

    fn line_at(&self, place: Place) -> Option<(u32, &[u8])> {
        if place == Place::NONE {
            return None;
        }
        let block = self.families.block(place.block);
        let cell = block.cell(place.cell)?;
        Some((cell.name, block.labels(cell)))
    }
}
