//! The families in the order of their names, and the blocks of their lines.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::block::{Block, Look};
use super::cell::{Cell, FamilyKind, Line};
use super::names::{Name, TOTAL};
use super::text::{self, Format};
use crate::model::MetricType;

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) cell: u32,
}

impl Place {
    /// Of a series that is not on the page.
    pub(super) const NONE: Self = Self { block: u32::MAX, cell: u32::MAX };
}

/// All families.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<Box<str>, u32>,
    families: Vec<Option<Family>>,
    vacant: Vec<u32>,
    blocks: Vec<Option<OwnedBlock>>,
    vacant_blocks: Vec<u32>,
    /// When a family or block last came or went.
    arranged_at: u64,
    hasher: RandomState,
}

#[derive(Debug)]
struct OwnedBlock {
    family: u32,
    block: Block,
}

/// What lines have in common.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: Box<str>,
    pub(super) kind: FamilyKind,
    /// Of a plain family.
    metric_type: MetricType,
    /// Whether OpenMetrics may call it a counter.
    pub(super) counter: bool,
    help: Box<str>,
    unit: Box<str>,
    pub(super) blocks: Vec<u32>,
    /// Blocks that may have room, the last one first.
    roomy: Vec<u32>,
    /// Histograms or summaries by their labels.
    groups: HashTable<GroupPlace>,
    /// When what stands above the lines changed last.
    pub(super) headed_at: u64,
    /// When what makes lines fit changed last.
    pub(super) styled_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct GroupPlace {
    block: u32,
    group: u32,
}

impl Families {
    /// Families by their names.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (u32, &Family)> {
        self.by_name.values().map(|&id| (id, self.family(id)))
    }

    pub(super) fn family(&self, id: u32) -> &Family {
        self.families[id as usize].as_ref().expect("a family lives as long as its lines")
    }

    pub(super) fn family_mut(&mut self, id: u32) -> &mut Family {
        self.families[id as usize].as_mut().expect("a family lives as long as its lines")
    }

    pub(super) fn block(&self, id: u32) -> &Block {
        &self.blocks[id as usize].as_ref().expect("a block lives as long as its lines").block
    }

    pub(super) fn block_mut(&mut self, id: u32) -> &mut Block {
        &mut self.blocks[id as usize].as_mut().expect("a block lives as long as its lines").block
    }

    pub(super) fn arranged_at(&self) -> u64 {
        self.arranged_at
    }

    /// The family that `name` belongs to, made now if there is none.
    pub(super) fn find_or_insert(&mut self, name: &Name, now: u64) -> u32 {
        let family_name = name.family_name();
        if let Some(&id) = self.by_name.get(family_name) {
            return id;
        }
        let family = Family {
            name: family_name.into(),
            kind: name.role.kind,
            metric_type: name.metric_type,
            counter: name.role.counter,
            help: Box::default(),
            unit: Box::default(),
            blocks: Vec::new(),
            roomy: Vec::new(),
            groups: HashTable::new(),
            headed_at: now,
            styled_at: now,
        };
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.families.push(None);
            self.families.len() as u32 - 1
        });
        self.by_name.insert(family.name.clone(), id);
        self.families[id as usize] = Some(family);
        self.arranged_at = now;
        id
    }

    /// Adds a line to a family.
    pub(super) fn add(&mut self, id: u32, cell: Cell, line: &Line, now: u64) -> Place {
        if self.family(id).kind == FamilyKind::Plain {
            let block = self.roomy_block(id, now);
            return Place { block, cell: self.block_mut(block).add(cell, line, now) };
        }
        let hash = self.hasher.hash_one(&line.group);
        let known = self
            .family(id)
            .groups
            .find(hash, |place| self.block(place.block).group_labels(place.group) == line.group);
        let GroupPlace { block, group } = known.copied().unwrap_or_else(|| {
            let block = self.roomy_block(id, now);
            let place = GroupPlace { block, group: self.block_mut(block).begin_group(line) };
            let (blocks, hasher) = (&self.blocks, &self.hasher);
            let family = self.families[id as usize].as_mut();
            let groups = &mut family.expect("a family lives as long as its lines").groups;
            groups.insert_unique(hash, place, |place| {
                let owned = blocks[place.block as usize].as_ref();
                hasher.hash_one(owned.map_or(&[][..], |o| o.block.group_labels(place.group)))
            });
            place
        });
        let cell = Cell { group, ..cell };
        Place { block, cell: self.block_mut(block).add(cell, line, now) }
    }

    fn roomy_block(&mut self, id: u32, now: u64) -> u32 {
        while let Some(&block) = self.family(id).roomy.last() {
            if !self.block(block).is_full() {
                return block;
            }
            self.family_mut(id).roomy.pop();
        }
        let block = self.vacant_blocks.pop().unwrap_or_else(|| {
            self.blocks.push(None);
            self.blocks.len() as u32 - 1
        });
        self.blocks[block as usize] = Some(OwnedBlock { family: id, block: Block::default() });
        let family = self.family_mut(id);
        family.blocks.push(block);
        family.roomy.push(block);
        self.arranged_at = now;
        block
    }

    /// Takes a line out, and its block and family if it was the last one there. Answers with the
    /// line, and whether its family is still there.
    pub(super) fn remove(&mut self, place: Place, now: u64) -> Option<(Cell, bool)> {
        let owned = self.blocks.get_mut(place.block as usize)?.as_mut()?;
        let id = owned.family;
        let was_full = owned.block.is_full();
        let (cell, emptied) = owned.block.remove(place.cell, now)?;
        let is_empty = owned.block.is_empty();
        if let Some(labels) = emptied {
            let hash = self.hasher.hash_one(&*labels);
            let is_it =
                |other: &GroupPlace| (other.block, other.group) == (place.block, cell.group);
            if let Ok(entry) = self.family_mut(id).groups.find_entry(hash, is_it) {
                entry.remove();
            }
        }
        let family = self.family_mut(id);
        if is_empty {
            family.blocks.retain(|block| *block != place.block);
            family.roomy.retain(|block| *block != place.block);
            let gone = family.blocks.is_empty();
            self.blocks[place.block as usize] = None;
            self.vacant_blocks.push(place.block);
            self.arranged_at = now;
            if gone {
                self.remove_family(id);
                return Some((cell, false));
            }
        } else if was_full && !family.roomy.contains(&place.block) {
            family.roomy.push(place.block);
        }
        Some((cell, true))
    }

    fn remove_family(&mut self, id: u32) {
        if let Some(family) = self.families[id as usize].take() {
            self.by_name.remove(&family.name);
            self.vacant.push(id);
        }
    }

    /// All lines of a family, with their labels.
    pub(super) fn cells(&self, id: u32) -> Vec<(Place, Cell)> {
        let Some(Some(family)) = self.families.get(id as usize) else { return Vec::new() };
        let blocks = family.blocks.iter().map(|&block| (block, self.block(block)));
        blocks
            .flat_map(|(block, lines)| {
                lines.cells().map(move |(cell, at)| (Place { block, cell: at }, *cell))
            })
            .collect()
    }

    /// Bytes of memory, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        let blocks: usize =
            self.blocks.iter().flatten().map(|owned| owned.block.memory_bytes()).sum();
        let family_bytes = |family: &Family| {
            size_of::<Family>()
                + 2 * family.name.len()
                + family.help.len()
                + family.unit.len()
                + family.blocks.capacity() * 8
                + family.groups.capacity() * 10
        };
        blocks + self.families.iter().flatten().map(family_bytes).sum::<usize>()
    }
}

