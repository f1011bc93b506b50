//! One component: its series behind one lock, which also orders its reports in the log.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::budget::{Budget, Budgets, Explosion, Usage};
use super::descriptor::Descriptors;
use super::groups::{GroupIds, OpenGroup};
use super::registration::Standing;
use super::series_table::{Found, LastValue, SeriesTable, SeriesView};
use crate::model::{
    ComponentKey, GroupId, LogPosition, RuntimeId, SeriesDefinition, Slot, StoredSeries, Timestamp,
};

/// A change of a component's help texts, units or types is stored at most this often, so that a
/// worker which alternates between two texts does not write a definition per report.
const METADATA_INTERVAL_S: u32 = 60;

/// A component in memory.
#[derive(Debug)]
pub struct Component {
    key: ComponentKey,
    runtime_id: AtomicI64,
    /// Seconds since the Unix epoch of the last report or heartbeat; readable without the lock.
    pub(super) last_report_s: AtomicU32,
    /// What of it PostgreSQL has.
    pub(super) beat_s: AtomicU32,
    pub(super) standing: Mutex<Standing>,
    /// Counts what was accepted, report by report. Changed under the lock, read without it.
    reports: AtomicU32,
    /// Whether the component waits in the registry's list of changed ones.
    pub(super) listed: AtomicBool,
    state: Mutex<ComponentState>,
}

/// What the lock of a [`Component`] protects.
#[derive(Debug, Default)]
pub struct ComponentState {
    pub(super) table: SeriesTable,
    pub(super) usage: Usage,
    open_group: Option<OpenGroup>,
    /// The component's own definition is in the log or in PostgreSQL.
    pub(super) announced: bool,
    /// The component left the registry; who holds it must look it up again.
    pub(super) evicted: bool,
    /// Idle series were let go, or never read; an unknown series may be one of them.
    pub(super) partial: bool,
    /// What PostgreSQL had of the component was read, its newest groups whole. Only then may they be
    /// gone on with: the log alone tells of some slots and not of others.
    stored_known: bool,
    /// No definition of this component stands in the log at or after this position.
    defined_until: LogPosition,
    metadata_changed_s: u32,
    generation: u32,
}

/// Where a sample of a series is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The group of the series.
    pub group: GroupId,
    /// The place in that group's rows.
    pub slot: Slot,
}

/// What [`super::Registry::intern`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interned {
    /// A known series: its entry and placement.
    Known(usize, Placement),
    /// A known series under a new type, help text or unit: log its definition again, then call
    /// [`super::Registry::change_metadata`].
    Redefined(usize, Placement),
    /// A series that got its place just now: log its definition before its first sample.
    New(usize, Placement),
    /// It may be one of the series that were let go: reload the component, then try again.
    MaybeStored,
    /// A new series that a budget has no room for.
    NoRoom(Budget),
}

/// What all components draw on.
#[derive(Debug)]
pub(super) struct Supply {
    pub(super) group_ids: GroupIds,
    pub(super) budgets: Budgets,
    pub(super) descriptors: Descriptors,
}

/// A point to which an undone report returns.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    series: usize,
    open_group: Option<OpenGroup>,
}

impl Component {
    pub(super) fn new(runtime_id: RuntimeId, key: ComponentKey) -> Self {
        Self {
            key,
            runtime_id: AtomicI64::new(runtime_id.get()),
            last_report_s: AtomicU32::new(0),
            beat_s: AtomicU32::new(0),
            standing: Mutex::default(),
            reports: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            state: Mutex::new(ComponentState::default()),
        }
    }

    /// The component's type and name.
    pub fn key(&self) -> &ComponentKey {
        &self.key
    }

    /// The component's id in `noetl.runtime`.
    pub fn runtime_id(&self) -> RuntimeId {
        RuntimeId::from_raw(self.runtime_id.load(Ordering::Relaxed))
    }

    pub(super) fn set_runtime_id(&self, id: RuntimeId) {
        self.runtime_id.store(id.get(), Ordering::Relaxed);
    }

    /// When the last report or heartbeat came, in seconds since the Unix epoch; 0 when none did.
    pub fn last_report_s(&self) -> u32 {
        self.last_report_s.load(Ordering::Relaxed)
    }

    /// Notes a report or heartbeat of now. A clock that was set back is believed: what it said
    /// before would otherwise stand until it is there again.
    pub fn touch(&self, now_s: u32) {
        self.last_report_s.store(now_s, Ordering::Relaxed);
    }

    /// Notes a report of the past.
    pub fn touch_past(&self, seen_s: u32) {
        self.last_report_s.fetch_max(seen_s, Ordering::Relaxed);
    }

