//! How many series there may be, of one component and of all, and how fast new ones may come.
//!
//! Either bound has two sides: a number of series, and a pace at which new ones come. The pace has
//! the number as its burst, so that a component (or a fleet) fills its budget at once when it is
//! new, or when it is changed altogether, and only what goes on to replace its series is slowed
//! down. Series that are known need nothing of this.

mod explosion;
mod usage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::directory::RegistrySettings;
use crate::model::{Meter, Pace};
pub use explosion::Explosion;
pub(super) use usage::Usage;

/// Which budget a new series does not fit in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// The active series of its component.
    Component,
    /// The new series of its component in a minute.
    ComponentPace,
    /// The series in memory, or the ids for their groups.
    All,
    /// The new series of all components in a minute.
    AllPace,
}

/// The budgets, shared by all components.
#[derive(Debug)]
pub(super) struct Budgets {
    settings: RegistrySettings,
    /// Series in memory.
    used: AtomicUsize,
    component_pace: Pace,
    all_pace: Pace,
    all: Meter,
}

impl Budgets {
    pub(super) fn new(settings: RegistrySettings) -> Self {
        let pace = |per_minute: Option<u32>, series: usize| {
            let of = |count: u32| Pace::new(count.into(), Duration::from_secs(60), series as u64);
            per_minute.map_or(Pace::ENDLESS, of)
        };
        let component_pace =
            pace(settings.component_new_series_per_minute_max, settings.component_series_max);
        let all_pace = pace(settings.new_series_per_minute_max, settings.series_max);
        let (used, all) = (AtomicUsize::new(0), Meter::default());
        Self { settings, used, component_pace, all_pace, all }
    }

    /// What was set.
    pub(super) fn settings(&self) -> &RegistrySettings {
        &self.settings
    }

    /// How many series are in memory.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes that so many came without being asked: they are stored already.
    pub(super) fn add_stored(&self, series: usize) {
        self.used.fetch_add(series, Ordering::Relaxed);
    }

    /// Notes that so many left the memory.
    pub(super) fn release(&self, series: usize) {
        self.used.fetch_sub(series, Ordering::Relaxed);
    }

    /// Whether a new series of any component would come too soon.
    pub(super) fn is_overrun(&self, now_s: u32) -> bool {
        !self.all.has_room(1, self.all_pace, nanoseconds(now_s))
    }

    /// Makes room for a new series of a component that has `active` ones.
    pub(super) fn take(&self, active: usize, usage: &Usage, now_s: u32) -> Result<(), Budget> {
        let now_ns = nanoseconds(now_s);
        if active >= self.settings.component_series_max {
            return Err(Budget::Component);
        }
        if !usage.meter.take(1, self.component_pace, now_ns) {
            return Err(Budget::ComponentPace);
        }
        let refused = if self.used.fetch_add(1, Ordering::Relaxed) >= self.settings.series_max {
            Budget::All
        } else if !self.all.take(1, self.all_pace, now_ns) {
            Budget::AllPace
        } else {
            return Ok(());
        };
        self.release(1);
        usage.meter.give_back(1, self.component_pace);
        Err(refused)
    }

    /// Takes back what was made for so many new series of a component.
    pub(super) fn give_back(&self, series: usize, usage: &Usage) {
        self.release(series);
        self.all.give_back(series as u64, self.all_pace);
        usage.meter.give_back(series as u64, self.component_pace);
    }
}

fn nanoseconds(now_s: u32) -> u64 {
    u64::from(now_s) * 1_000_000_000
}

#[cfg(test)]
mod tests;
