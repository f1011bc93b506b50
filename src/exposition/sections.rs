//! The page in the order of its families, cut into sections that are rendered and compressed by
//! themselves, and again only when something in them changed.
//!
//! A block of a large family is a section, and so is what stands above its lines. Small families
//! share sections. Where such a section begins is decided by the names' hashes, so that a family
//! that comes or goes moves the bounds of its own section and no other.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::block::Written;
use super::deflate::{Deflater, Gzip, Piece};
use super::family::{Families, Family};
use super::text::Format;

/// Every how manieth small family begins a section, on average.
const SMALL_FAMILIES: u64 = 16;
/// How many formats there are.
const FORMATS: usize = 2;

/// All sections, in order.
#[derive(Debug, Default)]
pub(super) struct Sections {
    sections: Vec<Section>,
    arranged_at: u64,
    scratch: Scratch,
    end: Option<Piece>,
    /// Seeded at random, so that nobody can choose names that all fall into one section.
    hasher: RandomState,
}

/// Where a section is rendered and compressed.
#[derive(Debug, Default)]
struct Scratch {
    text: Vec<u8>,
    deflater: Deflater,
}

/// What a section holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Content {
    /// What stands above the lines of a large family.
    Head(u32),
    /// A block of a large family.
    Block { family: u32, block: u32 },
    /// Small families, each with its only block.
    Small(Box<[u32]>),
}

#[derive(Debug)]
struct Section {
    content: Content,
    rendered: [Option<Rendering>; FORMATS],
}

#[derive(Clone, Debug)]
struct Rendering {
    piece: Piece,
    written: Written,
    /// When the families and blocks were as they are here.
    at: u64,
}

impl Sections {
    /// Brings the page in `format` up to date: lines seen at or after `fresh_s`. Answers with it
    /// and with how many lines there are.
    pub(super) fn render(
        &mut self,
        families: &mut Families,
        format: Format,
        fresh_s: u32,
        now: u64,
    ) -> (Gzip, usize) {
        if self.arranged_at != families.arranged_at() {
            self.arrange(families);
        }
        let mut lines_of = HashMap::<u32, usize, RandomState>::default();
        // Backwards: what stands above lines depends on whether there are any.
        for section in self.sections.iter_mut().rev() {
            let lines = match &section.content {
                Content::Head(family) => lines_of.get(family).copied().unwrap_or(0),
                _ => 0,
            };
            section.refresh(families, format, fresh_s, now, lines, &mut self.scratch);
            if let (Content::Block { family, .. }, Some(rendering)) =
                (&section.content, &section.rendered[format as usize])
            {
                *lines_of.entry(*family).or_default() += rendering.written.lines;
            }
        }
        let renderings = || {
            self.sections.iter().filter_map(|section| section.rendered[format as usize].as_ref())
        };
        let lines = renderings().map(|rendering| rendering.written.lines).sum();
        let end = self.end.get_or_insert_with(|| self.scratch.deflater.piece(b"# EOF\n"));
        let end = (format == Format::OpenMetrics).then_some(&*end);
        let gzip = Gzip::of(renderings().map(|rendering| &rendering.piece).chain(end));
        (gzip, lines)
    }

    /// Cuts the page anew, keeping what is rendered of sections that stay.
    fn arrange(&mut self, families: &Families) {
        let mut known: HashMap<Content, [Option<Rendering>; FORMATS], RandomState> =
            self.sections.drain(..).map(|section| (section.content, section.rendered)).collect();
        let mut contents = Vec::new();
        let mut small: Vec<u32> = Vec::new();
        let begins =
            |family: &Family| self.hasher.hash_one(&*family.name).is_multiple_of(SMALL_FAMILIES);
        for (id, family) in families.in_order() {
            let is_large = family.blocks.len() > 1;
            if !small.is_empty() && (is_large || begins(family)) {
                contents.push(Content::Small(std::mem::take(&mut small).into()));
            }
            if is_large {
                contents.push(Content::Head(id));
                let blocks = family.blocks.iter();
                contents.extend(blocks.map(|&block| Content::Block { family: id, block }));
            } else {
                small.push(id);
            }
        }
        if !small.is_empty() {
            contents.push(Content::Small(small.into()));
        }
        self.sections = contents
            .into_iter()
            .map(|content| Section {
                rendered: known.remove(&content).unwrap_or_default(),
                content,
            })
            .collect();
        self.arranged_at = families.arranged_at();
    }

    /// Bytes of memory, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        let rendered = self.sections.iter().flat_map(|section| section.rendered.iter().flatten());
        rendered.map(|rendering| rendering.piece.compressed_bytes()).sum::<usize>()
            + self.sections.capacity() * size_of::<Section>()
            + self.scratch.text.capacity()
    }
}

impl Section {
    /// Renders the section if it changed.
    fn refresh(
        &mut self,
        families: &mut Families,
        format: Format,
        fresh_s: u32,
        now: u64,
        lines_below: usize,
        scratch: &mut Scratch,
    ) {
        let changed_at = self.content.changed_at(families, fresh_s, now);
        let before = self.rendered[format as usize].as_ref();
        let is_head = matches!(self.content, Content::Head(_));
        let same_head =
            |rendering: &Rendering| !is_head || (rendering.piece.is_empty() == (lines_below == 0));
        if before.is_some_and(|before| before.at >= changed_at && same_head(before)) {
            return;
        }
        scratch.text.clear();
        let written =
            self.content.render(&mut scratch.text, families, format, fresh_s, lines_below);
        let piece = scratch.deflater.piece(&scratch.text);
        let rendering = Rendering { piece, written, at: now };
        if matches!(self.content, Content::Block { .. }) && !written.differs {
            // The lines of both formats are the same.
            self.rendered = [Some(rendering.clone()), Some(rendering)];
        } else {
            self.rendered[format as usize] = Some(rendering);
        }
    }
}

impl Content {
    fn changed_at(&self, families: &mut Families, fresh_s: u32, now: u64) -> u64 {
        match self {
            Self::Head(family) => families.family(*family).headed_at,
            Self::Block { family, block } => {
                let styled_at = families.family(*family).styled_at;
                families.block_mut(*block).changed_at(fresh_s, now).max(styled_at)
            }
            Self::Small(ids) => {
                let newest = |newest: u64, id: &u32| {
                    let headed_at = families.family(*id).headed_at;
                    let blocks = families.family(*id).blocks.clone();
                    blocks
                        .into_iter()
                        .map(|block| families.block_mut(block).changed_at(fresh_s, now))
                        .fold(newest.max(headed_at), u64::max)
                };
                ids.iter().fold(0, newest)
            }
        }
    }

    fn render(
        &self,
        out: &mut Vec<u8>,
        families: &Families,
        format: Format,
        fresh_s: u32,
        lines_below: usize,
    ) -> Written {
        match self {
            Self::Head(family) => {
                if lines_below > 0 {
                    families.family(*family).render_head(out, format);
                }
                Written::default()
            }
            Self::Block { family, block } => {
                let family = families.family(*family);
                let look = family.look(format);
                families.block(*block).render(out, look, fresh_s)
            }
            Self::Small(ids) => {
                let mut written = Written::default();
                for id in ids {
                    let family = families.family(*id);
                    let look = family.look(format);
                    let begin = out.len();
                    family.render_head(out, format);
                    let mut lines = 0;
                    for block in &family.blocks {
                        lines += families.block(*block).render(out, look, fresh_s).lines;
                    }
                    if lines == 0 {
                        out.truncate(begin);
                    }
                    written.lines += lines;
                }
                written
            }
        }
    }
}