    /// Notes a heartbeat that PostgreSQL has.
    pub(super) fn touch_stored(&self, seen_s: u32) {
        if self.last_report_s.fetch_max(seen_s, Ordering::Relaxed) < seen_s {
            self.beat_s.store(seen_s, Ordering::Relaxed);
        }
    }

    /// A number that is another one after each report. Who reads it, takes the lock and finds the
    /// same number there knows that the values are as they were.
    pub fn reports(&self) -> u32 {
        self.reports.load(Ordering::Acquire)
    }

    /// Counts a report whose samples were accepted; `_held` is proof of the lock, which makes the
    /// plain addition safe.
    #[inline]
    pub fn count_report(&self, _held: &mut ComponentState) {
        let next = self.reports.load(Ordering::Relaxed).wrapping_add(1);
        self.reports.store(next, Ordering::Release);
    }

    /// Locks the component's series. Reports of one component enter the log in the order in
    /// which they hold this lock.
    pub fn lock(&self) -> MutexGuard<'_, ComponentState> {
        self.state.lock()
    }
}

impl ComponentState {
    /// Whether the component left the registry while the caller held it.
    pub fn is_evicted(&self) -> bool {
        self.evicted
    }

    /// Whether the component's definition has been logged.
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// Whether the component, and with it its id, was read from PostgreSQL.
    pub fn is_stored_known(&self) -> bool {
        self.stored_known
    }

    /// Counts a sample that a budget had no room for.
    pub fn count_refused(&mut self) {
        self.usage.count_refused();
    }

    /// What the component is full of, if it has any series, for the sender of a sample of `metric`
    /// that is refused. It is looked up once in some seconds.
    pub fn explosion(&mut self, metric: &str, now_s: u32) -> Option<&Explosion> {
        self.usage.explosion(metric, &self.table, now_s)
    }

    /// How many series count against the component's budget: those that it has in memory, but for
    /// stored ones of which no sample has come since they were read.
    pub fn active_count(&self) -> usize {
        self.table.active()
    }

    /// Makes room for the series of the first report.
    pub fn reserve(&mut self, series: usize) {
        if self.table.len() == 0 {
            self.table.reserve(series);
        }
    }

    /// Gives back the room that was made for further series.
    pub fn fit(&mut self) {
        self.table.fit();
    }

    /// Has the entries from `first` on come from memory, together and while the caller does something
    /// else.
    #[inline]
    pub fn look_ahead(&self, first: usize) {
        self.table.look_ahead(first);
    }

    /// Finds or places the series of the `nth` sample of a report.
    #[inline]
    pub(super) fn intern(
        &mut self,
        nth: usize,
        definition: &[u8],
        identity_bytes: usize,
        supply: &Supply,
        now_s: u32,
    ) -> Interned {
        match self.table.find(nth, definition, identity_bytes) {
            Found::Same(at) => Interned::Known(at, self.placement(at)),
            Found::OtherMetadata(at)
                if now_s.saturating_sub(self.metadata_changed_s) < METADATA_INTERVAL_S =>
            {
                Interned::Known(at, self.placement(at))
            }
            Found::OtherMetadata(at) => Interned::Redefined(at, self.placement(at)),
            Found::Nothing if self.partial => Interned::MaybeStored,
            Found::Nothing => match self.place(definition, identity_bytes, supply, now_s) {
                Ok((at, placement)) => Interned::New(at, placement),
                Err(budget) => Interned::NoRoom(budget),
            },
        }
    }

    fn place(
        &mut self,
        definition: &[u8],
        identity_bytes: usize,
        supply: &Supply,
        now_s: u32,
    ) -> Result<(usize, Placement), Budget> {
        let Supply { group_ids, budgets, descriptors } = supply;
        budgets.take(self.table.active(), &self.usage, now_s)?;
        let placed =
            OpenGroup::take_slot(&mut self.open_group, group_ids).and_then(|(group, slot)| {
                let table = &mut self.table;
                let at = table.insert(definition, identity_bytes, group, slot, descriptors)?;
                Some((at, Placement { group, slot }))
            });
        if placed.is_some() {
            self.usage.count_new(now_s);
        } else {
            budgets.give_back(1, &self.usage);
        }
        placed.ok_or(Budget::All)
    }

    /// A point to return to when the report cannot be logged.
    pub fn mark(&self) -> Mark {
        Mark { series: self.table.len(), open_group: self.open_group }
    }

