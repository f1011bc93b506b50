//! The names of lines, and which of them belong together.
//!
//! A histogram or summary is pushed as single series: `h_bucket`, `h_sum`, `h_count`. They form
//! one family `h` if nothing else lays claim to one of its names; otherwise each is a family of
//! its own, and untyped. The same goes for OpenMetrics' counters, which claim their name
//! without `_total`. So a name stands in one family, and no family's names meet another's, which
//! every parser insists on in its way.
//!
//! The type of a name is that of most of its series, so that one worker cannot change it.

use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::RandomState;

use super::cell::{FamilyKind, Suffix};
use crate::model::MetricType;

/// The suffix of an OpenMetrics counter.
pub(super) const TOTAL: &str = "_total";

/// All names on the page.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_text: HashMap<Box<str>, u32, RandomState>,
    slots: Vec<Option<Name>>,
    vacant: Vec<u32>,
    /// Names that histograms, summaries and counters have for themselves. A new one among them
    /// changes what belongs together.
    claimed: HashSet<Box<str>, RandomState>,
    /// Changes since the last assessment that may matter to it.
    unassessed: usize,
}

/// One name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) metric_type: MetricType,
    pub(super) role: Role,
    /// The family, once there is one.
    pub(super) family: Option<u32>,
    series_by_type: [u32; 4],
    /// How many of the series have a bucket's or quantile's label, by label.
    bounded: [u32; 2],
}

/// The part of a name in its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) kind: FamilyKind,
    pub(super) suffix: Suffix,
    /// Whether OpenMetrics may call it a counter.
    pub(super) counter: bool,
}

/// What is counted of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    pub(super) metric_type: MetricType,
    pub(super) has_bucket: bool,
    pub(super) has_quantile: bool,
}

impl Role {
    const PLAIN: Self = Self { kind: FamilyKind::Plain, suffix: Suffix::None, counter: false };
}

impl Name {
    /// The name of its family.
    pub(super) fn family_name(&self) -> &str {
        self.text.strip_suffix(self.role.suffix.as_str()).unwrap_or(&self.text)
    }

    fn series(&self) -> u32 {
        self.series_by_type.iter().sum()
    }

    fn of_type(&self, metric_type: MetricType) -> u32 {
        self.series_by_type[type_index(metric_type)]
    }
}

fn type_index(metric_type: MetricType) -> usize {
    usize::from(metric_type.code() - 1)
}

impl Names {
    pub(super) fn get(&self, id: u32) -> &Name {
        self.slots[id as usize].as_ref().expect("a name lives as long as its lines")
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Name {
        self.slots[id as usize].as_mut().expect("a name lives as long as its lines")
    }

    /// The name `text`, made now if it is new.
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.by_text.get(text) {
            return id;
        }
        let name = Name {
            text: text.into(),
            metric_type: MetricType::Gauge,
            role: Role::PLAIN,
            family: None,
            series_by_type: [0; 4],
            bounded: [0; 2],
        };
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[id as usize] = Some(name);
        self.by_text.insert(text.into(), id);
        self.unassessed += usize::from(self.claimed.contains(text));
        id
    }

    /// Counts one series more of a name. Says whether the name has another type now.
    pub(super) fn count(&mut self, id: u32, traits: Traits) -> bool {
        let name = self.slots[id as usize].as_mut().expect("interned just now");
        let (before, first) = (name.metric_type, name.series() == 0);
        name.series_by_type[type_index(traits.metric_type)] += 1;
        // Among equals the latest wins: a fleet that changes its mind does so one by one.
        if first || name.of_type(traits.metric_type) >= name.of_type(before) {
            name.metric_type = traits.metric_type;
        }
        let newly_bounded = name.note_bounds(traits, 1);
        let retyped = before != name.metric_type;
        let matters =
            newly_bounded || (retyped || first && traits.metric_type != MetricType::Gauge);
        self.unassessed += usize::from(matters);
        retyped
    }

    /// Counts one series less. Says whether the name has another type now; `None` when it went
    /// with its last series.
    pub(super) fn discount(&mut self, id: u32, traits: Traits) -> Option<bool> {
        let name = self.slots[id as usize].as_mut()?;
        name.series_by_type[type_index(traits.metric_type)] -= 1;
        if name.series() == 0 {
            self.unassessed += 1;
            self.by_text.remove(&*name.text);
            self.slots[id as usize] = None;
            self.vacant.push(id);
            return None;
        }
        let unbounded = name.note_bounds(traits, -1);
        let retyped = name.of_type(name.metric_type) == 0;
        if retyped {
            let types = [
                MetricType::Gauge,
                MetricType::Counter,
                MetricType::Histogram,
                MetricType::Summary,
            ];
            let most = types.into_iter().max_by_key(|one| name.of_type(*one));
            name.metric_type = most.unwrap_or(MetricType::Gauge);
        }
        self.unassessed += usize::from(unbounded || retyped);
        Some(retyped)
    }

    /// Whether names should be assessed before more lines are added: when much of what is
    /// known of them came since the last time.
    pub(super) fn is_overdue(&self) -> bool {
        self.unassessed > 0 && self.unassessed * 4 >= self.by_text.len()
    }

