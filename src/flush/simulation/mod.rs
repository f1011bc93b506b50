//! The durable path as a whole, in a world that goes wrong: reports, the log on a disk that
//! loses what was not synced, recovery, the flush, and a database whose answers get lost.
//!
//! A world is made from a seed, and the same seed makes the same world: no thread runs in it, and
//! whose turn it is comes from the seed, down to what one of the log's threads does while the
//! other one waits for the disk. It lives several lives, each of which ends in a crash, a kill or
//! an orderly stop; then everything is flushed and [`oracle`] is asked. Bounds are checked at
//! every turn.
//!
//! ```text
//! make simulate SEEDS=100000              as many worlds
//! make simulate FROM=17 SEEDS=1 TOLD=1    world 17, told line by line
//! ```
//!
//! A new kind of event is an arm in `World::event`, a new kind of fault one in `mishaps` or
//! `server`, a new promise a check in `oracle` or `World::check_bounds`.

mod bounds;
mod clients;
mod ends;
mod events;
mod following;
mod luck;
mod mishaps;
mod oracle;
mod process;
mod rounds;
mod server;
mod story;
mod task;
mod world;

pub(super) use luck::Luck;
use world::{Lived, World};

/// Worlds of one run, in parts that run beside each other.
const SEEDS: u64 = 4000;
const PARTS: u64 = 4;

/// Lives the worlds of `seeds` and says how many reports were acknowledged.
fn live(seeds: std::ops::Range<u64>, told: bool) -> usize {
    let mut acknowledged = 0;
    for seed in seeds {
        let lived = std::panic::catch_unwind(|| World::new(seed, told).live());
        acknowledged += lived
            .unwrap_or_else(|_| {
                panic!("world {seed} fails; make simulate FROM={seed} SEEDS=1 TOLD=1 tells how")
            })
            .acknowledged;
    }
    acknowledged
}

fn part(nth: u64) {
    let size = SEEDS / PARTS;
    let acknowledged = live(nth * size..(nth + 1) * size, false);
    assert!(acknowledged > 0, "worlds in which nothing happens prove nothing");
}

#[test]
fn every_acknowledged_report_is_stored_once() {
    part(0);
}

#[test]
fn every_acknowledged_report_is_stored_once_in_the_second_quarter() {
    part(1);
}

#[test]
fn every_acknowledged_report_is_stored_once_in_the_third_quarter() {
    part(2);
}

#[test]
fn every_acknowledged_report_is_stored_once_in_the_last_quarter() {
    part(3);
}

#[test]
fn a_seed_makes_the_same_world_again() {
    for seed in 0..20 {
        let lived: Vec<Lived> = (0..2).map(|_| World::new(seed, false).live()).collect();
        assert_eq!(lived[0], lived[1], "world {seed}");
    }
}

/// What `make simulate` runs: `SIMULATION_SEEDS` worlds from `SIMULATION_FROM` on, told line by
/// line where `SIMULATION_TOLD` is set.
#[test]
#[ignore = "make simulate runs it"]
fn simulate() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let from = number("SIMULATION_FROM").unwrap_or(0);
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let told = std::env::var("SIMULATION_TOLD").is_ok_and(|told| !told.is_empty());
    let began = std::time::Instant::now();
    // One world is told at a time.
    let threads = if told { 1 } else { number("SIMULATION_THREADS").unwrap_or(2) };
    let size = seeds.div_ceil(threads);
    let acknowledged: usize = std::thread::scope(|scope| {
        let bound = |nth: u64| from + (nth * size).min(seeds);
        let ranges = (0..threads).map(|nth| bound(nth)..bound(nth + 1));
        let running: Vec<_> = ranges.map(|seeds| scope.spawn(move || live(seeds, told))).collect();
        running.into_iter().map(|one| one.join().expect("every world keeps the promises")).sum()
    });
    println!("{seeds} worlds, {acknowledged} reports acknowledged, {:?}", began.elapsed());
}
