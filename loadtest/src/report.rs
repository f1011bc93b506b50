//! The results of one run: for a person on standard output, for a program as JSON.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::latency::LatencySummary;
use crate::plan::Shape;
use crate::session::Phase;
use crate::usage::{CpuSeconds, PeakBytes, Usage};
use crate::verify::Exactness;

/// All results of one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunReport {
    /// `run`.
    kind: &'static str,
    /// Names the run's components: `load-<run id>-<worker>`.
    pub(crate) run_id: String,
    /// The server.
    pub(crate) url: String,
    /// What the requests held.
    pub(crate) format: String,
    /// Workers of the fleet.
    pub(crate) workers: u32,
    /// Which series the reports hold.
    pub(crate) shape: Shape,
    /// Metrics in a report.
    pub(crate) metrics: u32,
    /// Reports in a request.
    pub(crate) reports_per_request: u32,
    /// Connections.
    pub(crate) connections: u32,
    /// Samples per second asked for; none in a closed loop.
    pub(crate) rate: Option<f64>,
    /// Seed of the values.
    pub(crate) seed: u64,
    /// From the first request to the last acknowledgement.
    pub(crate) elapsed_seconds: f64,
    /// Requests acknowledged.
    pub(crate) requests: u64,
    /// Samples acknowledged.
    pub(crate) samples: u64,
    /// Samples acknowledged per second.
    pub(crate) samples_per_second: f64,
    /// Attempts that were made again.
    pub(crate) retries: u64,
    /// Requests due in the time and not sent, because the server was behind the schedule.
    pub(crate) unsent: u64,
    /// Reports that may or may not have been taken when the run gave up on them.
    pub(crate) unknown: u64,
    /// Why connections ended before their time.
    pub(crate) failures: Vec<String>,
    /// The run was ended by SIGINT.
    pub(crate) interrupted: bool,
    /// From when a request was due to its acknowledgement.
    pub(crate) latency: LatencySummary,
    /// CPU of this client.
    pub(crate) client_cpu_seconds: f64,
    /// CPU of this client per request.
    pub(crate) client_cpu_us_per_request: f64,
    /// CPU of the processes measured, until PostgreSQL had everything.
    pub(crate) server_cpu: Option<CpuSeconds>,
    /// The same per million samples.
    pub(crate) server_cpu_per_million: Option<f64>,
    /// The most memory that they had resident, in bytes.
    pub(crate) server_memory: Option<PeakBytes>,
    /// From the last acknowledgement until PostgreSQL had everything.
    pub(crate) flush_seconds: Option<f64>,
    /// Bytes by which tables and indexes grew, per sample stored.
    pub(crate) bytes_per_sample: Option<f64>,
    /// The comparison with PostgreSQL.
    pub(crate) exactness: Option<Exactness>,
    /// Samples that another server than ours says it has taken.
    pub(crate) samples_taken: Option<u64>,
}

impl RunReport {
    /// What the fleet itself knows.
    pub(crate) fn new(phase: &Phase, url: String) -> Self {
        let Phase { plan, fleet } = phase;
        let asked = plan.request;
        let total = |count: fn(&crate::fleet::LaneOutcome) -> u64| -> u64 {
            fleet.lanes.iter().map(count).sum()
        };
        let requests = total(|lane| lane.requests);
        let reports = total(|lane| lane.acknowledged.iter().sum());
        let samples = reports * u64::from(asked.metrics);
        let elapsed_seconds = fleet.elapsed.as_secs_f64();
        let mut failures: Vec<String> =
            fleet.lanes.iter().filter_map(|lane| lane.failure.clone()).collect();
        failures.sort();
        failures.dedup();
        Self {
            kind: "run",
            run_id: plan.run_id(),
            url,
            format: asked.format.to_string(),
            workers: asked.workers,
            shape: asked.shape,
            metrics: asked.metrics,
            reports_per_request: asked.reports_per_request,
            connections: asked.connections,
            rate: asked.rate,
            seed: asked.seed,
            elapsed_seconds,
            requests,
            samples,
            samples_per_second: samples as f64 / elapsed_seconds.max(1e-9),
            retries: total(|lane| lane.retries),
            unsent: total(|lane| lane.unsent),
            unknown: total(|lane| lane.unknown.len() as u64),
            failures,
            interrupted: fleet.interrupted,
            latency: fleet.latencies.summary(),
            client_cpu_seconds: fleet.client_cpu_seconds,
            client_cpu_us_per_request: fleet.client_cpu_seconds * 1e6 / requests.max(1) as f64,
            server_cpu: None,
            server_cpu_per_million: None,
            server_memory: None,
            flush_seconds: None,
            bytes_per_sample: None,
            exactness: None,
            samples_taken: None,
        }
    }

