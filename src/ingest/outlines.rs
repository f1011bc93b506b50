//! What is remembered of the reports of known workers, so that their next ones need no parser.
//!
//! Owns the outlines of reports whose series are all known, each with the series that its metrics
//! belong to, and the forms that these share. Guarantees a bound on its memory, and that a sender
//! whose reports never resemble each other costs little. Refuses to decide whether what it remembers still holds: that is told
//! by the component, under its lock.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::protocol::{Form, Outline};
use crate::registry::Component;

/// Power of two; so many that two connections seldom meet on one lock.
const SHARDS: usize = 64;
/// Bytes of all that is remembered.
const BYTES_MAX: usize = 64 << 20;
/// Reports that begin alike, as those of one component do, and have different metrics.
const ALIKE_MAX: usize = 4;
/// Where the array of metrics is looked for, in bytes from the start.
const OPENING_BYTES_MAX: usize = 1024;
/// What an entry of the table takes beside the outline itself, roughly.
const OVERHEAD_BYTES: usize = 160;

/// The memory, shared by all connections.
#[derive(Debug)]
pub struct Outlines {
    shards: Vec<Mutex<HashTable<Alike>>>,
    /// What the outlines have in common. Theirs are all of these.
    forms: Mutex<HashTable<Arc<Form>>>,
    hasher: RandomState,
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// Reports with the same opening.
#[derive(Debug)]
struct Alike {
    hash: u64,
    /// Reports that nothing here fitted, less those that something did.
    misses: u32,
    /// Mostly one.
    known: SmallVec<[Arc<Known>; 1]>,
}

/// A report that will come again.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) outline: Outline,
    pub(super) component: Arc<Component>,
    pub(super) entries: KnownEntries,
    /// The component's generation for which `entries` hold.
    pub(super) generation: u32,
    /// When a report last was read this way, in seconds since the Unix epoch.
    used_s: AtomicU32,
    /// Reports read this way since somebody looked.
    hits: AtomicU32,
}

/// The entries in the component of the metrics of a report.
#[derive(Debug)]
pub(super) enum KnownEntries {
    /// One behind the other from this one on, as they are where a worker reports all that it has.
    From(u32),
    /// One for each metric.
    Listed(Box<[u32]>),
}

impl KnownEntries {
    fn new(entries: &[u32]) -> Self {
        let consecutive = |pair: &[u32]| pair[0].checked_add(1) == Some(pair[1]);
        match entries.first() {
            Some(&first) if entries.windows(2).all(consecutive) => Self::From(first),
            _ => Self::Listed(entries.into()),
        }
    }

    /// The entry of the `nth` metric.
    #[inline]
    pub(super) fn get(&self, nth: usize) -> usize {
        match self {
            Self::From(first) => *first as usize + nth,
            Self::Listed(entries) => entries[nth] as usize,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::From(_) => 0,
            Self::Listed(entries) => size_of_val(&**entries),
        }
    }
}

impl Known {
    pub(super) fn new(
        outline: Outline,
        component: Arc<Component>,
        entries: &[u32],
        generation: u32,
        now_s: u32,
    ) -> Self {
        let used_s = AtomicU32::new(now_s);
        let hits = AtomicU32::new(0);
        let entries = KnownEntries::new(entries);
        Self { outline, component, entries, generation, used_s, hits }
    }

    /// Notes that a report was read this way.
    pub(super) fn used(&self, now_s: u32) {
        self.used_s.store(now_s, Ordering::Relaxed);
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.outline.bytes() + self.entries.bytes()
    }
}

impl Default for Outlines {
    fn default() -> Self {
        Self::with_bytes_max(BYTES_MAX)
    }
}