    /// Whether anything came since the last time that may matter.
    pub(super) fn is_unassessed(&self) -> bool {
        self.unassessed > 0
    }

    /// Decides what belongs together; answers with the names whose role changed.
    pub(super) fn assess(&mut self) -> Vec<(u32, Role)> {
        self.unassessed = 0;
        let mut roles: HashMap<u32, Role, RandomState> = HashMap::default();
        let mut claimed = HashSet::default();
        for (base, kind) in self.candidates() {
            if let Some(parts) = self.compound(base, kind, &claimed) {
                claimed.extend(claims(base, kind));
                for (id, suffix) in parts {
                    roles.insert(id, Role { kind, suffix, counter: false });
                }
            }
        }
        self.claimed = claimed;
        let taken = self.assess_counters(&mut roles);
        self.claimed.extend(taken);
        let mut changed = Vec::new();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let Some(name) = slot else { continue };
            let role = roles.get(&(at as u32)).copied().unwrap_or(Role::PLAIN);
            if name.role != role {
                changed.push((at as u32, name.role));
                name.role = role;
            }
        }
        changed
    }

    /// The families that names hint at, in the order of their names.
    fn candidates(&self) -> BTreeMap<&str, FamilyKind> {
        let mut candidates = BTreeMap::new();
        for name in self.slots.iter().flatten() {
            let text = &*name.text;
            match name.metric_type {
                MetricType::Histogram if name.bounded[0] > 0 => {
                    if let Some(base) = text.strip_suffix("_bucket") {
                        candidates.insert(base, FamilyKind::Histogram);
                    }
                }
                MetricType::Summary if name.bounded[1] > 0 => {
                    candidates.insert(text, FamilyKind::Summary);
                }
                MetricType::Summary => {
                    if let Some(base) = text.strip_suffix("_count") {
                        candidates.entry(base).or_insert(FamilyKind::Summary);
                    }
                }
                _ => {}
            }
        }
        candidates.remove("");
        candidates
    }

    /// The names of a family, if they are its own.
    fn compound(
        &self,
        base: &str,
        kind: FamilyKind,
        claimed: &HashSet<Box<str>, RandomState>,
    ) -> Option<Vec<(u32, Suffix)>> {
        let own: &[(Suffix, MetricType)] = match kind {
            FamilyKind::Histogram => &[
                (Suffix::Bucket, MetricType::Histogram),
                (Suffix::Sum, MetricType::Histogram),
                (Suffix::Count, MetricType::Histogram),
            ],
            FamilyKind::Summary | FamilyKind::Plain => &[
                (Suffix::None, MetricType::Summary),
                (Suffix::Sum, MetricType::Summary),
                (Suffix::Count, MetricType::Summary),
            ],
        };
        let mut parts = Vec::with_capacity(3);
        for claim in claims(base, kind) {
            if claimed.contains(&claim) {
                return None;
            }
            let Some(&id) = self.by_text.get(&claim) else { continue };
            let metric_type = self.get(id).metric_type;
            let (suffix, _) = own.iter().find(|(suffix, wanted)| {
                // A sum or count is sometimes pushed as the counter that it is.
                let counts = matches!(suffix, Suffix::Sum | Suffix::Count);
                claim.strip_prefix(base) == Some(suffix.as_str())
                    && (metric_type == *wanted || counts && metric_type == MetricType::Counter)
            })?;
            parts.push((id, *suffix));
        }
        Some(parts)
    }

    /// Which counters keep the names that they claim; answers with those.
    fn assess_counters(
        &self,
        roles: &mut HashMap<u32, Role, RandomState>,
    ) -> HashSet<Box<str>, RandomState> {
        let mut counters: Vec<_> = self
            .by_text
            .iter()
            .filter(|(_, id)| self.get(**id).metric_type == MetricType::Counter)
            .filter_map(|(text, id)| Some((text.strip_suffix(TOTAL)?, *id)))
            .filter(|(base, id)| !base.is_empty() && !roles.contains_key(id))
            .collect();
        counters.sort_unstable();
        let mut taken = HashSet::default();
        for (base, id) in counters {
            let claims: [Box<str>; 2] = [base.into(), format!("{base}_created").into()];
            let is_free = claims.iter().all(|claim| {
                !self.by_text.contains_key(claim)
                    && !self.claimed.contains(claim)
                    && !taken.contains(claim)
            });
            if is_free {
                taken.extend(claims);
                roles.insert(id, Role { counter: true, ..Role::PLAIN });
            }
        }
        taken
    }

    /// Bytes of memory, roughly.
    pub(super) fn memory_bytes(&self) -> usize {
        let texts: usize = self.slots.iter().flatten().map(|name| 2 * name.text.len() + 32).sum();
        texts + self.slots.capacity() * size_of::<Option<Name>>() + self.by_text.capacity() * 32
    }
}

