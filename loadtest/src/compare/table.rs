//! The comparison as a table for a terminal: every round of a cell, the medians, and how they
//! relate. Pure.

use crate::compare::figures::Figures;
use crate::compare::{CellResult, RoundResult};
use crate::server::Candidate;

/// All of one cell, each line ended.
pub(crate) fn render(cell: &CellResult) -> String {
    let mut table = format!(
        "{}\n{:<7} {:<21} {:>10} {:>8} {:>7} {:>9} {:>7} {:>7} {:>8} {:>8}  {}\n",
        cell.cell,
        "round",
        "server",
        "samples/s",
        "CPU s/M",
        "server",
        "children",
        "MiB",
        "bytes",
        "p50 ms",
        "p99 ms",
        "exactness"
    );
    for round in &cell.rounds {
        let figures = Figures::of(round);
        table.push_str(&row(&round.round.to_string(), round.server, &figures, &verdict(round)));
    }
    for medians in &cell.medians {
        table.push_str(&row("median", medians.server, &medians.figures, ""));
    }
    for ratios in &cell.ratios {
        let Figures { samples_per_second, cpu_per_million, .. } = ratios.figures;
        let Figures { memory_mib, bytes_per_sample, p99_ms, .. } = ratios.figures;
        table.push_str(&format!(
            "noetl-metrics against {}, median of the rounds: {} of its samples/s, {} of its CPU, \
             {} of its memory, {} of its bytes, {} of its p99\n",
            ratios.against,
            times(samples_per_second),
            times(cpu_per_million),
            times(memory_mib),
            times(bytes_per_sample),
            times(p99_ms),
        ));
    }
    table
}

/// A ratio; a question mark where it is not known.
pub(crate) fn times(ratio: f64) -> String {
    if ratio > 0.0 { format!("{ratio:.2}x") } else { "?".to_owned() }
}

fn verdict(round: &RoundResult) -> String {
    let exactness = round.report.exactness.as_ref().map(ToString::to_string);
    exactness
        .unwrap_or_else(|| format!("accepted {} samples", round.report.samples_taken.unwrap_or(0)))
}

fn row(round: &str, server: Candidate, f: &Figures, verdict: &str) -> String {
    let row = format!(
        "{round:<7} {:<21} {:>10.0} {:>8.2} {:>7.2} {:>9.2} {:>7.0} {:>7.1} {:>8.2} {:>8.2}  {verdict}",
        server.to_string(),
        f.samples_per_second,
        f.cpu_per_million,
        f.cpu_server_per_million,
        f.cpu_children_per_million,
        f.memory_mib,
        f.bytes_per_sample,
        f.p50_ms,
        f.p99_ms,
    );
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cell;
    use crate::compare::figures::{Medians, Ratios};

    #[test]
    fn every_server_and_every_relation_has_a_line() {
        let figures = Figures { samples_per_second: 3.0, ..Figures::default() };
        let servers = [Candidate::NoetlMetrics, Candidate::VictoriaJson, Candidate::Prometheus];
        let cell = CellResult {
            cell: Cell { metrics: 10, connections: 64, series: 100 },
            rounds: Vec::new(),
            medians: servers.map(|server| Medians { server, figures }).to_vec(),
            ratios: vec![Ratios { against: Candidate::Prometheus, figures }],
        };
        let table = render(&cell);
        assert!(table.contains("3.00x of its samples/s, ? of its CPU"), "{table}");
        assert_eq!(table.lines().filter(|line| line.starts_with("median")).count(), 3);
        assert!(table.starts_with("10 metrics a report, 64 connections, 100 series\n"));
    }
}
