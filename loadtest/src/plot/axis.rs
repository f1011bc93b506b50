//! Scales and their ticks. Pure.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero on, evenly.
    Linear,
    /// By factors.
    Logarithmic,
    /// By factors, with the values themselves as ticks.
    Listed,
}

/// An axis over some values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    /// What it stands for, with its unit.
    pub(super) label: String,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// Over `values`, with some room at its ends. Values that are not positive are left out of a
    /// logarithmic one.
    pub(super) fn over(
        scale: Scale,
        label: &str,
        values: impl Iterator<Item = f64> + Clone,
    ) -> Self {
        let positive = values.clone().filter(|value| *value > 0.0);
        let max = positive.clone().reduce(f64::max).unwrap_or(1.0);
        let min = positive.fold(max, f64::min);
        let (low, high, ticks) = match scale {
            Scale::Linear => {
                let step = nice_step(max / 6.0);
                let high = (max * 1.04 / step).ceil() * step;
                let ticks = (0..).map(|n| step * f64::from(n));
                (0.0, high, ticks.take_while(|tick| *tick < high + step / 2.0).collect())
            }
            Scale::Logarithmic => {
                let ticks = one_two_five(min, if max > min { max } else { max * 2.0 });
                let high = ticks.last().copied().unwrap_or(max);
                (ticks.first().copied().unwrap_or(min), high, ticks)
            }
            Scale::Listed => {
                let mut ticks: Vec<f64> = values.filter(|value| *value > 0.0).collect();
                ticks.sort_by(f64::total_cmp);
                ticks.dedup();
                let room = if max > min { (max / min).powf(0.06) } else { 2.0 };
                (min / room, max * room, ticks)
            }
        };
        Self { scale, label: label.to_owned(), low, high, ticks }
    }

    /// Its two ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Where a value is, in a measure that is even along the axis.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic | Scale::Listed => value.max(self.low).log10(),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (low, high) = (self.place(self.low), self.place(self.high));
        let share = (self.place(*value) - low) / (high - low);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= least * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// From the last of 1, 2 and 5 times a power of ten below `min` to the first above `max`.
fn one_two_five(min: f64, max: f64) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut power = 10_f64.powf(min.log10().floor());
    while ticks.last().is_none_or(|last| *last < max) {
        for factor in [1.0, 2.0, 5.0] {
            let tick = factor * power;
            if tick <= min {
                ticks.clear();
            }
            if ticks.last().is_none_or(|last| *last < max) {
                ticks.push(tick);
            }
        }
        power *= 10.0;
    }
    ticks
}

/// `1.5M`, `20k`, `0.25`.
pub(super) fn short(value: f64) -> String {
    let (divided, suffix) = match value {
        _ if value >= 999_500.0 => (value / 1e6, "M"),
        _ if value >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if divided >= 100.0 { 0 } else { 2 };
    let text = format!("{divided:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers() {
        let check = |value, text| assert_eq!(short(value), text);
        check(0.0, "0");
        check(0.25, "0.25");
        check(100.0, "100");
        check(1_000.0, "1k");
        check(1_250.0, "1.25k");
        check(100_000.0, "100k");
        check(1_500_000.0, "1.5M");
        check(999.9999, "1k");
    }

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| short(*tick)).collect()
    }

    #[test]
    fn linear_axes_begin_at_zero_and_end_above_the_last_value() {
        let axis = Axis::over(Scale::Linear, "x", [3.0, 410_000.0].into_iter());
        assert_eq!(labels(&axis), ["0", "100k", "200k", "300k", "400k", "500k"]);
        assert_eq!(axis.ends(), (0.0, 500_000.0));
        assert_eq!(axis.map(&250_000.0, (100, 300)), 200);
    }

    #[test]
    fn logarithmic_axes_enclose_their_values() {
        let axis = Axis::over(Scale::Logarithmic, "x", [0.7, 30.0].into_iter());
        assert_eq!(labels(&axis), ["0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(axis.map(&5.0, (0, 100)), 50);
        // What is not positive stands at the bottom.
        assert_eq!(axis.map(&0.0, (0, 100)), 0);
        assert_eq!(one_two_five(1.0, 2.0), [1.0, 2.0]);
    }

    #[test]
    fn listed_values_are_the_ticks() {
        let values = [64.0, 16.0, 1_000.0, 16.0];
        let axis = Axis::over(Scale::Listed, "x", values.into_iter());
        assert_eq!(labels(&axis), ["16", "64", "1k"]);
        assert!(axis.map(&16.0, (0, 100)) > 3 && axis.map(&1_000.0, (0, 100)) < 97);
    }

    #[test]
    fn equal_values_and_none_make_an_axis_too() {
        for scale in [Scale::Linear, Scale::Logarithmic, Scale::Listed] {
            for values in [&[][..], &[0.0], &[5.0], &[7.0, 7.0]] {
                let (low, high) = Axis::over(scale, "x", values.iter().copied()).ends();
                assert!(low < high && high.is_finite(), "{scale:?} over {values:?}");
            }
        }
    }
}
