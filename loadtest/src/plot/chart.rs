//! One figure as SVG: lines with their points, a title, a legend above, and axes with units. It has
//! a ground of its own, so that it can be read on a light page and on a dark one.

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::plot::axis::{Axis, short};

const SIZE: (u32, u32) = (760, 460);
/// Where the first line of the legend is, and how far it is to the next.
const LEGEND: (i32, i32) = (60, 20);
/// Of the name of a mark.
const MARK_HEIGHT: i32 = 17;
const INK: RGBColor = RGBColor(36, 41, 47);
const FAINT_INK: RGBColor = RGBColor(101, 109, 118);
const GRID: RGBColor = RGBColor(225, 228, 232);
const FONT: &str = "Helvetica, Arial, sans-serif";

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What it is, for the legend.
    pub(super) name: String,
    /// Its colour.
    pub(super) color: RGBColor,
    /// Its points, from left to right.
    pub(super) points: Vec<(f64, f64)>,
}

/// A place on the horizontal axis that has a name.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Its name.
    pub(super) name: String,
    /// Where.
    pub(super) at: f64,
}

/// A figure.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// Of what, and measured where.
    pub(super) subtitle: String,
    /// The horizontal axis.
    pub(super) x: Axis,
    /// The vertical axis.
    pub(super) y: Axis,
    /// The lines.
    pub(super) lines: Vec<Line>,
    /// Places worth a name.
    pub(super) marks: Vec<Mark>,
}

impl Chart {
    /// The figure as SVG.
    pub(super) fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| anyhow!("{error}")).context("draw a figure")?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<SvgError>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (places, height) = self.legend();
        let (head, body) = root.split_vertically(height);
        self.draw_head(&head, &places)?;

        let mut chart = ChartBuilder::on(&body)
            .margin(12)
            .margin_top(12 + MARK_HEIGHT * self.marks.iter().map(|_| 1).sum::<i32>())
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(FAINT_INK)
            .label_style((FONT, 13).into_font().color(&FAINT_INK))
            .axis_desc_style((FONT, 14).into_font().color(&INK))
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;

        let (bottom, top) = self.y.ends();
        for (nth, mark) in (0..).zip(&self.marks) {
            let ends = [(mark.at, bottom), (mark.at, top)];
            chart.draw_series(DashedLineSeries::new(ends, 4, 4, FAINT_INK.into()))?;
            // Above the axes, where no line is, and one above the other.
            let style = (FONT, 13).into_font().color(&FAINT_INK);
            let style = style.pos(Pos::new(HPos::Center, VPos::Bottom));
            let name = Text::new(mark.name.clone(), (0, -3 - MARK_HEIGHT * nth), style);
            chart.draw_series([EmptyElement::at((mark.at, top)) + name])?;
        }
        for line in &self.lines {
            let points = &line.points;
            let style = line.color.stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            chart.draw_series(points.iter().map(|at| Circle::new(*at, 4, line.color.filled())))?;
        }
        root.present()
    }

    /// Where each name of the legend begins, and the height of all that is above the axes.
    fn legend(&self) -> (Vec<(i32, i32)>, u32) {
        let (mut left, mut middle) = (16, LEGEND.0);
        let mut places = Vec::new();
        for line in &self.lines {
            // Letters of this size are 7 wide on average.
            let width = 46 + line.name.chars().map(|_| 7).sum::<i32>();
            if left > 16 && left + width > SIZE.0.cast_signed() {
                (left, middle) = (16, middle + LEGEND.1);
            }
            places.push((left, middle));
            left += width;
        }
        (places, (middle + 14).cast_unsigned())
    }

    /// Title, subtitle and legend.
    fn draw_head(
        &self,
        head: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
        places: &[(i32, i32)],
    ) -> Result<(), DrawingAreaErrorKind<SvgError>> {
        let title = (FONT, 18).into_font().style(FontStyle::Bold).color(&INK);
        head.draw(&Text::new(self.title.clone(), (16, 10), title))?;
        let subtitle = (FONT, 13).into_font().color(&FAINT_INK);
        head.draw(&Text::new(self.subtitle.clone(), (16, 32), subtitle))?;
        for (line, (left, middle)) in self.lines.iter().zip(places.iter().copied()) {
            let stroke = line.color.stroke_width(2);
            head.draw(&PathElement::new([(left, middle), (left + 22, middle)], stroke))?;
            head.draw(&Circle::new((left + 11, middle), 4, line.color.filled()))?;
            let style = (FONT, 13).into_font().color(&INK);
            let style = style.pos(Pos::new(HPos::Left, VPos::Center));
            head.draw(&Text::new(line.name.clone(), (left + 28, middle), style))?;
        }
        Ok(())
    }
}

type SvgError = <SVGBackend<'static> as DrawingBackend>::ErrorType;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::axis::Scale;

    #[test]
    fn a_figure_names_its_lines_axes_and_marks() {
        let points = vec![(100.0, 0.5), (2_000.0, 40.0)];
        let xs = points.iter().map(|point| point.0);
        let ys = points.iter().map(|point| point.1);
        let chart = Chart {
            title: "A title".to_owned(),
            subtitle: "and more".to_owned(),
            x: Axis::over(Scale::Linear, "samples per second", xs),
            y: Axis::over(Scale::Logarithmic, "milliseconds", ys),
            lines: vec![Line {
                name: "p99".to_owned(),
                color: RGBColor(1, 2, 3),
                points: points.clone(),
            }],
            marks: vec![Mark { name: "knee".to_owned(), at: 2_000.0 }],
        };
        let svg = chart.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in
            ["A title", "and more", "samples per second", "milliseconds", "p99", "knee", "2k"]
        {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(!svg.contains("NaN"));
    }
}
