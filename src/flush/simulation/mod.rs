//! The durable path as a whole, in a world that goes wrong: reports, the log on a disk that
//! loses what was not synced, recovery, the flush, and a database whose answers get lost.
//!
//! A world is made from a seed. It lives several lives, each of which ends in a crash, a broken
//! disk or an orderly stop; then everything is flushed and [`oracle`] is asked. Threads make
//! what happens within a life vary a little from run to run, so that a seed narrows a failure
//! down and does not always repeat it. To repeat one:
//!
//! ```text
//! SIMULATION_SEED=17 cargo test --lib flush::simulation
//! ```
//!
//! A new kind of event is an arm in `World::event`, a new promise a check in `oracle`.

mod luck;
mod oracle;
mod process;
mod world;

use std::time::{Duration, Instant};

pub(super) use luck::Luck;
use world::World;

/// Worlds of one run.
const SEEDS: u64 = 300;

#[test]
fn every_acknowledged_report_is_stored_once() {
    let repeated = std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = repeated.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut acknowledged = 0;
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(in_time(World::new(seed).live()))
        }));
        acknowledged += lived.unwrap_or_else(|_| {
            panic!("seed {seed}; repeat it with SIMULATION_SEED={seed}");
        });
    }
    assert!(acknowledged > 0, "worlds in which nothing happens prove nothing");
}

/// How long a world may take, of real time; it takes some milliseconds.
const WORLD_TIME_MAX: Duration = Duration::from_secs(30);

/// A flush that tries something again for ever is a failure, and not a test that hangs: the
/// simulated hours of its waits pass in no time.
async fn in_time<T>(world: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let mut world = std::pin::pin!(world);
    loop {
        tokio::select! {
            lived = &mut world => return lived,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                assert!(began.elapsed() < WORLD_TIME_MAX, "the world does not come to its end");
            }
        }
    }
}
