//! The comparison as Markdown: the machine, the medians of all cells, and how they relate. Pure.

use std::fmt::Write as _;

use crate::compare::Comparison;
use crate::compare::table::times;
use crate::report::grouped;

/// The document.
pub(crate) fn render(comparison: &Comparison) -> String {
    let Comparison { machine, versions, samples, rounds, warm_up, shape, cells, .. } = comparison;
    let mut text = format!("* machine: {machine}\n");
    for (server, version) in versions {
        push(&mut text, format_args!("* `{server}`: {version}\n"));
    }
    push(
        &mut text,
        format_args!(
            "* {rounds} rounds of {} samples each, the medians; the series of a worker are {shape}; \
             {warm_up} reports of each worker to warm up\n\n\
             | metrics | connections | series | server | samples/s | CPU s per million | of it PostgreSQL \
             | MiB | bytes per sample | p50 ms | p99 ms |\n\
             |--:|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
            grouped(*samples as f64),
        ),
    );
    for cell in cells {
        for median in &cell.medians {
            let f = median.figures;
            push(
                &mut text,
                format_args!(
                    "| {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.0} | {:.1} | {:.2} | {:.2} |\n",
                    cell.cell.metrics,
                    grouped(f64::from(cell.cell.connections)),
                    grouped(f64::from(cell.cell.series)),
                    median.server,
                    grouped(f.samples_per_second),
                    f.cpu_per_million,
                    f.cpu_children_per_million,
                    f.memory_mib,
                    f.bytes_per_sample,
                    f.p50_ms,
                    f.p99_ms,
                ),
            );
        }
    }
    text.push_str(
        "\nnoetl-metrics over each peer, the median of the ratios within each round:\n\n\
         | metrics | connections | series | against | samples/s | CPU | memory | bytes | p99 |\n\
         |--:|--:|--:|---|--:|--:|--:|--:|--:|\n",
    );
    for cell in cells {
        for ratio in &cell.ratios {
            let f = ratio.figures;
            push(
                &mut text,
                format_args!(
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                    cell.cell.metrics,
                    grouped(f64::from(cell.cell.connections)),
                    grouped(f64::from(cell.cell.series)),
                    ratio.against,
                    times(f.samples_per_second),
                    times(f.cpu_per_million),
                    times(f.memory_mib),
                    times(f.bytes_per_sample),
                    times(f.p99_ms),
                ),
            );
        }
    }
    text
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "a String takes all that is written to it");
}
