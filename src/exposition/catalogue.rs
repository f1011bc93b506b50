//! The series of the page: which component they are of, and where their lines are.
//!
//! Kept from scrape to scrape. A refresh looks at components whose series changed, a collection
//! at those that reported since the last one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::cell::{BUCKET_LABEL, Cell, Line, NO_GROUP, QUANTILE_LABEL, Shape, Suffix};
use super::family::{Families, Place};
use super::names::{Names, Traits};
use super::text::{self, Labels};
use crate::model::SeriesDefinition;
use crate::registry::{Component, ComponentState};

mod twins;

use twins::Twins;

/// All lines, by component and by family.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) families: Families,
    names: Names,
    members: Vec<Option<Member>>,
    vacant: Vec<u32>,
    by_component: HashMap<usize, u32, RandomState>,
    /// Counts refreshes and collections, to tell what is newer than what.
    now: u64,
    hasher: RandomState,
    values: Vec<(f64, u32)>,
}

/// A component on the page.
#[derive(Debug)]
struct Member {
    component: Arc<Component>,
    generation: u32,
    /// The component's reports as of the last collection.
    reports: Option<u32>,
    /// Where the line of each of its entries is.
    places: Vec<Place>,
    /// Only of a component whose series may become one line.
    twins: Option<Box<Twins>>,
}

impl Catalogue {
    /// The number of the last refresh or collection.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Takes over which series there are in `changed`, and all values.
    pub(super) fn update(&mut self, changed: &[Arc<Component>]) {
        self.refresh(changed);
        // A component may change between the two.
        let missed = self.collect();
        if !missed.is_empty() {
            self.refresh(&missed);
            self.collect();
        }
    }

    fn refresh(&mut self, changed: &[Arc<Component>]) {
        self.now += 1;
        for component in changed {
            self.refresh_one(component);
            if self.names.is_overdue() {
                self.assess();
            }
        }
        // Each round has fewer lines or none to move.
        while self.names.is_unassessed() {
            self.assess();
        }
    }

    fn refresh_one(&mut self, component: &Arc<Component>) {
        let address = Arc::as_ptr(component).addr();
        let state = component.lock();
        let is_gone = state.is_evicted() || state.series_count() == 0;
        let known = self.by_component.get(&address).copied();
        let at = match known {
            Some(at) if self.member(at).generation == state.generation() && !is_gone => at,
            Some(at) => {
                self.take_lines(at);
                if is_gone {
                    self.by_component.remove(&address);
                    self.members[at as usize] = None;
                    self.vacant.push(at);
                    return;
                }
                self.member_mut(at).generation = state.generation();
                at
            }
            None if is_gone => return,
            None => self.add_member(component, state.generation()),
        };
        self.list(at, component, &state);
    }

