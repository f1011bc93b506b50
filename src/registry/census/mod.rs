//! What the memory is full of: the components with the most series, the metrics, and the labels with
//! the most values.
//!
//! Made by looking at every series once, some hundred of a component at a time, so that its reports
//! never wait for long. Numbers are those of a moment each, not all of the same one.

mod distinct;
mod tally;

use std::sync::Arc;

use super::component::Component;
use super::directory::Registry;
use crate::model::{ComponentKey, RuntimeId};
use tally::Tally;

/// Series that are looked at while a component is locked.
const AT_ONCE: usize = 512;

/// What a look at everything found.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Series in memory.
    pub series: usize,
    /// Components in memory.
    pub components: usize,
    /// Components that have their limit of series.
    pub components_at_limit: usize,
    /// New series in the last minute.
    pub new_series: u64,
    /// The components with the most active series.
    pub largest_components: Vec<LargeComponent>,
    /// The metrics with the most series over all components.
    pub largest_metrics: Vec<CrowdedMetric>,
    /// The labels, each of a metric, with the most values over all components.
    pub largest_labels: Vec<CrowdedLabel>,
    /// Whether there are so many metrics or labels that some had to be forgotten on the way. Those
    /// with the most are told still, but their numbers may be too low.
    pub forgot: bool,
}

/// A component and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargeComponent {
    /// Its type and name.
    pub key: ComponentKey,
    /// Its id.
    pub runtime_id: RuntimeId,
    /// Its series in memory.
    pub series: usize,
    /// Those that count against its budget.
    pub active_series: usize,
    /// New series in the last minute.
    pub new_series: u32,
    /// Samples that were rejected for a budget since it came into memory.
    pub refused: u64,
}

/// A metric and its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdedMetric {
    /// Its name.
    pub metric: Box<str>,
    /// Series of all components.
    pub series: u64,
}

/// A label and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdedLabel {
    /// The name of the metric.
    pub metric: Box<str>,
    /// The name of the label.
    pub label: Box<str>,
    /// Its values: exact up to 256, some 2 % off beyond.
    pub values: u64,
}

impl Registry {
    /// Looks at everything and tells the `most` largest of each kind. Takes a fraction of a second
    /// for a million series.
    pub fn census(&self, most: usize, now_s: u32) -> Census {
        let mut tally = Tally::default();
        let mut census = Census { components: self.component_count(), ..Census::default() };
        let mut sizes = Vec::with_capacity(census.components);
        for component in self.all() {
            let series = look_at(&component, &mut tally);
            let state = component.lock();
            let active = state.active_count();
            census.series += series;
            census.new_series += u64::from(state.usage.new_lately(now_s));
            let at_limit = active >= self.settings().component_series_max;
            census.components_at_limit += usize::from(at_limit);
            drop(state);
            if series > 0 {
                sizes.push((active, series, component));
            }
        }
        type Size = (usize, usize, Arc<Component>);
        let order = |one: &Size, other: &Size| {
            (other.0, other.1, one.2.key()).cmp(&(one.0, one.1, other.2.key()))
        };
        if sizes.len() > most {
            sizes.select_nth_unstable_by(most, order);
            sizes.truncate(most);
        }
        sizes.sort_unstable_by(order);
        census.largest_components =
            sizes.iter().map(|(_, _, component)| LargeComponent::of(component, now_s)).collect();
        census.largest_metrics = tally
            .metrics(most)
            .into_iter()
            .map(|(one, series)| CrowdedMetric { metric: one.metric().into(), series })
            .collect();
        census.largest_labels = tally
            .labels(most)
            .into_iter()
            .map(|(one, values)| CrowdedLabel {
                metric: one.metric().into(),
                label: one.label().into(),
                values,
            })
            .collect();
        census.forgot = tally.forgot();
        census
    }
}

/// Counts the component's series and returns how many there are.
fn look_at(component: &Component, tally: &mut Tally) -> usize {
    let mut next = 0;
    loop {
        let state = component.lock();
        let end = state.table.len().min(next + AT_ONCE);
        for at in next..end {
            let (descriptor, values) = state.table.parts(at);
            tally.count(descriptor, values);
        }
        if end <= next || end == state.table.len() {
            return end;
        }
        next = end;
    }
}

impl LargeComponent {
    fn of(component: &Component, now_s: u32) -> Self {
        let state = component.lock();
        Self {
            key: component.key().clone(),
            runtime_id: component.runtime_id(),
            series: state.series_count(),
            active_series: state.active_count(),
            new_series: state.usage.new_lately(now_s),
            refused: state.usage.refused(),
        }
    }
}

#[cfg(test)]
mod tests;
