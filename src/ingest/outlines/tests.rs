//! What is remembered of reports, and in how much memory.

use super::*;
use crate::model::{ComponentKey, NodeNumber, Timestamp};
use crate::protocol::{DecodeSettings, ReportDecoder};
use crate::registry::{GroupIds, Registry, RegistrySettings};

const NOW_S: u32 = 1_704_110_400;

struct Bench {
    outlines: Outlines,
    registry: Registry,
}

impl Bench {
    fn new(bytes_max: usize) -> Self {
        let settings = RegistrySettings::new(10, 10);
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..100);
        let registry = Registry::new(settings, ids);
        Self { outlines: Outlines::with_bytes_max(bytes_max), registry }
    }

    fn learn(&self, document: &str, entries: &[u32], now_s: u32) {
        let now = Timestamp::from_micros(i64::from(now_s) * 1_000_000).unwrap();
        let mut decoder = ReportDecoder::default();
        let mut body = document.as_bytes().to_vec();
        let settings = DecodeSettings::default();
        let decoded = decoder.decode(&mut body, now, &settings).unwrap();
        let samples = &decoded.batch.samples;
        let outline = Outline::learn(document.as_bytes(), samples, now, &settings).unwrap();
        let component = self.registry.find_or_insert(ComponentKey::new("t", "w").unwrap());
        self.outlines.learn(document.as_bytes(), Known::new(outline, component, entries, 0, now_s));
    }

    fn guesses(&self, document: &str) -> usize {
        (0..).take_while(|nth| self.outlines.guess(document.as_bytes(), *nth).is_some()).count()
    }

    fn bytes(&self) -> usize {
        self.outlines.bytes.load(Ordering::Relaxed)
    }
}

fn document(worker: &str, metric: &str) -> String {
    format!(
        r#"{{"component_name":"{worker}","metrics":[{{"metric_name":"{metric}","metric_type":"gauge","metric_value":1,"labels":{{"component":"{worker}"}}}}]}}"#
    )
}

#[test]
fn workers_of_one_kind_share_what_they_have_in_common() {
    let bench = Bench::new(BYTES_MAX);
    bench.learn(&document("w-1", "a"), &[0], NOW_S);
    let one = bench.bytes();
    bench.learn(&document("w-2", "a"), &[0], NOW_S);
    let two = bench.bytes();
    bench.learn(&document("w-3", "a"), &[0], NOW_S);
    assert_eq!(bench.bytes() - two, two - one);
    assert!(2 * (two - one) < one, "{one} bytes for the first, {} for the second", two - one);
    assert_eq!(bench.outlines.forms.lock().len(), 1);
    bench.learn(&document("w-3", "b"), &[1], NOW_S);
    assert_eq!(bench.outlines.forms.lock().len(), 2);
    assert_eq!(bench.guesses(&document("w-3", "c")), 2);
}

#[test]
fn what_is_idle_is_forgotten_with_its_form_and_gives_its_memory_back() {
    let bench = Bench::new(BYTES_MAX);
    bench.learn(&document("w-1", "a"), &[0], NOW_S);
    bench.learn(&document("w-1", "b"), &[1], NOW_S + 10);
    bench.outlines.forget_idle(NOW_S + 10);
    assert_eq!(bench.guesses(&document("w-1", "a")), 1);
    assert_eq!(bench.outlines.forms.lock().len(), 1);
    let known = bench.outlines.guess(document("w-1", "b").as_bytes(), 0).unwrap();
    assert_eq!(bench.bytes(), known.bytes() + known.outline.form().bytes());
    drop(known);
    bench.outlines.forget_idle(NOW_S + 11);
    assert_eq!((bench.guesses(&document("w-1", "b")), bench.bytes()), (0, 0));
}

#[test]
fn no_more_is_remembered_than_there_is_room_for() {
    let bench = Bench::new(BYTES_MAX);
    bench.learn(&document("w-1", "a"), &[0], NOW_S);
    let (one, form) = {
        let known = bench.outlines.guess(document("w-1", "a").as_bytes(), 0).unwrap();
        (known.bytes(), known.outline.form().bytes())
    };
    let bench = Bench::new(2 * one + form);
    for worker in ["w-1", "w-2", "w-3"] {
        bench.learn(&document(worker, "a"), &[0], NOW_S);
    }
    let known = ["w-1", "w-2", "w-3"].map(|worker| bench.guesses(&document(worker, "a")));
    assert_eq!((known, bench.bytes()), ([1, 1, 0], 2 * one + form));
    let bench = Bench::new(one);
    bench.learn(&document("w-1", "a"), &[0], NOW_S);
    assert_eq!((bench.guesses(&document("w-1", "a")), bench.bytes()), (0, 0));
}

#[test]
fn entries_are_listed_only_where_they_do_not_follow_each_other() {
    for entries in [&[3][..], &[3, 4, 5], &[3, 5], &[5, 4], &[3, 3]] {
        let known = KnownEntries::new(entries);
        let read: Vec<_> = (0..entries.len()).map(|nth| known.get(nth) as u32).collect();
        assert_eq!(read, entries);
        let consecutive = entries.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert_eq!(known.bytes() == 0, consecutive, "{entries:?}");
    }
}