impl Outlines {
    fn with_bytes_max(bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            forms: Mutex::default(),
            hasher: RandomState::default(),
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// What `document` may be like, the `nth` guess; `None` when there is no further one.
    pub(super) fn guess(&self, document: &[u8], nth: usize) -> Option<Arc<Known>> {
        let hash = self.hash(document)?;
        let shard = self.shard(hash).lock();
        shard.find(hash, |alike| alike.hash == hash)?.known.get(nth).cloned()
    }

    /// Whether a report that nothing fitted should be learned. One that differs from the last
    /// should, but a sender whose reports always differ gets ever fewer chances.
    pub(super) fn wants(&self, document: &[u8]) -> bool {
        let Some(hash) = self.hash(document) else { return false };
        let mut shard = self.shard(hash).lock();
        let Some(alike) = shard.find_mut(hash, |alike| alike.hash == hash) else { return true };
        let hits = |known: &Arc<Known>| known.hits.swap(0, Ordering::Relaxed);
        let hits = alike.known.iter().map(hits).fold(0, u32::saturating_add);
        alike.misses = alike.misses.saturating_sub(hits).saturating_add(1);
        alike.misses.is_power_of_two()
    }

    /// Remembers a report, in the place of the one that was not needed for longest where there
    /// are enough that begin like it.
    pub(super) fn learn(&self, document: &[u8], mut known: Known) {
        let Some(hash) = self.hash(document) else { return };
        let bytes = known.bytes();
        if !self.has_room(bytes) || !self.share_form(&mut known.outline) {
            return;
        }
        let mut shard = self.shard(hash).lock();
        let entry = shard.entry(hash, |alike| alike.hash == hash, |alike| alike.hash);
        let mut entry = entry.or_insert_with(|| Alike { hash, misses: 0, known: SmallVec::new() });
        let all = &mut entry.get_mut().known;
        if all.len() >= ALIKE_MAX {
            let oldest = (0..all.len()).min_by_key(|at| all[*at].used_s.load(Ordering::Relaxed));
            self.forgotten(&all.swap_remove(oldest.unwrap_or_default()));
        }
        all.push(Arc::new(known));
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed) + bytes <= self.bytes_max
    }

    /// Has the outline share its form with the others of that form; `false` when it is the first one
    /// and there is no room.
    fn share_form(&self, outline: &mut Outline) -> bool {
        let hash = self.hasher.hash_one(outline.form());
        let mut forms = self.forms.lock();
        if let Some(form) = forms.find(hash, |form| form == outline.form()) {
            outline.share(form);
            return true;
        }
        let form = Arc::clone(outline.form());
        let room = self.has_room(form.bytes());
        if room {
            self.bytes.fetch_add(form.bytes(), Ordering::Relaxed);
            forms.insert_unique(hash, form, |form| self.hasher.hash_one(form));
        }
        room
    }

    /// Forgets what turned out to hold no more.
    pub(super) fn forget(&self, document: &[u8], known: &Arc<Known>) {
        let Some(hash) = self.hash(document) else { return };
        let mut shard = self.shard(hash).lock();
        if let Some(alike) = shard.find_mut(hash, |alike| alike.hash == hash)
            && let Some(at) = alike.known.iter().position(|one| Arc::ptr_eq(one, known))
        {
            self.forgotten(&alike.known.swap_remove(at));
        }
    }

    /// Forgets what was last used before `before_s`, in seconds since the Unix epoch.
    pub fn forget_idle(&self, before_s: u32) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|alike| {
                alike.known.retain(|known| {
                    let kept = known.used_s.load(Ordering::Relaxed) >= before_s;
                    if !kept {
                        self.forgotten(known);
                    }
                    kept
                });
                !alike.known.is_empty()
            });
            let len = shard.len();
            if shard.capacity() > 4 * len {
                shard.shrink_to(len, |alike| alike.hash);
            }
        }
        // One that nobody else holds: who would share it has to wait for the lock.
        self.forms.lock().retain(|form| {
            let kept = Arc::strong_count(form) > 1;
            if !kept {
                self.bytes.fetch_sub(form.bytes(), Ordering::Relaxed);
            }
            kept
        });
    }

    fn forgotten(&self, known: &Known) {
        self.bytes.fetch_sub(known.bytes(), Ordering::Relaxed);
    }

    /// The hash of what stands before the metrics, which mostly names the component. A report
    /// that does not begin like one has none.
    #[inline]
    fn hash(&self, document: &[u8]) -> Option<u64> {
        let opening = &document[..document.len().min(OPENING_BYTES_MAX)];
        let end = memchr::memchr(b'[', opening)?;
        Some(self.hasher.hash_one(&opening[..end]))
    }

    fn shard(&self, hash: u64) -> &Mutex<HashTable<Alike>> {
        // The table uses the other end of the hash.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests;