impl Family {
    /// Takes over what a series says of itself; the latest word holds.
    pub(super) fn describe(&mut self, help: Option<&str>, unit: Option<&str>, now: u64) {
        for (known, said) in [(&mut self.help, help), (&mut self.unit, unit)] {
            if let Some(said) = said.filter(|said| **said != **known) {
                *known = said.into();
                self.headed_at = now;
            }
        }
    }

    /// Takes over what is decided of its name.
    pub(super) fn retype(&mut self, name: &Name, now: u64) {
        if (self.metric_type, self.counter) != (name.metric_type, name.role.counter) {
            (self.metric_type, self.counter) = (name.metric_type, name.role.counter);
            (self.headed_at, self.styled_at) = (now, now);
        }
    }

    /// How its lines are written.
    pub(super) fn look(&self, format: Format) -> Look<'_> {
        Look { name: &self.name, kind: self.kind, counter: self.counter, format }
    }

    /// Appends what stands above the lines.
    pub(super) fn render_head(&self, out: &mut Vec<u8>, format: Format) {
        let is_open = format == Format::OpenMetrics;
        let name = match self.name.strip_suffix(TOTAL) {
            Some(base) if is_open && self.counter => base,
            _ => &self.name,
        };
        let push = |out: &mut Vec<u8>, what: &str, text: &str| {
            for part in ["# ", what, " ", name, " ", text] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        if !self.help.is_empty() {
            push(out, "HELP", "");
            text::push_help(out, &self.help, format);
            out.push(b'\n');
        }
        push(out, "TYPE", self.type_name(format));
        out.push(b'\n');
        if is_open && has_unit(name, &self.unit) {
            push(out, "UNIT", &self.unit);
            out.push(b'\n');
        }
    }

    fn type_name(&self, format: Format) -> &'static str {
        let untyped = if format == Format::OpenMetrics { "unknown" } else { "untyped" };
        match (self.kind, self.metric_type) {
            (FamilyKind::Histogram, _) => "histogram",
            (FamilyKind::Summary, _) => "summary",
            (FamilyKind::Plain, MetricType::Gauge) => "gauge",
            // A counter that OpenMetrics has another name for would be another series there.
            (FamilyKind::Plain, MetricType::Counter) if self.counter || format == Format::Text => {
                "counter"
            }
            // Parts that are no whole, each valid for itself.
            (FamilyKind::Plain, _) => untyped,
        }
    }
}

/// Whether OpenMetrics takes the unit: the name has to end in it.
fn has_unit(name: &str, unit: &str) -> bool {
    !unit.is_empty()
        && text::metric_name(unit) == unit
        && name.strip_suffix(unit).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'))
}