    fn add_member(&mut self, component: &Arc<Component>, generation: u32) -> u32 {
        let member = Member {
            component: Arc::clone(component),
            generation,
            reports: None,
            places: Vec::new(),
            twins: None,
        };
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() as u32 - 1
        });
        self.members[at as usize] = Some(member);
        self.by_component.insert(Arc::as_ptr(component).addr(), at);
        at
    }

    /// Adds lines for the entries that have none yet.
    fn list(&mut self, at: u32, component: &Component, state: &ComponentState) {
        let listed = self.member(at).places.len();
        self.member_mut(at).places.reserve_exact(state.series_count() - listed);
        for entry in listed..state.series_count() {
            let definition = state.view(entry).map(|series| series.definition());
            let place = SeriesDefinition::parse(&definition.unwrap_or_default())
                .map_or(Place::NONE, |series| self.add(at, entry as u32, &series, component));
            self.member_mut(at).places.push(place);
            if self.member(at).twins.is_some() {
                self.note_twin(at, entry as u32, place);
            }
        }
    }

    fn add(
        &mut self,
        at: u32,
        entry: u32,
        series: &SeriesDefinition<'_>,
        component: &Component,
    ) -> Place {
        let key = component.key();
        let labels = Labels::of(series, key.name(), key.component_type());
        let id = self.names.intern(&text::metric_name(series.name()));
        let cell = Cell {
            member: at,
            entry,
            name: id,
            labels_start: 0,
            labels_bytes: 0,
            group: NO_GROUP,
            seen_s: 0,
            value: 0.0,
            metric_type: series.metric_type(),
            has_bucket: labels.value(BUCKET_LABEL).is_some(),
            has_quantile: labels.value(QUANTILE_LABEL).is_some(),
            suffix: Suffix::None,
            shape: Shape::Whole,
        };
        let line = self.line(&cell, series.name(), &labels);
        if let Some(twin) = self.find_twin(at, id, &line) {
            return twin;
        }
        if self.names.count(id, traits(&cell)) {
            self.retype(id);
        }
        let place = self.put(cell, &line);
        let family = self.names.get(id).family;
        if let Some(family) = family {
            self.families.family_mut(family).describe(series.help(), series.unit(), self.now);
        }
        place
    }

    /// The line of a series whose name was pushed as `raw_name`.
    fn line(&self, cell: &Cell, raw_name: &str, labels: &Labels<'_>) -> Line {
        let name = self.names.get(cell.name);
        let mut line = Line::write(labels, name.role.kind, name.role.suffix);
        line.altered |= *name.text != *raw_name;
        line
    }

    /// Adds a line to the family that its name belongs to now.
    fn put(&mut self, cell: Cell, line: &Line) -> Place {
        let name = self.names.get_mut(cell.name);
        let family = match name.family {
            Some(family) => family,
            None => *name.family.insert(self.families.find_or_insert(name, self.now)),
        };
        let cell = Cell { suffix: name.role.suffix, shape: line.shape, group: NO_GROUP, ..cell };
        self.families.add(family, cell, line, self.now)
    }

    fn retype(&mut self, id: u32) {
        let name = self.names.get(id);
        if let Some(family) = name.family {
            self.families.family_mut(family).retype(name, self.now);
        }
    }

    /// Takes all lines of a member from the page.
    fn take_lines(&mut self, at: u32) {
        let member = self.member_mut(at);
        member.twins = None;
        member.reports = None;
        for place in std::mem::take(&mut member.places) {
            if let Some((cell, _)) = self.families.remove(place, self.now) {
                self.discount(&cell);
            }
        }
    }

    fn discount(&mut self, cell: &Cell) {
        if self.names.discount(cell.name, traits(cell)) == Some(true) {
            self.retype(cell.name);
        }
    }

    /// Looks anew at which names belong together, and moves the lines of those that do no more or
    /// do now.
    fn assess(&mut self) {
        let mut moving = BTreeSet::new();
        for (id, before) in self.names.assess() {
            let name = self.names.get(id);
            if (before.kind, before.suffix) == (name.role.kind, name.role.suffix) {
                self.retype(id);
            } else {
                moving.extend(name.family);
            }
        }
        let cells: Vec<_> =
            moving.into_iter().flat_map(|family| self.families.cells(family)).collect();
        // First all are taken out: a family that is left goes before another of its name comes.
        let mut taken = Vec::with_capacity(cells.len());
        let mut shared = HashMap::default();
        for (place, cell) in cells {
            let sharing = self.sharing(&mut shared, place, &cell);
            self.forget_twin(place, &cell);
            for &entry in &sharing {
                self.member_mut(cell.member).places[entry as usize] = Place::NONE;
            }
            self.names.get_mut(cell.name).family = None;
            if self.families.remove(place, self.now).is_some() {
                taken.push((cell, sharing));
            }
        }
        for (cell, entries) in taken {
            let place = self.move_in(&cell);
            let member = self.member_mut(cell.member);
            for &entry in &entries {
                member.places[entry as usize] = place;
            }
            if self.member(cell.member).twins.is_some() && place != Place::NONE {
                self.note_twin(cell.member, cell.entry, place);
            }
        }
    }

    /// The place of a line that was taken out, in its new family.
    fn move_in(&mut self, cell: &Cell) -> Place {
        let component = Arc::clone(&self.member(cell.member).component);
        let state = component.lock();
        let same = state.generation() == self.member(cell.member).generation;
        let series = state.view(cell.entry as usize).filter(|_| same);
        let definition = series.map(|series| series.definition()).unwrap_or_default();
        let Some(series) = SeriesDefinition::parse(&definition) else {
            // The next refresh lists the component anew.
            self.discount(cell);
            return Place::NONE;
        };
        let key = component.key();
        let labels = Labels::of(&series, key.name(), key.component_type());
        let line = self.line(cell, series.name(), &labels);
        if let Some(twin) = self.find_twin(cell.member, cell.name, &line) {
            self.discount(cell);
            return twin;
        }
        let place = self.put(*cell, &line);
        if let Some(family) = self.names.get(cell.name).family {
            self.families.family_mut(family).describe(series.help(), series.unit(), self.now);
        }
        place
    }

    /// Takes over the values of those that reported; answers with those that changed otherwise.
    fn collect(&mut self) -> Vec<Arc<Component>> {
        self.now += 1;
        let mut missed = Vec::new();
        for member in self.members.iter_mut().flatten() {
            if member.reports == Some(member.component.reports()) {
                continue;
            }
            // Copied out first: a worker's next report waits for the lock.
            self.values.clear();
            let state = member.component.lock();
            if state.generation() != member.generation {
                missed.push(Arc::clone(&member.component));
                continue;
            }
            member.reports = Some(member.component.reports());
            self.values.extend(state.series().take(member.places.len()).map(|series| {
                series.newest.map_or((0.0, 0), |newest| (newest.value, series.seen_s))
            }));
            drop(state);
            let placed = member.places.iter().zip(&self.values).zip(0..);
            for ((place, (value, seen_s)), entry) in placed {
                if *place != Place::NONE && *seen_s > 0 {
                    let block = self.families.block_mut(place.block);
                    block.set(place.cell, entry, *value, *seen_s, self.now);
                }
            }
        }
        missed
    }

    fn member(&self, at: u32) -> &Member {
        self.members[at as usize].as_ref().expect("lines name members that are there")
    }

    fn member_mut(&mut self, at: u32) -> &mut Member {
        self.members[at as usize].as_mut().expect("lines name members that are there")
    }

    /// Bytes of memory, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        let member_bytes = |member: &Member| {
            member.places.capacity() * size_of::<Place>()
                + member.twins.as_ref().map_or(0, |twins| twins.memory_bytes())
        };
        self.families.memory_bytes()
            + self.names.memory_bytes()
            + self.members.capacity() * size_of::<Option<Member>>()
            + self.by_component.capacity() * 16
            + self.members.iter().flatten().map(member_bytes).sum::<usize>()
    }
}

fn traits(cell: &Cell) -> Traits {
    Traits {
        metric_type: cell.metric_type,
        has_bucket: cell.has_bucket,
        has_quantile: cell.has_quantile,
    }
}

#[cfg(test)]
mod tests;
