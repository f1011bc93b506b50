//! The ramp as a table, for a terminal and as Markdown. Pure.

use crate::ramp::{Ramp, Step};
use crate::report::grouped;

const HEADS: [&str; 11] = [
    "target/s",
    "achieved/s",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "unsent",
    "CPU s/M",
    "flush s",
    "kept up",
];

impl Step {
    fn cells(&self) -> [String; 11] {
        let millis = |micros: u64| format!("{:.2}", micros as f64 / 1_000.0);
        let known = |figure: Option<f64>| figure.map_or("-".to_owned(), |f| format!("{f:.2}"));
        let latency = &self.latency;
        [
            grouped(self.rate),
            grouped(self.achieved),
            millis(latency.p50_us),
            millis(latency.p90_us),
            millis(latency.p99_us),
            millis(latency.p999_us),
            millis(latency.max_us),
            self.unsent.to_string(),
            known(self.cpu_per_million),
            known(self.flush_seconds),
            if self.kept_up { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// The head, or a line for a step.
pub(super) fn line(step: Option<&Step>) -> String {
    let cells = step.map_or_else(|| HEADS.map(str::to_owned), Step::cells);
    let [rate, achieved, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!(" {cell:>9}")).collect();
    format!("{rate:>11} {achieved:>11}{rest}")
}

/// What it comes to, each line ended.
pub(super) fn summary(ramp: &Ramp) -> String {
    let bound = ramp.p99_bound_ms;
    let mut text = match ramp.knee() {
        Some(knee) => format!(
            "knee: {} samples/s, the highest rate that was kept up with (within 5 %, p99 below \
             {bound:.0} ms): p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}\n",
            grouped(knee.rate),
            knee.latency.p50_us as f64 / 1_000.0,
            knee.latency.p99_us as f64 / 1_000.0,
            knee.latency.p999_us as f64 / 1_000.0,
        ),
        None => "knee: none, already the first rate was too much\n".to_owned(),
    };
    if let Some(peak) = ramp.peak_samples_per_second {
        text.push_str(&format!("peak: {} samples/s in a closed loop\n", grouped(peak)));
    }
    if let Some(half) = &ramp.half {
        text.push_str(&format!(
            "half of the peak: {} samples/s, p50 {:.2} ms, p99 {:.2}, p99.9 {:.2}\n",
            grouped(half.rate),
            half.latency.p50_us as f64 / 1_000.0,
            half.latency.p99_us as f64 / 1_000.0,
            half.latency.p999_us as f64 / 1_000.0,
        ));
    }
    if let Some(exactness) = &ramp.exactness {
        text.push_str(&format!("exactness: {exactness}\n"));
    }
    text
}

/// The document.
pub(super) fn markdown(ramp: &Ramp) -> String {
    let mut text = format!("* machine: {}\n", ramp.machine);
    text.push_str(&format!(
        "* `{}`, {} workers with {} metrics each, {} connections, {:.0} s a step\n\n",
        ramp.server, ramp.workers, ramp.metrics, ramp.connections, ramp.step_seconds
    ));
    text.push_str(&format!("| {} |\n|{}\n", HEADS.join(" | "), "--:|".repeat(HEADS.len())));
    for step in &ramp.steps {
        text.push_str(&format!("| {} |\n", step.cells().join(" | ")));
    }
    let list: String = summary(ramp).lines().map(|line| format!("* {line}\n")).collect();
    format!("{text}\n{list}")
}
