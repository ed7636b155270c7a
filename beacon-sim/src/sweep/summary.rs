//! Many runs as means with 95 % intervals.

use super::{Outcome, Sweep, SweepError, wrong};
use crate::report::Report;

/// A number that a report holds, and how it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As in the report: `delay_ms.p95`.
    pub name: &'static str,
    /// Over a column.
    pub title: &'static str,
    /// Beside an axis, with its unit.
    pub axis: &'static str,
    /// What it is multiplied with when shown: 100 for shares.
    pub scale: f64,
    /// Digits after the point when shown.
    pub digits: usize,
    /// Nothing is outside, as shown.
    pub most: f64,
    /// Takes it out of a report; no number when it has none.
    pub of: fn(&Report) -> f64,
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

const fn share(
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    of: fn(&Report) -> f64,
) -> Metric {
    Metric { name, title, axis, scale: 100.0, digits: 2, most: 100.0, of }
}

const fn plain(
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    digits: usize,
    of: fn(&Report) -> f64,
) -> Metric {
    Metric { name, title, axis, scale: 1.0, digits, most: f64::INFINITY, of }
}

/// A delay, when anything was delivered that could have had one.
fn delay(report: &Report, ms: f64) -> f64 {
    if report.delay_mean_ms > 0.0 { ms } else { f64::NAN }
}

/// All that is summed up, in the order of tables.
pub const METRICS: &[Metric] = &[
    share("continuity.0.8", "in 0.8 s, %", "delivered within 0.8 s, %", |r| r.continuity.s0_8),
    share("continuity.2", "in 2 s, %", "delivered within 2 s, %", |r| r.continuity.s2),
    share("continuity.4", "in 4 s, %", "delivered within 4 s, %", |r| r.continuity.s4),
    share("continuity.10", "in 10 s, %", "delivered within 10 s, %", |r| r.continuity.s10),
    plain("delay_ms.p50", "p50, ms", "delay, median, ms", 0, |r| delay(r, r.delay_ms.p50 as f64)),
    plain("delay_ms.p95", "p95, ms", "delay, 95th percentile, ms", 0, |r| {
        delay(r, r.delay_ms.p95 as f64)
    }),
    plain("delay_ms.p99", "p99, ms", "delay, 99th percentile, ms", 0, |r| {
        delay(r, r.delay_ms.p99 as f64)
    }),
    share("duplicates", "duplicates, %", "duplicates, % of received", |r| r.duplicates),
    share("control", "control, %", "control, % of useful bytes", |r| r.control),
    plain("source_ratio", "source, x", "source sends, streams", 2, |r| r.source_ratio),
    plain("eta_delay", "eta", "distance from the delay bound, ×", 1, |r| delay(r, r.eta_delay)),
    plain("stalls_per_peer_min", "stalls/min", "stalls per viewer and minute", 2, |r| {
        r.stalls_per_peer_min
    }),
    plain("reparents_per_peer_min", "reparents/min", "new parents per viewer and minute", 1, |r| {
        r.reparents_per_peer_min
    }),
    plain("never_played", "never played", "viewers that never played", 1, |r| {
        f64::from(r.never_played)
    }),
];

/// The metric of that name.
///
/// # Errors
/// [`SweepError::Field`] naming those there are.
pub fn metric(name: &str) -> Result<&'static Metric, SweepError> {
    METRICS.iter().find(|metric| metric.name == name).ok_or_else(|| {
        let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        wrong("panels", format!("no metric {name:?}: use one of {}", known.join(", ")))
    })
}

/// A mean and how sure it is.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Estimate {
    /// Of the samples that are numbers; no number without any.
    pub mean: f64,
    /// Half the width of the 95 % interval (Student's t); 0 for fewer than two samples.
    pub half: f64,
    /// Samples that are numbers.
    pub count: usize,
}

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

impl Estimate {
    /// From samples; those that are no numbers are left out.
    #[must_use]
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let samples: Vec<f64> = samples.into_iter().filter(|s| s.is_finite()).collect();
        let count = samples.len();
        let mean = samples.iter().sum::<f64>() / count as f64;
        if count < 2 {
            return Self { mean, half: 0.0, count };
        }
        let squares: f64 = samples.iter().map(|s| (s - mean) * (s - mean)).sum();
        let error = (squares / (count - 1) as f64 / count as f64).sqrt();
        // Beyond the table the quantile is 1.960 + 2.4 / df, to three digits.
        let freedom = count - 1;
        let t = T.get(freedom - 1).copied().unwrap_or(1.960 + 2.4 / freedom as f64);
        Self { mean, half: t * error, count }
    }

    /// Multiplied.
    #[must_use]
    pub fn times(self, scale: f64) -> Self {
        Self { mean: self.mean * scale, half: self.half * scale, ..self }
    }
}

/// A cell and its estimates, one for each of [`METRICS`].
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Index of the cell.
    pub cell: usize,
    /// Runs it is made of.
    pub runs: usize,
    /// In the order of [`METRICS`], as they are shown.
    pub values: Vec<Estimate>,
}

impl Row {
    /// The estimate of one metric, as it is shown; no number when it is none of [`METRICS`].
    #[must_use]
    pub fn value(&self, metric: &Metric) -> Estimate {
        let at = METRICS.iter().position(|other| other == metric);
        let none = Estimate { mean: f64::NAN, half: 0.0, count: 0 };
        at.and_then(|at| self.values.get(at).copied()).unwrap_or(none)
    }
}

/// Sums up the runs of each cell; cells without runs are left out.
#[must_use]
pub fn summarise(sweep: &Sweep, outcomes: &[Outcome]) -> Vec<Row> {
    let row = |cell: usize| {
        let runs: Vec<&Report> =
            outcomes.iter().filter(|o| o.cell == cell).map(|o| &o.report).collect();
        let value = |metric: &Metric| {
            Estimate::of(runs.iter().map(|report| (metric.of)(report))).times(metric.scale)
        };
        (!runs.is_empty()).then(|| Row {
            cell,
            runs: runs.len(),
            values: METRICS.iter().map(value).collect(),
        })
    };
    (0..sweep.cells.len()).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        let estimate = Estimate::of([1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((estimate.mean, estimate.count), (3.0, 5));
        // s = 1.5811, s/√5 = 0.7071, t(4) = 2.776
        assert!((estimate.half - 1.963).abs() < 1e-3, "{}", estimate.half);
        assert_eq!(Estimate::of([7.0]), Estimate { mean: 7.0, half: 0.0, count: 1 });
        assert!(Estimate::of([]).mean.is_nan());
        assert_eq!(Estimate::of([f64::NAN, 2.0]).mean, 2.0, "what is no number is left out");
        let many = Estimate::of((0..41).map(f64::from));
        // s = 11.979, s/√41 = 1.871, t(40) = 2.021
        assert!((many.half - 3.781).abs() < 0.01, "{}", many.half);
    }

    #[test]
    fn a_run_that_delivered_nothing_has_no_delay() {
        let nothing = Report::default();
        assert!(METRICS.iter().any(|m| m.name == "delay_ms.p95" && (m.of)(&nothing).is_nan()));
        assert!(metric("delay_ms.p95").is_ok());
        assert!(metric("speed").is_err_and(|e| e.to_string().contains("continuity.4")));
    }
}
