//! What is told about a sample whose series is new and fits into no budget.

use crate::model::{RejectKind, SeriesDefinition};
use crate::protocol::Quoted;
use crate::registry::{Budget, ComponentState, RegistrySettings};

/// What such a reject counts as.
pub(super) fn kind(budget: Budget) -> RejectKind {
    match budget {
        Budget::Component => RejectKind::ComponentSeriesLimit,
        Budget::ComponentPace => RejectKind::ComponentNewSeriesLimit,
        Budget::All => RejectKind::SeriesLimit,
        Budget::AllPace => RejectKind::NewSeriesLimit,
    }
}

/// Says which budget it is, by which metric and label the component uses it
/// up, and what helps.
pub(super) fn explain(
    budget: Budget,
    settings: &RegistrySettings,
    state: &mut ComponentState,
    definition: &[u8],
    now_s: u32,
) -> String {
    let metric = SeriesDefinition::parse(definition).map_or("", |series| series.name());
    let active = state.active_count();
    let explosion = state.explosion(metric, now_s);
    let pace = |per_minute: Option<u32>| per_minute.unwrap_or(u32::MAX);
    let (bound, setting) = match budget {
        Budget::Component => (
            format!(
                "its component has {active} active ones, where {} may be",
                settings.component_series_max
            ),
            "component-series-max",
        ),
        Budget::ComponentPace => (
            format!(
                "its component has had too many new ones lately, where {} a minute may come",
                pace(settings.component_new_series_per_minute_max)
            ),
            "component-new-series-per-minute-max",
        ),
        Budget::All => {
            (format!("the server holds its limit of {} series", settings.series_max), "series-max")
        }
        Budget::AllPace => (
            format!(
                "all components together have had too many new ones lately, where {} a minute may \
                 come",
                pace(settings.new_series_per_minute_max)
            ),
            "new-series-per-minute-max",
        ),
    };
    let metric = Quoted(metric);
    let Some(explosion) = explosion else {
        return format!(
            "a new series of {metric}, and {bound}; report fewer label values, or raise {setting}"
        );
    };
    let (of, series) = (Quoted(explosion.metric()), explosion.series());
    let at_least = if explosion.is_cut() { "at least " } else { "" };
    match explosion.label() {
        Some((label, values)) => format!(
            "a new series of {metric}, and {bound}; {at_least}{series} of the component's are of \
             {of}, with {values} values of the label {}: report fewer of them, or raise {setting}",
            Quoted(label)
        ),
        None => format!(
            "a new series of {metric}, and {bound}; no label of the component's has more than one \
             value: report fewer metrics, or raise {setting}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::series::gauge;
    use crate::model::{ComponentKey, NodeNumber};
    use crate::registry::{GroupIds, Interned, Registry};

    #[test]
    fn each_budget_is_told_with_the_label_that_uses_it_up_and_its_setting() {
        let settings = RegistrySettings {
            component_series_max: 20,
            new_series_per_minute_max: Some(12),
            component_new_series_per_minute_max: Some(6),
            ..RegistrySettings::new(30, 10)
        };
        let registry = Registry::new(settings, GroupIds::new(NodeNumber::new(1).unwrap(), 0..10));
        let told = |name: &str, series: usize, labelled: bool, budget: Budget| {
            let component = registry.find_or_insert(ComponentKey::new("t", name).unwrap());
            let mut state = component.lock();
            for n in 0..series {
                let (name, value) = (format!("m{n}"), format!("v{n}"));
                let (bytes, identity) = if labelled {
                    gauge("m", &[("id", &value), ("zone", "a")], "", "")
                } else {
                    gauge(&name, &[], "", "")
                };
                let found = registry.intern(&mut state, n, &bytes, identity, 0);
                assert!(matches!(found, Interned::New(..)), "{found:?}");
            }
            explain(budget, &settings, &mut state, &gauge("x\n", &[], "", "").0, 0)
        };
        let check = |text: String, want: &str| assert_eq!(text, want);
        check(
            told("empty", 0, true, Budget::All),
            "a new series of 'x\\n', and the server holds its limit of 30 series; report fewer \
             label values, or raise series-max",
        );
        check(
            told("labelled", 5, true, Budget::ComponentPace),
            "a new series of 'x\\n', and its component has had too many new ones lately, where 6 a \
             minute may come; 5 of the component's are of 'm', with 5 values of the label 'id': \
             report fewer of them, or raise component-new-series-per-minute-max",
        );
        check(
            told("named", 3, false, Budget::Component),
            "a new series of 'x\\n', and its component has 3 active ones, where 20 may be; no label \
             of the component's has more than one value: report fewer metrics, or raise \
             component-series-max",
        );
        check(
            told("other", 2, true, Budget::AllPace),
            "a new series of 'x\\n', and all components together have had too many new ones lately, \
             where 12 a minute may come; 2 of the component's are of 'm', with 2 values of the \
             label 'id': report fewer of them, or raise new-series-per-minute-max",
        );
    }
}
