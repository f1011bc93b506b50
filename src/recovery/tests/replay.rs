//! What the log brings back.

use super::*;
use crate::log::entry::payload::Payload;
use crate::model::{LogPosition, PartitionInterval};
use crate::recovery::{Replay, Replayed};
use crate::registry::{BodyDigest, KeyDigest, KeyMemory, KeyState, PartitionWindow};

const DAY: i64 = PartitionInterval::Day.micros();

struct Memory {
    registry: Arc<Registry>,
    keys: KeyMemory,
    window: PartitionWindow,
}

impl Memory {
    fn new() -> Self {
        Self {
            registry: registry(),
            keys: KeyMemory::default(),
            window: PartitionWindow::new(PartitionInterval::Day, 2),
        }
    }

    /// Replays the payloads one after the other, from position 0 on.
    fn replay(&self, payloads: &[Payload]) -> Replayed {
        let mut replay = Replay::new(&self.registry, &self.keys, &self.window, now());
        let mut position = 0;
        for payload in payloads {
            replay.record(&payload.at(position));
            position += u64::from(payload.rows.max(1));
        }
        replay.finish()
    }

    fn component(&self) -> Arc<Component> {
        self.registry.find(Some("worker_pool"), "w").unwrap()
    }

    /// The last value of each series, in the order of their entries.
    fn last(&self) -> Vec<Option<(i64, f64)>> {
        let component = self.component();
        let state = component.lock();
        let last = state.series().map(|series| series.newest);
        last.map(|one| one.map(|last| (last.timestamp.micros() - NOON, last.value))).collect()
    }
}

#[test]
fn definitions_and_last_values_come_back() {
    let memory = Memory::new();
    let replayed = memory.replay(&[
        Payload::default()
            .component("w")
            .series("w", group(5), 0, "a")
            .series("w", group(5), 1, "b")
            .row(group(5), NOON - 60_000_000, &[1.0, 2.0]),
        Payload::default().row(group(5), NOON - 30_000_000, &[3.0]),
        Payload::default().row(group(77), NOON, &[9.0]),
    ]);
    assert_eq!(replayed, Replayed { records: 3, samples: 4, unreadable: 0 });
    assert_eq!(memory.last(), [Some((-30_000_000, 3.0)), Some((-60_000_000, 2.0))]);
    let component = memory.component();
    assert!(component.lock().is_announced());
    assert_eq!(component.last_report_s(), now().seconds() - 30);
    assert_eq!(memory.registry.series_count(), 2);
}

#[test]
fn values_reach_series_that_only_postgres_defines() {
    let memory = Memory::new();
    memory.registry.restore(&stored(&[(5, 0, "a"), (5, 1, "b")]), now().seconds());
    memory.replay(&[Payload::default().row(group(5), NOON, &[1.0, 2.0])]);
    assert_eq!(memory.last(), [Some((0, 1.0)), Some((0, 2.0))]);
}

#[test]
fn values_reach_series_that_stand_in_several_groups() {
    let memory = Memory::new();
    memory.registry.restore(&stored(&[(5, 0, "a"), (6, 0, "b"), (6, 1, "a")]), now().seconds());
    memory.replay(&[
        Payload::default().row(group(5), NOON, &[1.0]),
        Payload::default().row(group(6), NOON + 1, &[2.0, 3.0]),
    ]);
    assert_eq!(memory.last(), [Some((1, 3.0)), Some((1, 2.0))]);
    assert!(memory.registry.take_further_places().is_empty(), "they are wanted once");
}

