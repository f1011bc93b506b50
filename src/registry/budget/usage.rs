//! What a component has used of its budgets, and what it was refused.

use super::explosion::{self, Explosion};
use crate::model::Meter;
use crate::registry::series_table::SeriesTable;

/// The time for which it is known what a component is full of, and in which new series are counted.
const LOOK_AGAIN_S: u32 = 10;
const MINUTE_S: u32 = 60;

/// Kept by each component.
#[derive(Debug, Default)]
pub(in crate::registry) struct Usage {
    /// Its new series.
    pub(super) meter: Meter,
    lately: Lately,
    refused: u64,
    /// Most components are never refused anything.
    full_of: Option<Box<FullOf>>,
}

/// New series in this minute and in the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    minute: u32,
    current: u32,
    before: u32,
}

/// What a component is full of, by number of series, as of `looked_s`.
#[derive(Debug)]
struct FullOf {
    explosions: Vec<Explosion>,
    looked_s: u32,
}

impl Usage {
    /// Counts a new series.
    pub(in crate::registry) fn count_new(&mut self, now_s: u32) {
        self.lately = self.lately.at(now_s);
        self.lately.current += 1;
    }

    /// Takes back the last `series` that were counted.
    pub(in crate::registry) fn take_back_new(&mut self, series: usize) {
        let series = u32::try_from(series).unwrap_or(u32::MAX);
        self.lately.current = self.lately.current.saturating_sub(series);
    }

    /// New series in the last minute: those of this one, and of the one before its share.
    pub(in crate::registry) fn new_lately(&self, now_s: u32) -> u32 {
        let Lately { current, before, .. } = self.lately.at(now_s);
        let left = u64::from(before) * u64::from(MINUTE_S - now_s % MINUTE_S) / u64::from(MINUTE_S);
        current + u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Counts a sample that was refused for a budget.
    pub(in crate::registry) fn count_refused(&mut self) {
        self.refused += 1;
    }

    /// How many were.
    pub(in crate::registry) fn refused(&self) -> u64 {
        self.refused
    }

    /// What the budget is used up by: `metric` where it has a good share of the series, else the one
    /// that has the most. The table is looked through once in some seconds, however many ask.
    pub(in crate::registry) fn explosion(
        &mut self,
        metric: &str,
        table: &SeriesTable,
        now_s: u32,
    ) -> Option<&Explosion> {
        let look = || FullOf { explosions: explosion::find(table), looked_s: now_s };
        let full_of = self.full_of.get_or_insert_with(|| Box::new(look()));
        if now_s.abs_diff(full_of.looked_s) >= LOOK_AGAIN_S {
            **full_of = look();
        }
        let first = full_of.explosions.first()?;
        let own = full_of.explosions.iter().find(|one| one.metric() == metric);
        Some(own.filter(|own| own.series() >= first.series() / 10).unwrap_or(first))
    }
}

impl Lately {
    fn at(self, now_s: u32) -> Self {
        let minute = now_s / MINUTE_S;
        match minute.checked_sub(self.minute) {
            Some(0) => self,
            Some(1) => Self { minute, current: 0, before: self.current },
            _ => Self { minute, current: 0, before: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_series_of_the_last_minute_are_counted() {
        let mut usage = Usage::default();
        let check =
            |usage: &Usage, now_s, want| assert_eq!(usage.new_lately(now_s), want, "{now_s}");
        check(&usage, 600, 0);
        (0..30).for_each(|_| usage.count_new(600));
        check(&usage, 600, 30);
        check(&usage, 659, 30);
        check(&usage, 660, 30);
        check(&usage, 690, 15);
        (0..5).for_each(|_| usage.count_new(690));
        check(&usage, 690, 20);
        check(&usage, 719, 5);
        check(&usage, 780, 0);
        check(&usage, 100, 0);
    }
}
