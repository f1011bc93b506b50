//! Figures of results: throughput and cost against connections, cost against series, latency
//! against rate.

mod axis;
mod chart;
mod input;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use plotters::style::RGBColor;

use crate::args::PlotArgs;
use axis::{Axis, Scale};
use chart::{Chart, Line, Mark};
use input::{Cell, Comparison, Input, Machine, Medians, Ramp, Step};

/// Colours that the colour-blind can tell from each other (Okabe and Ito, 2008).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const SKY: RGBColor = RGBColor(86, 180, 233);

/// A figure and the name of its file.
type Named = (String, Chart);

/// `loadtest plot`: writes the figures and names them.
pub(crate) fn plot(args: &PlotArgs) -> Result<bool> {
    let out = &args.out;
    std::fs::create_dir_all(out).with_context(|| format!("create {}", out.display()))?;
    let mut written = BTreeSet::new();
    for file in &args.files {
        let charts = match input::read(file)? {
            Input::Comparison(comparison) => of_comparison(&comparison),
            Input::Ramp(ramp) => vec![of_ramp(&ramp)],
        };
        if charts.is_empty() {
            eprintln!("{}: nothing varies, so there is nothing to plot", file.display());
        }
        for (name, chart) in charts {
            ensure!(written.insert(name.clone()), "two of the files make the figure {name}");
            write(out, &name, &chart)?;
        }
    }
    Ok(!written.is_empty())
}

fn write(out: &Path, name: &str, chart: &Chart) -> Result<()> {
    let path = out.join(name);
    std::fs::write(&path, chart.svg()?).with_context(|| format!("write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// What the cells of a figure have in common, and what it is drawn against.
struct Against {
    fixed: fn(&Cell) -> (u32, u32),
    varied: fn(&Cell) -> u32,
    label: &'static str,
}

const CONNECTIONS: Against = Against {
    fixed: |cell| (cell.metrics, cell.series),
    varied: |cell| cell.connections,
    label: "connections",
};

const SERIES: Against = Against {
    fixed: |cell| (cell.metrics, cell.connections),
    varied: |cell| cell.series,
    label: "series",
};

fn of_comparison(comparison: &Comparison) -> Vec<Named> {
    let mut charts = Vec::new();
    let throughput = ("Throughput", "samples per second", samples as fn(&Medians) -> f64);
    let cost = ("Cost", "CPU seconds per million samples", cpu as fn(&Medians) -> f64);
    for (against, figures) in [(&CONNECTIONS, &[throughput, cost][..]), (&SERIES, &[cost][..])] {
        let fixed: BTreeSet<(u32, u32)> = comparison.cells.iter().map(against.fixed).collect();
        for key in fixed {
            let mut cells: Vec<&Cell> =
                comparison.cells.iter().filter(|cell| (against.fixed)(cell) == key).collect();
            cells.sort_by_key(|cell| (against.varied)(cell));
            if cells.len() < 2 {
                continue;
            }
            for (title, unit, figure) in figures {
                let name = format!(
                    "{}-by-{}-{}-{}.svg",
                    title.to_lowercase(),
                    against.label,
                    key.0,
                    key.1
                );
                let lines = lines(&cells, against, *figure);
                let chart = Chart {
                    title: format!("{title} against {}", against.label),
                    subtitle: subtitle(cells[0], against, &comparison.machine),
                    x: Axis::over(Scale::Listed, against.label, xs(&lines)),
                    y: Axis::over(Scale::Linear, unit, ys(&lines)),
                    lines,
                    marks: Vec::new(),
                };
                charts.push((name, chart));
            }
        }
    }
    charts
}

fn samples(medians: &Medians) -> f64 {
    medians.samples_per_second
}

fn cpu(medians: &Medians) -> f64 {
    medians.cpu_per_million
}

fn lines(cells: &[&Cell], against: &Against, figure: fn(&Medians) -> f64) -> Vec<Line> {
    let mut servers: Vec<&str> = Vec::new();
    for medians in cells.iter().flat_map(|cell| &cell.medians) {
        if !servers.contains(&medians.server.as_str()) {
            servers.push(&medians.server);
        }
    }
    let line = |server: &&str| {
        let point = |cell: &&Cell| {
            let medians = cell.medians.iter().find(|medians| medians.server == **server)?;
            Some((f64::from((against.varied)(cell)), figure(medians)))
        };
        let points = cells.iter().filter_map(point).collect();
        Line { name: (*server).to_owned(), color: color(server), points }
    };
    servers.iter().map(line).collect()
}

fn subtitle(cell: &Cell, against: &Against, machine: &Machine) -> String {
    let fixed = if against.label == "series" {
        format!("{} connections", cell.connections)
    } else {
        format!("{} series", crate::report::grouped(f64::from(cell.series)))
    };
    format!("{} metrics a report, {fixed}; {}", cell.metrics, place(machine))
}

fn place(machine: &Machine) -> String {
    format!("{} processors ({})", machine.processors, machine.processor)
}

fn color(server: &str) -> RGBColor {
    match server {
        "noetl-metrics" => BLUE,
        "victoria-json" => ORANGE,
        "victoria-text" => SKY,
        "victoria-influx" => GREEN,
        "victoria-remote-write" => PURPLE,
        _ => VERMILION,
    }
}

fn of_ramp(ramp: &Ramp) -> Named {
    let percentile = |name: &str, color, figure: fn(&Step) -> f64| Line {
        name: name.to_owned(),
        color,
        points: ramp.steps.iter().map(|step| (step.rate, figure(step) / 1_000.0)).collect(),
    };
    let lines = vec![
        percentile("p50", GREEN, |step| step.latency.p50_us),
        percentile("p99", BLUE, |step| step.latency.p99_us),
        percentile("p99.9", VERMILION, |step| step.latency.p999_us),
    ];
    let mark = |name: &str, at: Option<f64>| at.map(|at| Mark { name: name.to_owned(), at });
    let half = ramp.peak_samples_per_second.map(|peak| peak / 2.0);
    let marks: Vec<Mark> =
        [mark("knee", ramp.knee_samples_per_second), mark("half of the peak", half)]
            .into_iter()
            .flatten()
            .collect();
    let rates = xs(&lines).chain(marks.iter().map(|mark| mark.at));
    let chart = Chart {
        title: format!("Latency of an acknowledgement against rate, {}", ramp.server),
        subtitle: format!(
            "{} metrics a report, {} connections, from the time due; {}",
            ramp.metrics,
            ramp.connections,
            place(&ramp.machine)
        ),
        x: Axis::over(Scale::Linear, "samples per second", rates),
        y: Axis::over(Scale::Logarithmic, "milliseconds", ys(&lines)),
        marks,
        lines,
    };
    let server: String =
        ramp.server.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    (format!("latency-by-rate-{server}-{}-{}.svg", ramp.metrics, ramp.connections), chart)
}

fn xs(lines: &[Line]) -> impl Iterator<Item = f64> + Clone {
    lines.iter().flat_map(|line| &line.points).map(|point| point.0)
}

fn ys(lines: &[Line]) -> impl Iterator<Item = f64> + Clone {
    lines.iter().flat_map(|line| &line.points).map(|point| point.1)
}
