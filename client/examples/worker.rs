//! A worker that reports by itself.
//!
//! ```sh
//! NOETL_SERVER_URL=http://127.0.0.1:8082 NOETL_WORKER_POOL_NAME=worker-rust \
//!     cargo run -p noetl-metrics-client --example worker
//! ```

use std::error::Error;
use std::time::Instant;

use noetl_metrics_client::{Builder, DURATION_BOUNDS, Left, Series, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let left = work(Settings::from_env()?, 1000)?;
    println!("{} reports were not delivered", left.reports);
    Ok(())
}

/// Does `jobs` jobs and reports them. `Reporter::start()` is the short form of the first line.
pub fn work(settings: Settings, jobs: u64) -> Result<Left, Box<dyn Error>> {
    let reporter = Builder::new(settings).start()?;
    // The handles are asked for once; to touch one is an atomic operation.
    let metrics = reporter.metrics();
    let named = |name| Series::new(name).label("queue", "mail");
    let done = metrics.counter(named("jobs_done_total").help("Jobs done").unit("jobs"));
    let seconds = metrics.histogram(named("job_seconds").unit("seconds"), &DURATION_BOUNDS);
    let bytes = metrics.summary(named("job_bytes").unit("bytes"), &[0.5, 0.99]);
    reporter.worker().max_workers().set(1.0);
    reporter.worker().queue_size().set(jobs as f64);
    for job in 0..jobs {
        let active = reporter.worker().begin_task();
        let began = Instant::now();
        let output = format!("job {job}");
        seconds.observe(began.elapsed().as_secs_f64());
        bytes.observe(output.len() as f64);
        done.inc();
        reporter.worker().queue_size().add(-1.0);
        drop(active);
    }
    // The last report has what the jobs left behind, also if they took less than an interval.
    Ok(reporter.shutdown_blocking())
}