    pub(super) fn roll_back(&mut self, mark: Mark, budgets: &Budgets) {
        let series = self.table.len() - mark.series;
        budgets.give_back(series, &self.usage);
        self.usage.take_back_new(series);
        self.table.truncate(mark.series);
        self.open_group = mark.open_group;
    }

    /// Notes that the definitions of a report have been handed to the log, before `until`.
    pub fn definitions_logged(&mut self, until: LogPosition) {
        self.announced = true;
        self.defined_until = until;
    }

    /// Notes that the log holds definitions of series of this component before `until`. Its own
    /// may have been lost with what was given up of the log; then it is logged again.
    pub fn series_logged(&mut self, until: LogPosition) {
        self.defined_until = until;
    }

    /// Takes over the type, help text and unit of `definition`, whose identity is the entry's.
    pub(super) fn change_metadata(
        &mut self,
        entry: usize,
        definition: &[u8],
        identity_bytes: usize,
        descriptors: &Descriptors,
        now_s: u32,
    ) {
        self.table.change_metadata(entry, definition, identity_bytes, descriptors);
        self.metadata_changed_s = now_s;
        self.generation += 1;
    }

    /// Whether the sample is the last accepted one of its series again.
    #[inline]
    pub fn is_repeat(&self, entry: usize, timestamp: Timestamp, value: f64) -> bool {
        self.table.is_repeat(entry, timestamp, value)
    }

    /// Makes the sample the last accepted one of its series.
    #[inline]
    pub fn accept(&mut self, entry: usize, last: LastValue, seen_s: u32) {
        self.table.set_last(entry, last, seen_s);
    }

    /// How many series the component has in memory.
    pub fn series_count(&self) -> usize {
        self.table.len()
    }

    /// The series in the order of their entries.
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesView<'_>> {
        (0..self.table.len()).map(|at| self.table.view(at))
    }

    /// The series of an entry.
    pub fn view(&self, entry: usize) -> Option<SeriesView<'_>> {
        (entry < self.table.len()).then(|| self.table.view(entry))
    }

    /// Changes whenever the numbers or the definitions of present entries did.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Adds a series that stands in PostgreSQL or in the log already, or takes over its type,
    /// help text and unit. Returns its entry and whether it was added.
    pub(super) fn restore(
        &mut self,
        series: &StoredSeries,
        supply: &Supply,
        now_s: u32,
    ) -> Option<(usize, bool)> {
        let Supply { group_ids, descriptors, .. } = supply;
        if self.stored_known {
            OpenGroup::learn(&mut self.open_group, group_ids, series.group, series.slot);
        }
        let definition = &*series.definition;
        let identity_bytes = SeriesDefinition::parse(definition)?.identity_bytes();
        let known = self.table.get(&definition[..identity_bytes]);
        let at = match known {
            Some(at) if self.table.defines(at, definition) => at,
            Some(at) => {
                self.change_metadata(at, definition, identity_bytes, descriptors, now_s);
                at
            }
            None => {
                let StoredSeries { group, slot, .. } = *series;
                let table = &mut self.table;
                let at = table.insert(definition, identity_bytes, group, slot, descriptors)?;
                table.set_dormant(at);
                at
            }
        };
        self.table.touch(at, now_s);
        Some((at, known.is_none()))
    }

    /// Declares that what PostgreSQL has of the component is being read: what is restored from
    /// now on is all there is.
    pub(super) fn begin_restore(&mut self) {
        self.partial = false;
        self.announced = true;
        // What stands in the log alone is not among it: such a component goes on with groups
        // of this run only.
        self.stored_known |= self.table.len() == 0;
    }

    /// Treats what is unknown as new from now on, though it may be stored: a further slot for a
    /// series that has one costs a few bytes, waiting for PostgreSQL would cost the report.
    pub fn assume_complete(&mut self) {
        self.partial = false;
    }

    /// Lets series go that were last seen before `before_s`, if all that was logged of the
    /// component is in PostgreSQL. Returns how many went.
    pub(super) fn let_go(&mut self, before_s: u32, flushed: LogPosition) -> usize {
        if self.defined_until > flushed || self.series().all(|series| series.seen_s >= before_s) {
            return 0;
        }
        let gone = self.table.keep(|series| series.seen_s >= before_s);
        self.partial = true;
        self.generation += 1;
        gone
    }

    /// Whether the entry is of the series that `definition` is, metadata included.
    pub fn defines(&self, entry: usize, definition: &[u8]) -> bool {
        self.table.defines(entry, definition)
    }

    /// Where the samples of an entry are stored.
    #[inline]
    pub fn placement(&self, at: usize) -> Placement {
        let (group, slot) = self.table.placement(at);
        Placement { group, slot }
    }
}
