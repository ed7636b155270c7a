//! How likely a swarm in which viewers come and go can serve everyone.

/// Standard deviations of a Poisson variable that are summed to either side of its mean, and 40
/// values more: less than 1e-15 of it lies outside.
const DEVIATIONS: f64 = 12.0;

/// Two classes of viewers that come and go: rich ones that upload more than the stream's rate and
/// poor ones that upload less. All rates in units of the stream's rate.
///
/// The numbers of viewers in either class are independent Poisson variables, which is what Poisson
/// arrivals and sessions of any distribution settle to. Source: Kumar, Liu, Ross, INFOCOM 2007.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoClasses {
    /// Upload of the source.
    pub source: f64,
    /// Upload of a rich viewer, above 1.
    pub rich: f64,
    /// Upload of a poor viewer, below 1.
    pub poor: f64,
}

impl TwoClasses {
    /// The ratio of rich to poor viewers above which, for ever larger swarms, everyone is served
    /// with probability 1, and below which with probability 0: `(1 − u2) / (u1 − 1)`.
    #[must_use]
    pub fn critical_ratio(&self) -> f64 {
        (1.0 - self.poor) / (self.rich - 1.0)
    }

    /// Whether the supply covers the demand of `rich` and `poor` viewers:
    /// `u_s + u1 X1 + u2 X2 ≥ X1 + X2`. The source must upload the stream once as well.
    #[must_use]
    pub fn serves(&self, rich: u32, poor: u32) -> bool {
        let surplus = self.source + f64::from(rich) * (self.rich - 1.0);
        self.source >= 1.0 && surplus >= f64::from(poor) * (1.0 - self.poor)
    }

    /// The probability that everyone is served, for a mean of `rich` and `poor` viewers.
    #[must_use]
    pub fn universal(&self, rich: f64, poor: f64) -> f64 {
        let (first, rich) = poisson(rich);
        let (least, poor) = poisson(poor);
        // P(X2 ≤ x), one entry per x from `least`.
        let cumulative: Vec<f64> = poor
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        rich.iter()
            .zip(first..)
            .map(|(p, rich)| {
                let served = (least..).zip(&cumulative).take_while(|&(x, _)| self.serves(rich, x));
                p * served.last().map_or(0.0, |(_, below)| *below)
            })
            .sum()
    }
}

/// The Poisson distribution with `mean`: the first value that is not negligible and the
/// probabilities from there on. A mean that is not positive is 0 for certain.
#[must_use]
pub fn poisson(mean: f64) -> (u32, Vec<f64>) {
    if mean.is_nan() || mean <= 0.0 {
        return (0, vec![1.0]);
    }
    let reach = DEVIATIONS * mean.sqrt() + 40.0;
    let first = (mean - reach).max(0.0) as u32;
    let end = (mean + reach) as u32;
    // Relative to the mode, where nothing underflows; divided by the sum in the end.
    let mode = mean as u32;
    let mut weights = vec![0.0; (end - first + 1) as usize];
    let at = |x: u32| (x - first) as usize;
    weights[at(mode)] = 1.0;
    for x in mode + 1..=end {
        weights[at(x)] = weights[at(x - 1)] * mean / f64::from(x);
    }
    for x in (first..mode).rev() {
        weights[at(x)] = weights[at(x + 1)] * f64::from(x + 1) / mean;
    }
    let sum: f64 = weights.iter().sum();
    (first, weights.into_iter().map(|weight| weight / sum).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: TwoClasses = TwoClasses { source: 10.0, rich: 7.0, poor: 0.1 };

    /// Theory notes §1.1, except for two numbers: at 0.9 of the critical ratio the notes print .504
    /// for 100 poor viewers and .145 for 1,000. The sum, repeated with exact rational terms, is
    /// .50346 and .14447.
    #[test]
    fn the_s_curve_of_the_table() {
        assert!((CLASSES.critical_ratio() - 0.15).abs() < 1e-12);
        let ratios = [0.8, 0.9, 1.0, 1.1, 1.2, 1.5];
        for (poor, printed, digit) in [
            (100.0, [0.351, 0.503, 0.646, 0.763, 0.851, 0.973], 1e-3),
            (1000.0, [0.010, 0.144, 0.547, 0.889, 0.988, 1.0], 1e-3),
            (10_000.0, [0.0, 1e-4, 0.515, 0.9998, 1.0, 1.0], 1e-3),
        ] {
            for (ratio, printed) in ratios.into_iter().zip(printed) {
                let found = CLASSES.universal(ratio * CLASSES.critical_ratio() * poor, poor);
                let off: f64 = found - printed;
                assert!(off.abs() <= digit / 2.0, "{poor} × {ratio}: {found}, not {printed}");
            }
        }
        let [low, high] = [0.9, 1.1].map(|ratio| CLASSES.universal(ratio * 1500.0, 10_000.0));
        assert!((low - 1e-4).abs() < 0.5e-4 && (high - 0.9998).abs() < 0.5e-4, "{low}, {high}");
    }

    #[test]
    fn a_poisson_distribution_adds_up_and_has_its_mean() {
        for mean in [0.0, 0.3, 15.0, 10_000.0] {
            let (first, p) = poisson(mean);
            let found: f64 = p.iter().zip(first..).map(|(p, x)| p * f64::from(x)).sum();
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!((found - mean).abs() < 1e-9 * mean.max(1.0), "{found} of {mean}");
        }
        assert!((poisson(2.0).1[0] - (-2.0_f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn a_source_below_the_stream_serves_nobody() {
        assert!(!TwoClasses { source: 0.9, rich: 9.0, poor: 0.5 }.serves(10, 1));
    }
}
