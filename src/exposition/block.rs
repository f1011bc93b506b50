//! Some hundred lines of one family, with what is needed to render them and to tell whether they
//! must be rendered again.

use super::cell::{Cell, FamilyKind, Line, NO_GROUP, Shape, Suffix};
use super::fitness;
use super::text::{self, Format};

/// Lines of a block. A histogram's parts stay together, so that it may have more.
/// In tests few, so that they have families of several blocks.
pub(super) const BLOCK_LINES: usize = if cfg!(test) { 8 } else { 512 };

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// By the number that a line keeps; vacant ones are `None`.
    cells: Vec<Option<Cell>>,
    vacant: Vec<u32>,
    /// The labels of all lines, one behind the other.
    labels: Vec<u8>,
    wasted_bytes: usize,
    /// The histograms or summaries; none in a plain family.
    groups: Vec<Group>,
    vacant_groups: Vec<u32>,
    live: usize,
    /// When it last changed what is rendered of it.
    changed_at: u64,
    /// No line that shows was seen before this second.
    oldest_s: u32,
    /// Lines that were seen before this second did not show when it was last looked at.
    shown_from_s: u32,
}

/// What the parts of one histogram or summary have in common.
#[derive(Debug)]
struct Group {
    labels: Box<[u8]>,
    /// In the order in which they are written.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    bound: f64,
    cell: u32,
}

/// How the lines are to be written.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) name: &'a str,
    pub(super) kind: FamilyKind,
    /// Whether OpenMetrics calls the family a counter.
    pub(super) counter: bool,
    pub(super) format: Format,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) lines: usize,
    /// Whether OpenMetrics lacks lines that the older format has.
    pub(super) differs: bool,
}

impl Block {
    pub(super) fn is_full(&self) -> bool {
        self.live >= BLOCK_LINES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The lines with their numbers.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&Cell, u32)> {
        self.cells.iter().zip(0..).filter_map(|(cell, at)| Some((cell.as_ref()?, at)))
    }

    pub(super) fn cell(&self, at: u32) -> Option<&Cell> {
        self.cells.get(at as usize)?.as_ref()
    }

    pub(super) fn labels(&self, cell: &Cell) -> &[u8] {
        &self.labels[cell.labels_start as usize..][..cell.labels_bytes as usize]
    }

    /// The labels that the parts of a group share.
    pub(super) fn group_labels(&self, group: u32) -> &[u8] {
        self.groups.get(group as usize).map_or(&[], |group| &group.labels)
    }