#[test]
fn a_group_goes_on_only_when_all_of_it_is_known() {
    let check = |in_postgres: Option<&[(u64, u8, &str)]>, logged: &[(u64, u8)], expected| {
        let memory = Memory::new();
        if let Some(series) = in_postgres {
            memory.registry.restore(&stored(series), now().seconds());
        }
        let payloads = logged.iter().map(|(counter, slot)| {
            Payload::default().component("w").series("w", group(*counter), *slot, &slot.to_string())
        });
        memory.replay(&payloads.collect::<Vec<_>>());
        let placed = place_of_new(&memory.registry, &memory.component());
        assert_eq!(placed, expected, "{in_postgres:?} {logged:?}");
    };
    let fresh = (FRESH_GROUPS.start, 0);
    // The log alone may lack slots of segments that are gone.
    check(None, &[(5, 0), (5, 1)], fresh);
    check(None, &[(5, 3)], fresh);
    // PostgreSQL has all below the flushed position, and the log what is above.
    check(Some(&[(5, 0, "0"), (5, 1, "1")]), &[], (5, 2));
    check(Some(&[(5, 0, "0"), (5, 1, "1")]), &[(5, 1), (5, 2)], (5, 3));
    check(Some(&[]), &[(5, 0)], (5, 1));
    check(Some(&[(5, 0, "0")]), &[(6, 0)], (6, 1));
    // A slot that neither has may have been taken.
    check(Some(&[(5, 0, "0")]), &[(5, 2)], fresh);
}

#[test]
fn what_postgres_has_is_not_all_of_what_the_log_has_defined() {
    let memory = Memory::new();
    memory.replay(&[Payload::default().component("w").series("w", group(5), 1, "b").row(
        group(5),
        NOON,
        &[1.0],
    )]);
    let flushed_only = stored(&[(5, 0, "a")]);
    // Loaded while the log's part is not flushed: slot 1 is taken.
    let component = memory.registry.restore(&flushed_only, now().seconds());
    assert_eq!(place_of_new(&memory.registry, &component), (FRESH_GROUPS.start, 0));
}

#[test]
fn replayed_definitions_stay_in_memory_until_they_are_flushed() {
    let memory = Memory::new();
    memory.replay(&[
        Payload::default().row(group(4), NOON, &[1.0]),
        Payload::default().component("w").series("w", group(5), 0, "a").row(group(5), NOON, &[1.0]),
    ]);
    let evict = |flushed| memory.registry.evict_idle(u32::MAX, LogPosition::new(flushed));
    assert_eq!(evict(1), 0, "the definition stands at position 1");
    assert_eq!(evict(2), 1);
    assert!(memory.registry.find(None, "w").is_none());
}

#[test]
fn keys_are_remembered_for_as_long_as_they_would_have_been() {
    let memory = Memory::new();
    let body = BodyDigest::of(b"body");
    let keyed = |name: &[u8], ago_s: i64| {
        Payload::default().key(
            NOON - ago_s * 1_000_000,
            KeyDigest::new(name, 0).bytes(),
            *body.bytes(),
            b"answer",
        )
    };
    memory.replay(&[keyed(b"old", 601), keyed(b"young", 10)]);
    let claim = |name: &[u8]| memory.keys.claim(KeyDigest::new(name, 0), body, now().seconds());
    assert_eq!(claim(b"old"), KeyState::First);
    assert_eq!(claim(b"young"), KeyState::Repeat(b"answer".as_slice().into()));
}

#[test]
fn past_partitions_that_were_promised_count() {
    let memory = Memory::new();
    memory.replay(&[
        Payload::default().row(group(5), NOON - 100 * DAY, &[1.0]),
        Payload::default().row(group(5), NOON - 200 * DAY, &[1.0]),
    ]);
    let admits = |days: i64| memory.window.admit(now().offset_by(-days * DAY), now()).is_some();
    assert!(admits(100) && admits(200) && admits(0));
    assert!(!admits(300), "two past partitions are the limit");
}

#[test]
fn an_unreadable_record_is_counted_and_passed_over() {
    let memory = Memory::new();
    let broken = Payload { bytes: vec![99], rows: 1 };
    let good =
        Payload::default().component("w").series("w", group(5), 0, "a").row(group(5), NOON, &[1.0]);
    assert_eq!(memory.replay(&[broken, good]).unreadable, 1);
    assert_eq!(memory.last(), [Some((0, 1.0))]);
}
