//! The comparison as a table: every round, the medians, and how the medians relate. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use crate::compare::RoundResult;
use crate::compare::candidate::Candidate;

/// The medians of one server's rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Medians {
    /// Which server.
    pub(crate) server: Candidate,
    /// The figures.
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// The figures of a round that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Samples acknowledged per second.
    pub(crate) samples_per_second: f64,
    /// CPU seconds of the server and all its children per million samples.
    pub(crate) cpu_per_million: f64,
    /// Those of the server itself.
    pub(crate) cpu_server_per_million: f64,
    /// Those of its children: PostgreSQL.
    pub(crate) cpu_children_per_million: f64,
    /// Bytes on disk per sample.
    pub(crate) bytes_per_sample: f64,
    /// Median latency of a request.
    pub(crate) p50_ms: f64,
    /// One request in a hundred takes longer.
    pub(crate) p99_ms: f64,
}

const CANDIDATES: [Candidate; 2] = [Candidate::NoetlMetrics, Candidate::VictoriaMetrics];

impl Figures {
    fn of(round: &RoundResult) -> Self {
        let report = &round.report;
        let cpu = report.server_cpu.unwrap_or_default();
        Self {
            samples_per_second: report.samples_per_second,
            cpu_per_million: report.per_million(cpu.total()),
            cpu_server_per_million: report.per_million(cpu.roots),
            cpu_children_per_million: report.per_million(cpu.descendants),
            bytes_per_sample: report.bytes_per_sample.unwrap_or(0.0),
            p50_ms: report.latency.p50_us as f64 / 1_000.0,
            p99_ms: report.latency.p99_us as f64 / 1_000.0,
        }
    }

    fn median(rounds: &[Self]) -> Self {
        let median_of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            samples_per_second: median_of(|f| f.samples_per_second),
            cpu_per_million: median_of(|f| f.cpu_per_million),
            cpu_server_per_million: median_of(|f| f.cpu_server_per_million),
            cpu_children_per_million: median_of(|f| f.cpu_children_per_million),
            bytes_per_sample: median_of(|f| f.bytes_per_sample),
            p50_ms: median_of(|f| f.p50_ms),
            p99_ms: median_of(|f| f.p99_ms),
        }
    }
}

/// The medians of both servers.
pub(crate) fn medians(rounds: &[RoundResult]) -> Vec<Medians> {
    let of = |server| {
        let own: Vec<Figures> =
            rounds.iter().filter(|round| round.server == server).map(Figures::of).collect();
        Medians { server, figures: Figures::median(&own) }
    };
    CANDIDATES.map(of).to_vec()
}

/// The table, each line ended.
pub(crate) fn render(rounds: &[RoundResult], medians: &[Medians]) -> String {
    let mut table = format!(
        "{:<8} {:<17} {:>10} {:>8} {:>8} {:>9} {:>7} {:>8} {:>8}  {}\n",
        "round",
        "server",
        "samples/s",
        "CPU s/M",
        "server",
        "children",
        "bytes",
        "p50 ms",
        "p99 ms",
        "exactness"
    );
    for round in rounds {
        let exactness = round.report.exactness.as_ref().map(ToString::to_string);
        let verdict = exactness.unwrap_or_else(|| {
            format!("accepted {} rows", round.report.victoria_rows.unwrap_or(0))
        });
        push_row(&mut table, &round.round.to_string(), round.server, Figures::of(round), &verdict);
    }
    for Medians { server, figures } in medians {
        push_row(&mut table, "median", *server, *figures, "");
    }
    if let [ours, theirs] = medians {
        let (ours, theirs) = (ours.figures, theirs.figures);
        let more = ratio(ours.samples_per_second, theirs.samples_per_second);
        let cpu = ratio(ours.cpu_per_million, theirs.cpu_per_million);
        let bytes = ratio(ours.bytes_per_sample, theirs.bytes_per_sample);
        let p99 = ratio(ours.p99_ms, theirs.p99_ms);
        table.push_str(&format!(
            "noetl-metrics against VictoriaMetrics, medians: {more} of its samples/s, \
             {cpu} of its CPU, {bytes} of its bytes, {p99} of its p99\n"
        ));
    }
    table
}

fn push_row(table: &mut String, round: &str, server: Candidate, f: Figures, verdict: &str) {
    let row = write!(
        table,
        "{round:<8} {:<17} {:>10.0} {:>8.2} {:>8.2} {:>9.2} {:>7.1} {:>8.2} {:>8.2}  {verdict}",
        server.to_string(),
        f.samples_per_second,
        f.cpu_per_million,
        f.cpu_server_per_million,
        f.cpu_children_per_million,
        f.bytes_per_sample,
        f.p50_ms,
        f.p99_ms,
    );
    debug_assert!(row.is_ok(), "a String takes all that is written to it");
    table.truncate(table.trim_end().len());
    table.push('\n');
}

fn ratio(ours: f64, theirs: f64) -> String {
    if ours > 0.0 && theirs > 0.0 { format!("{:.2}x", ours / theirs) } else { "?".to_owned() }
}

/// The middle of the values, the mean of the two middle ones where they are even; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
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
    fn the_relation_names_both_sides() {
        let medians = [(Candidate::NoetlMetrics, 30.0), (Candidate::VictoriaMetrics, 10.0)].map(
            |(server, value)| {
                let figures = Figures { samples_per_second: value, ..Figures::default() };
                Medians { server, figures }
            },
        );
        let table = render(&[], &medians);
        assert!(table.contains("3.00x of its samples/s, ? of its CPU"), "{table}");
        assert_eq!(table.lines().filter(|line| line.starts_with("median")).count(), 2);
    }
}