impl Name {
    /// Whether the name went from no bound to some or back.
    fn note_bounds(&mut self, traits: Traits, by: i32) -> bool {
        let mut changed = false;
        for (count, has) in self.bounded.iter_mut().zip([traits.has_bucket, traits.has_quantile]) {
            if has {
                let before = *count;
                *count = count.saturating_add_signed(by);
                changed |= (before == 0) != (*count == 0);
            }
        }
        changed
    }
}

/// The names that a family of that kind has for itself, in either format.
fn claims(base: &str, kind: FamilyKind) -> Vec<Box<str>> {
    let mut suffixes = vec!["", "_sum", "_count", "_created"];
    if kind == FamilyKind::Histogram {
        suffixes.push("_bucket");
    }
    suffixes.into_iter().map(|suffix| format!("{base}{suffix}").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use MetricType::{Counter, Gauge, Histogram, Summary};

    /// The families of these names: `name` where it is alone, `base+part…` where it is not, with
    /// `!` behind OpenMetrics' counters.
    fn families(pushed: &[(&str, MetricType)]) -> String {
        let mut names = Names::default();
        for (text, metric_type) in pushed {
            let id = names.intern(text);
            let has_bucket = text.ends_with("_bucket");
            let has_quantile =
                *metric_type == Summary && !text.ends_with("_sum") && !text.ends_with("_count");
            names.count(id, Traits { metric_type: *metric_type, has_bucket, has_quantile });
        }
        names.assess();
        assert!(names.assess().is_empty(), "a second look changes nothing");
        let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut ordered: Vec<_> = names.slots.iter().flatten().collect();
        ordered.sort_unstable_by_key(|name| &name.text);
        for name in ordered {
            let part = match name.role {
                Role { counter: true, .. } => "!",
                Role { kind: FamilyKind::Plain, .. } => "",
                Role { suffix: Suffix::None, .. } => "+",
                Role { suffix: Suffix::Bucket, .. } => "+bucket",
                Role { suffix: Suffix::Sum, .. } => "+sum",
                Role { suffix: Suffix::Count, .. } => "+count",
            };
            families.entry(name.family_name()).or_default().push(part);
        }
        let shown = families.iter().map(|(name, parts)| format!("{name}{}", parts.concat()));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parts_form_a_family_unless_a_name_is_somebody_elses() {
        let check = |pushed: &[(&str, MetricType)], expected| {
            assert_eq!(families(pushed), expected, "{pushed:?}");
        };
        let bucket = ("h_bucket", Histogram);
        check(&[("a", Gauge), ("b_total", Counter), ("c", Counter)], "a b_total! c");
        check(&[bucket, ("h_sum", Histogram), ("h_count", Histogram)], "h+bucket+count+sum");
        check(&[bucket, ("h_sum", Counter), ("h_count", Counter)], "h+bucket+count+sum");
        check(&[bucket], "h+bucket");
        check(&[("h_sum", Histogram), ("h_count", Histogram)], "h_count h_sum");
        check(&[bucket, ("h_sum", Gauge)], "h_bucket h_sum");
        check(&[bucket, ("h", Gauge)], "h h_bucket");
        check(&[bucket, ("h_created", Gauge)], "h_bucket h_created");
        check(&[("s", Summary), ("s_sum", Summary), ("s_count", Summary)], "s++count+sum");
        check(&[("s_sum", Summary), ("s_count", Summary)], "s+count+sum");
        check(&[("s", Gauge), ("s_sum", Summary), ("s_count", Summary)], "s s_count s_sum");
        check(&[("h_count_bucket", Histogram), bucket], "h+bucket h_count_bucket");
        check(&[("_bucket", Histogram), ("_total", Counter)], "_bucket _total");
    }

    #[test]
    fn a_counter_keeps_its_name_whole_where_the_shorter_one_is_taken() {
        let check = |pushed: &[(&str, MetricType)], expected| {
            assert_eq!(families(pushed), expected, "{pushed:?}");
        };
        check(&[("a_total", Counter), ("a", Gauge)], "a a_total");
        check(&[("a_total", Counter), ("a_created", Gauge)], "a_created a_total");
        check(&[("a_total", Counter), ("a_total_total", Counter)], "a_total! a_total_total");
        check(&[("h_bucket", Histogram), ("h_total", Counter)], "h+bucket h_total");
        check(&[("a_total", Gauge)], "a_total");
    }

    #[test]
    fn the_type_of_most_series_holds() {
        let mut names = Names::default();
        let id = names.intern("m");
        let traits = |metric_type| Traits { metric_type, has_bucket: false, has_quantile: false };
        for (metric_type, expected) in [
            (Counter, Counter),
            (Counter, Counter),
            (Gauge, Counter),
            (Gauge, Gauge),
            (Counter, Counter),
        ] {
            names.count(id, traits(metric_type));
            assert_eq!(names.get(id).metric_type, expected);
        }
        for retyped in [false, false, true] {
            assert_eq!(names.discount(id, traits(Counter)), Some(retyped));
        }
        assert_eq!(names.get(id).metric_type, Gauge);
        assert_eq!(names.discount(id, traits(Gauge)), Some(false));
        assert_eq!(names.discount(id, traits(Gauge)), None, "the last takes the name with it");
        assert!(names.by_text.is_empty());
    }
}
