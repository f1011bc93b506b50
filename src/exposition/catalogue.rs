//! The series of the page, by family, each with the text that precedes its value.
//!
//! Kept from scrape to scrape: a refresh only looks at components whose series changed, and
//! rendering only copies prefixes and formats values.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::text;
use crate::model::{MetricType, SeriesDefinition};
use crate::registry::Component;

/// All families in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    families: BTreeMap<Box<str>, Family>,
    members: Vec<Member>,
    by_component: HashMap<usize, u32, RandomState>,
    dead_members: usize,
    hasher: RandomState,
}

/// A component on the page.
#[derive(Debug)]
struct Member {
    component: Arc<Component>,
    generation: u32,
    /// How many of the component's entries are in the catalogue.
    listed: usize,
    live: bool,
}

#[derive(Debug)]
struct Family {
    metric_type: MetricType,
    help: Box<str>,
    cells: Vec<Cell>,
    /// Cells by their prefix, so that none stands twice.
    prefixes: HashTable<u32>,
}

/// One line of the page.
#[derive(Debug)]
struct Cell {
    place: Place,
    /// Further series that became the same by sanitising; the one seen last shows.
    rivals: Box<[Place]>,
    prefix: Box<str>,
}

/// A member's entry.
#[derive(Clone, Copy, Debug)]
struct Place {
    member: u32,
    entry: u32,
}

/// A value and when it was accepted, in seconds since the Unix epoch.
type Seen = (f64, u32);

impl Catalogue {
    /// A catalogue of these components only.
    pub(super) fn of(components: &[Arc<Component>]) -> Self {
        let mut catalogue = Self::default();
        catalogue.refresh(components);
        catalogue
    }

    /// Takes over what changed in `changed`.
    pub(super) fn refresh(&mut self, changed: &[Arc<Component>]) {
        for component in changed {
            self.refresh_one(component);
        }
        if self.dead_members * 4 > self.members.len() {
            self.rebuild();
        }
    }

    fn refresh_one(&mut self, component: &Arc<Component>) {
        let address = Arc::as_ptr(component).addr();
        let state = component.lock();
        let known = self.by_component.get(&address).copied();
        let member = match known {
            Some(at) if self.members[at as usize].generation == state.generation() => at,
            known => {
                if let Some(at) = known {
                    self.members[at as usize].live = false;
                    self.dead_members += 1;
                }
                if state.is_evicted() {
                    self.by_component.remove(&address);
                    return;
                }
                let at = self.members.len() as u32;
                self.by_component.insert(address, at);
                let generation = state.generation();
                self.members.push(Member {
                    component: Arc::clone(component),
                    generation,
                    listed: 0,
                    live: true,
                });
                at
            }
        };
        let listed = self.members[member as usize].listed;
        for (entry, series) in state.series().enumerate().skip(listed) {
            if let Some(definition) = SeriesDefinition::parse(series.definition) {
                self.add(member, entry as u32, &definition, component);
            }
        }
        self.members[member as usize].listed = state.series_count();
    }

    fn add(
        &mut self,
        member: u32,
        entry: u32,
        series: &SeriesDefinition<'_>,
        component: &Component,
    ) {
        let mut name = String::with_capacity(series.name().len());
        text::push_metric_name(&mut name, series.name());
        let key = component.key();
        let prefix = text::prefix(&name, series, key.name(), key.component_type());
        let family = self.families.entry(name.into()).or_insert_with(|| Family {
            metric_type: series.metric_type(),
            help: Box::default(),
            cells: Vec::new(),
            prefixes: HashTable::new(),
        });
        // The latest definition decides for the family.
        family.metric_type = series.metric_type();
        if let Some(help) = series.help().filter(|help| **help != *family.help) {
            family.help = help.into();
        }
        family.add(Place { member, entry }, prefix, &self.hasher);
    }

    /// Builds the catalogue again from its live members; what evicted ones held goes.
    fn rebuild(&mut self) {
        let live: Vec<_> = self
            .members
            .iter()
            .filter(|member| member.live)
            .map(|member| Arc::clone(&member.component))
            .collect();
        *self = Self { hasher: self.hasher.clone(), ..Self::default() };
        for component in &live {
            self.refresh_one(component);
        }
    }

    /// Renders every series that was reported at or after `fresh_s`.
    pub(super) fn render(&self, fresh_s: u32) -> Vec<u8> {
        let (starts, values) = self.collect_values();
        let mut page = Vec::with_capacity(values.len() * 128);
        for (name, family) in &self.families {
            let mut headed = false;
            for cell in &family.cells {
                let seen =
                    |place: Place| values[starts[place.member as usize] + place.entry as usize];
                let latest = |last: Seen, place: &Place| {
                    let other = seen(*place);
                    if other.1 > last.1 { other } else { last }
                };
                let (value, seen_s) = cell.rivals.iter().fold(seen(cell.place), latest);
                if seen_s < fresh_s || seen_s == 0 {
                    continue;
                }
                if !headed {
                    family.push_head(&mut page, name);
                    headed = true;
                }
                page.extend_from_slice(cell.prefix.as_bytes());
                text::push_value(&mut page, value);
                page.push(b'\n');
            }
        }
        page
    }

    /// Copies the values out, one lock per component: per member where its values start, and
    /// all values. An entry whose number changed since the refresh reads as never seen.
    fn collect_values(&self) -> (Vec<usize>, Vec<Seen>) {
        let mut starts = Vec::with_capacity(self.members.len());
        let mut values: Vec<Seen> = Vec::new();
        for member in &self.members {
            starts.push(values.len());
            let state = member.component.lock();
            let same = member.live && state.generation() == member.generation;
            let seen = state.series().take(member.listed);
            values.extend(seen.map(|series| match series.newest {
                Some(newest) if same => (newest.value, series.seen_s),
                _ => (0.0, 0),
            }));
            values.resize(starts[starts.len() - 1] + member.listed, (0.0, 0));
        }
        (starts, values)
    }
}

impl Family {
    fn add(&mut self, place: Place, prefix: String, hasher: &RandomState) {
        let hash = hasher.hash_one(prefix.as_str());
        let cells = &mut self.cells;
        if let Some(&at) = self.prefixes.find(hash, |&at| *cells[at as usize].prefix == *prefix) {
            let rivals = &mut cells[at as usize].rivals;
            let mut more = std::mem::take(rivals).into_vec();
            more.push(place);
            *rivals = more.into();
            return;
        }
        let at = cells.len() as u32;
        cells.push(Cell { place, rivals: Box::default(), prefix: prefix.into() });
        self.prefixes.insert_unique(hash, at, |&at| hasher.hash_one(&*cells[at as usize].prefix));
    }

    fn push_head(&self, page: &mut Vec<u8>, name: &str) {
        if !self.help.is_empty() {
            for part in ["# HELP ", name, " "] {
                page.extend_from_slice(part.as_bytes());
            }
            text::push_help(page, &self.help);
            page.push(b'\n');
        }
        // A histogram's or summary's series come one by one here, so none of them is a whole
        // histogram; as untyped ones they are valid each for itself.
        let type_name = match self.metric_type {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram | MetricType::Summary => "untyped",
        };
        for part in ["# TYPE ", name, " ", type_name, "\n"] {
            page.extend_from_slice(part.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
