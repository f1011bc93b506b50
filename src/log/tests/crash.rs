//! Crashes at any sync, with any subset of the unsynced sectors left.

use proptest::prelude::*;

use super::*;

/// One life of the process: what it does until the machine dies.
#[derive(Clone, Debug)]
struct Life {
    /// Bytes of records that are acknowledged one by one.
    acknowledged: Vec<usize>,
    /// Bytes of records that are appended while syncs are held.
    hanging: Vec<usize>,
    /// How many syncs still return before the crash.
    syncs: usize,
    /// Whether what is acknowledged is flushed, so that segments are reused.
    flushes: bool,
    /// Decides what survives.
    luck: u64,
}

fn life() -> impl Strategy<Value = Life> {
    let bytes = || prop_oneof![0..200_usize, 400..1500_usize, 5000..9000_usize];
    (
        proptest::collection::vec(bytes(), 0..6),
        proptest::collection::vec(bytes(), 0..8),
        0..5_usize,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(acknowledged, hanging, syncs, flushes, luck)| Life {
            acknowledged,
            hanging,
            syncs,
            flushes,
            luck,
        })
}

/// SplitMix64, the source of a crash's whims.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Bytes that no two records share, and that look like anything.
fn payload(luck: &mut u64, bytes: usize) -> Vec<u8> {
    let seed = draw(luck);
    (0..bytes).map(|at| (seed.rotate_left(at as u32) >> (at % 50)) as u8).collect()
}

/// Lives `life` on `disk` and returns what the crash leaves. Every record that may be found
/// afterwards is added to `possible`; returns how many of them must be.
fn live(
    disk: &MemoryDisk,
    life: &Life,
    log: &Log,
    possible: &mut Vec<Read>,
) -> (MemoryDisk, usize) {
    let mut luck = life.luck;
    for bytes in &life.acknowledged {
        let payload = payload(&mut luck, *bytes);
        possible.push(append_making_room(log, &payload, (*bytes % 5) as u32));
        if life.flushes {
            log.progress().set_flushed(log.progress().synced());
        }
    }
    disk.permit_syncs(Some(life.syncs));
    for bytes in &life.hanging {
        let payload = payload(&mut luck, *bytes);
        let rows = (*bytes % 5) as u32;
        // The disk hangs, so a further segment or more staging may not be had.
        let Ok(ticket) = log.appender().append(&payload, rows) else { break };
        possible.push((ticket.position().get(), rows, payload));
    }
    let progress = log.progress();
    wait_until("the writer hangs or is done", || {
        disk.holds_a_sync() || progress.synced() == progress.appended()
    });
    let crashed = disk.crash(&mut |_| draw(&mut luck) & 1 == 0);
    // Nothing moves while the sync hangs, so these are the acknowledgements before the crash.
    let synced = progress.synced().get();
    disk.permit_syncs(None);
    let survivors = possible.iter().filter(|record| record.0 < synced).count();
    (crashed, survivors)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_record_survives_and_nothing_is_there_in_part(
        lives in proptest::collection::vec(life(), 1..6),
    ) {
        let mut disk = MemoryDisk::default();
        let (mut log, _) = open(&disk);
        let mut possible: Vec<Read> = Vec::new();
        for life in &lives {
            // The budget would stop a process that never flushes.
            log.progress().set_flushed(log.progress().synced());
            let (crashed, acknowledged) = live(&disk, life, &log, &mut possible);
            let (survivor, read) = open(&crashed);
            let first = survivor.first().get();
            let retained: Vec<&Read> =
                possible.iter().filter(|record| record.0 >= first).collect();
            let deleted = possible.len() - retained.len();
            prop_assert!(read.len() + deleted >= acknowledged, "an acknowledged record is lost");
            prop_assert!(read.iter().eq(retained[..read.len()].iter().copied()));
            possible.truncate(deleted + read.len());
            (disk, log) = (crashed, survivor);
        }
    }
}
