//! Which rate is tried next, and where the knee is. Pure.

/// Tenths of the peak that are tried at most: the open loop may reach more than the closed one.
const TENTHS_MAX: u32 = 15;

/// The way through the rates.
#[derive(Debug)]
pub(super) struct Search {
    /// Rates still to be tried on the way up.
    rising: std::vec::IntoIter<f64>,
    /// Rates to try between the last good and the first bad one.
    refine: u32,
    good: Option<f64>,
    bad: Option<f64>,
}

impl Search {
    /// Tries `rates`, which rise, or tenths of `peak` where there are none.
    pub(super) fn new(rates: &[f64], peak: f64, refine: u32) -> Self {
        let mut rates = rates.to_vec();
        if rates.is_empty() {
            rates.extend((1..=TENTHS_MAX).map(|tenths| peak * f64::from(tenths) / 10.0));
        }
        rates.sort_by(f64::total_cmp);
        Self { rising: rates.into_iter(), refine, good: None, bad: None }
    }

    /// The next rate; None at the end.
    pub(super) fn next(&mut self) -> Option<f64> {
        let Some(bad) = self.bad else { return self.rising.next() };
        let good = self.good.filter(|_| self.refine > 0)?;
        self.refine -= 1;
        Some(f64::midpoint(good, bad))
    }

    /// Takes in whether `rate` was kept up with.
    pub(super) fn found(&mut self, rate: f64, kept_up: bool) {
        if kept_up {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
    }

    /// The highest rate that was kept up with.
    pub(super) fn knee(&self) -> Option<f64> {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All rates that are tried of a server that keeps up with `limit`.
    fn tried(rates: &[f64], peak: f64, refine: u32, limit: f64) -> (Vec<f64>, Option<f64>) {
        let mut search = Search::new(rates, peak, refine);
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.found(rate, rate <= limit);
        }
        (tried, search.knee())
    }

    #[test]
    fn tenths_of_the_peak_and_then_halves_of_what_is_left() {
        let (rates, knee) = tried(&[], 100.0, 3, 34.0);
        assert_eq!(rates, [10.0, 20.0, 30.0, 40.0, 35.0, 32.5, 33.75]);
        assert_eq!(knee, Some(33.75));
    }

    #[test]
    fn given_rates_in_their_order() {
        assert_eq!(tried(&[30.0, 10.0, 20.0], 1.0, 1, 15.0), (vec![10.0, 20.0, 15.0], Some(15.0)));
        assert_eq!(tried(&[10.0, 20.0], 1.0, 5, 50.0), (vec![10.0, 20.0], Some(20.0)));
    }

    #[test]
    fn a_server_that_keeps_up_with_nothing_has_no_knee() {
        assert_eq!(tried(&[10.0, 20.0], 1.0, 3, 5.0), (vec![10.0], None));
    }

    #[test]
    fn a_server_without_a_limit_ends_the_ramp_all_the_same() {
        assert_eq!(tried(&[], 10.0, 3, f64::MAX).0.len(), TENTHS_MAX as usize);
    }
}
