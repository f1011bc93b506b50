//! What is read of the results of other commands.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Results that can be plotted.
#[derive(Debug)]
pub(super) enum Input {
    Comparison(Comparison),
    Ramp(Ramp),
}

/// Of `loadtest compare`.
#[derive(Debug, Deserialize)]
pub(super) struct Comparison {
    pub(super) machine: Machine,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) processors: usize,
    pub(super) processor: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cell {
    pub(super) metrics: u32,
    pub(super) connections: u32,
    pub(super) series: u32,
    pub(super) medians: Vec<Medians>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Medians {
    pub(super) server: String,
    pub(super) samples_per_second: f64,
    pub(super) cpu_per_million: f64,
}

/// Of `loadtest ramp`.
#[derive(Debug, Deserialize)]
pub(super) struct Ramp {
    pub(super) machine: Machine,
    pub(super) server: String,
    pub(super) connections: u32,
    pub(super) metrics: u32,
    pub(super) peak_samples_per_second: Option<f64>,
    pub(super) knee_samples_per_second: Option<f64>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) rate: f64,
    pub(super) latency: Latency,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

/// Reads a file of results.
pub(super) fn read(path: &Path) -> Result<Input> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let input = parse(&text);
    input.with_context(|| format!("understand {}", path.display()))
}

fn parse(text: &[u8]) -> Result<Input> {
    let value: Value = serde_json::from_slice(text)?;
    match value["kind"].as_str() {
        Some("comparison") => Ok(Input::Comparison(serde_json::from_value(value)?)),
        Some("ramp") => Ok(Input::Ramp(serde_json::from_value(value)?)),
        other => bail!(
            "it is of kind {}, and only comparisons and ramps are plotted",
            other.unwrap_or("unknown")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_results_are_refused_by_name() {
        let refused = parse(br#"{"kind":"run"}"#).unwrap_err();
        assert!(refused.to_string().contains("of kind run"));
        assert!(parse(b"[]").is_err());
    }
}