    /// Adds what the server has used.
    pub(crate) fn set_server_usage(&mut self, usage: Usage) {
        self.server_cpu = Some(usage.cpu);
        self.server_cpu_per_million = Some(self.per_million(usage.cpu.total()));
        self.server_memory = Some(usage.memory);
    }

    /// `seconds` per million acknowledged samples.
    pub(crate) fn per_million(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.samples.max(1) as f64
    }

    /// Nothing failed, and where it was checked, everything is stored.
    pub(crate) fn succeeded(&self) -> bool {
        self.failures.is_empty()
            && self.samples > 0
            && self.exactness.as_ref().is_none_or(Exactness::holds)
            && self.samples_taken.is_none_or(|taken| taken >= self.samples)
    }
}

impl std::fmt::Display for RunReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |micros: u64| micros as f64 / 1_000.0;
        writeln!(f, "run          {} ({}, {})", self.run_id, self.format, self.url)?;
        writeln!(
            f,
            "fleet        {} workers, {} metrics each ({}), {} connections, {} report(s) a request",
            self.workers, self.metrics, self.shape, self.connections, self.reports_per_request
        )?;
        writeln!(
            f,
            "throughput   {} samples/s ({} samples, {} requests in {:.2} s)",
            grouped(self.samples_per_second),
            grouped(self.samples as f64),
            grouped(self.requests as f64),
            self.elapsed_seconds
        )?;
        let latency = &self.latency;
        writeln!(
            f,
            "latency      p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}{}",
            millis(latency.p50_us),
            millis(latency.p90_us),
            millis(latency.p99_us),
            millis(latency.p999_us),
            millis(latency.max_us),
            if self.rate.is_some() { " (from the time due)" } else { "" }
        )?;
        writeln!(
            f,
            "client       {:.1} µs of CPU a request, {} retries, {} reports of unknown outcome",
            self.client_cpu_us_per_request, self.retries, self.unknown
        )?;
        if self.unsent > 0 {
            writeln!(f, "behind       {} requests were due and not sent in the time", self.unsent)?;
        }
        if let Some(cpu) = self.server_cpu {
            writeln!(
                f,
                "server CPU   {:.2} s per million samples ({:.2} processes named, {:.2} children)",
                self.per_million(cpu.total()),
                self.per_million(cpu.roots),
                self.per_million(cpu.descendants)
            )?;
        }
        if let Some(memory) = self.server_memory {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "memory       {:.0} MiB at most ({:.0} processes named, {:.0} children)",
                mib(memory.total()),
                mib(memory.roots),
                mib(memory.descendants)
            )?;
        }
        if let Some(seconds) = self.flush_seconds {
            writeln!(f, "flush        all in PostgreSQL {seconds:.2} s after the last answer")?;
        }
        if let Some(bytes) = self.bytes_per_sample {
            writeln!(f, "storage      {bytes:.1} bytes per sample, indexes included")?;
        }
        if let Some(exactness) = &self.exactness {
            writeln!(f, "exactness    {exactness}")?;
            for finding in &exactness.findings {
                writeln!(f, "             {finding}")?;
            }
        }
        if let Some(taken) = self.samples_taken {
            writeln!(f, "accepted     {taken} samples of {} acknowledged", self.samples)?;
        }
        for failure in &self.failures {
            writeln!(f, "failure      {failure}")?;
        }
        if self.interrupted {
            writeln!(f, "interrupted  before its end")?;
        }
        Ok(())
    }
}

/// Writes results to the files that are wanted: as JSON, and as the Markdown that `render` makes.
pub(crate) fn write_results(
    json: Option<&Path>,
    markdown: Option<&Path>,
    results: &impl Serialize,
    render: impl FnOnce() -> String,
) -> Result<()> {
    if let Some(path) = json {
        write_json(path, results)?;
    }
    if let Some(path) = markdown {
        std::fs::write(path, render()).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Writes results as JSON.
pub(crate) fn write_json(path: &Path, results: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(results).context("render the results")?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The middle of the values, the mean of the two middle ones where they are even; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Without a fraction, the thousands set off by commas.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_rounds() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }

    #[test]
    fn thousands_are_set_off() {
        for (number, text) in
            [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }
}