    /// Adds a line; answers with its number. `cell` says all but where the labels stand.
    pub(super) fn add(&mut self, cell: Cell, line: &Line, now: u64) -> u32 {
        let labels_start = self.labels.len() as u32;
        self.labels.extend_from_slice(&line.labels);
        let cell = Cell { labels_start, labels_bytes: line.labels.len() as u32, ..cell };
        self.live += 1;
        self.changed_at = now;
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.cells.push(None);
            self.cells.len() as u32 - 1
        });
        self.cells[at as usize] = Some(cell);
        if cell.group != NO_GROUP {
            self.join_group(&cell, at, line.bound);
        }
        at
    }

    /// Begins a histogram or summary; answers with its number.
    pub(super) fn begin_group(&mut self, line: &Line) -> u32 {
        let group = Group { labels: line.group.as_slice().into(), parts: Vec::new() };
        if let Some(at) = self.vacant_groups.pop() {
            self.groups[at as usize] = group;
            return at;
        }
        self.groups.push(group);
        self.groups.len() as u32 - 1
    }

    /// Puts the line into its place in its group.
    fn join_group(&mut self, cell: &Cell, at: u32, bound: f64) {
        let parts = &self.groups[cell.group as usize].parts;
        let place = parts.partition_point(|part| {
            let other = self.cell(part.cell).map_or(u8::MAX, rank);
            other.cmp(&rank(cell)).then(part.bound.total_cmp(&bound)).is_le()
        });
        self.groups[cell.group as usize].parts.insert(place, Part { bound, cell: at });
    }

    /// Takes a line out; answers with it, and with the labels of its group if that went with it.
    pub(super) fn remove(&mut self, at: u32, now: u64) -> Option<(Cell, Option<Box<[u8]>>)> {
        let cell = self.cells.get_mut(at as usize)?.take()?;
        self.live -= 1;
        self.changed_at = now;
        self.vacant.push(at);
        self.wasted_bytes += cell.labels_bytes as usize;
        if self.wasted_bytes * 2 > self.labels.len() {
            self.pack();
        }
        let Some(group) = self.groups.get_mut(cell.group as usize) else {
            return Some((cell, None));
        };
        group.parts.retain(|part| part.cell != at);
        let emptied = group.parts.is_empty().then(|| std::mem::take(&mut group.labels));
        if emptied.is_some() {
            self.vacant_groups.push(cell.group);
        }
        Some((cell, emptied))
    }

    /// Gives back what the labels of removed lines took.
    fn pack(&mut self) {
        let mut packed = Vec::with_capacity(self.labels.len() - self.wasted_bytes);
        for cell in self.cells.iter_mut().flatten() {
            let start = packed.len() as u32;
            packed.extend_from_slice(
                &self.labels[cell.labels_start as usize..][..cell.labels_bytes as usize],
            );
            cell.labels_start = start;
        }
        self.labels = packed;
        self.wasted_bytes = 0;
    }

    /// Takes over the value of an entry. Of several entries with one line, the one seen last
    /// shows.
    #[inline]
    pub(super) fn set(&mut self, at: u32, entry: u32, value: f64, seen_s: u32, now: u64) {
        let Some(Some(cell)) = self.cells.get_mut(at as usize) else { return };
        if cell.entry != entry {
            if seen_s <= cell.seen_s {
                return;
            }
            cell.entry = entry;
        }
        if cell.value.to_bits() != value.to_bits() || cell.seen_s < self.shown_from_s {
            self.changed_at = now;
            cell.value = value;
        }
        cell.seen_s = seen_s;
        self.oldest_s = self.oldest_s.min(seen_s);
    }

    /// When its rendering changed last, given that lines seen before `fresh_s` do not show.
    pub(super) fn changed_at(&mut self, fresh_s: u32, now: u64) -> u64 {
        if self.oldest_s < fresh_s || fresh_s < self.shown_from_s {
            let shown_from_s = self.shown_from_s.min(fresh_s);
            let mut oldest_s = u32::MAX;
            let mut moved = false;
            for cell in self.cells.iter().flatten() {
                if cell.seen_s >= fresh_s {
                    oldest_s = oldest_s.min(cell.seen_s);
                }
                moved |= cell.seen_s >= shown_from_s
                    && (cell.seen_s >= self.shown_from_s) != (cell.seen_s >= fresh_s);
            }
            self.oldest_s = oldest_s;
            if moved {
                self.changed_at = now;
            }
        }
        self.shown_from_s = fresh_s;
        self.changed_at
    }

    /// Appends the lines that were seen at or after `fresh_s`.
    pub(super) fn render(&self, out: &mut Vec<u8>, look: Look<'_>, fresh_s: u32) -> Written {
        let shows = |cell: &Cell| cell.seen_s >= fresh_s && cell.seen_s > 0;
        let mut written = Written::default();
        if look.kind == FamilyKind::Plain {
            for cell in self.cells.iter().flatten().filter(|cell| shows(cell)) {
                let fits = !look.counter || fitness::counts(cell.value);
                self.push_line(out, look, cell, fits, &mut written);
            }
            return written;
        }
        for group in &self.groups {
            let parts = || {
                let cells =
                    group.parts.iter().filter_map(|part| Some((self.cell(part.cell)?, part.bound)));
                cells.filter(|(cell, _)| shows(cell) && cell.shape != Shape::Misfit)
            };
            let bounded = || parts().filter(|(cell, _)| cell.shape == Shape::Whole);
            let whole = look.kind == FamilyKind::Summary || fitness::is_histogram(bounded());
            for (cell, bound) in parts() {
                let fits = match look.kind {
                    FamilyKind::Summary => fitness::fits_summary(cell, bound),
                    _ => whole && cell.shape == Shape::Whole,
                };
                self.push_line(out, look, cell, fits, &mut written);
            }
        }
        written
    }

    #[inline]
    fn push_line(
        &self,
        out: &mut Vec<u8>,
        look: Look<'_>,
        cell: &Cell,
        fits: bool,
        written: &mut Written,
    ) {
        written.differs |= !fits;
        if !fits && look.format == Format::OpenMetrics {
            return;
        }
        out.extend_from_slice(look.name.as_bytes());
        out.extend_from_slice(cell.suffix.as_str().as_bytes());
        out.extend_from_slice(self.labels(cell));
        text::push_value(out, cell.value);
        out.push(b'\n');
        written.lines += 1;
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let part_bytes = |group: &Group| {
            group.labels.len() + group.parts.capacity() * size_of::<Part>() + size_of::<Group>()
        };
        size_of::<Self>()
            + self.cells.capacity() * size_of::<Option<Cell>>()
            + self.labels.capacity()
            + self.groups.iter().map(part_bytes).sum::<usize>()
    }
}

/// Buckets and quantiles come first.
fn rank(cell: &Cell) -> u8 {
    match cell.suffix {
        Suffix::None | Suffix::Bucket => 0,
        Suffix::Sum => 1,
        Suffix::Count => 2,
    }
}
