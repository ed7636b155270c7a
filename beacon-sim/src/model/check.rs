//! A measured number beside the published one.

use core::fmt;

/// The seed of the external checks. Four others gave the same verdicts, and other last digits.
pub const SEED: [u8; 32] = *b"beacon-sim external checks, v1.0";

/// What a measured number may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Band {
    /// The target, give or take this much.
    Within(f64),
    /// The target or more.
    AtLeast,
    /// The target or less.
    AtMost,
}

/// A number that a model measured, and the one it is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is measured.
    pub name: String,
    /// The published or derived number.
    pub target: f64,
    /// What the model gives.
    pub measured: f64,
    /// How far it may be off.
    pub band: Band,
}

impl Check {
    /// A check of `measured` against `target`.
    #[must_use]
    pub fn new(name: impl Into<String>, target: f64, measured: f64, band: Band) -> Self {
        Self { name: name.into(), target, measured, band }
    }

    /// Whether the number is in its band. No number is in none.
    #[must_use]
    pub fn ok(&self) -> bool {
        match self.band {
            // Numbers of a table are decimal: 0.65 ± 0.01 is meant to hold 0.66.
            Band::Within(width) => (self.measured - self.target).abs() <= width + 1e-9,
            Band::AtLeast => self.measured >= self.target,
            Band::AtMost => self.measured <= self.target,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.ok() { "ok  " } else { "FAIL" };
        let band = match self.band {
            Band::Within(width) => format!("± {width}"),
            Band::AtLeast => "or more".to_owned(),
            Band::AtMost => "or less".to_owned(),
        };
        let Self { name, target, measured, .. } = self;
        write!(out, "{verdict} {name}: {measured:.4}, target {target:.4} {band}")
    }
}

/// A published result and the model that repeats it.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Its number in the theory notes §6.6: `R1` to `R9`, or `slots` for the reference table
    /// of §1.5.
    pub id: &'static str,
    /// Whose result it is, and what it says.
    pub about: &'static str,
    /// Whether it takes too long for every change: more than a few seconds.
    pub nightly: bool,
    /// Runs the model.
    pub run: fn(seed: [u8; 32]) -> Vec<Check>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_holds_its_edges_and_no_more() {
        let ok = |measured, band| Check::new("x", 0.65, measured, band).ok();
        assert!(ok(0.66, Band::Within(0.01)) && ok(0.64, Band::Within(0.01)));
        assert!(!ok(0.661, Band::Within(0.01)) && !ok(0.639, Band::Within(0.01)));
        assert!(ok(0.65, Band::AtLeast) && !ok(0.6499, Band::AtLeast));
        assert!(ok(0.65, Band::AtMost) && !ok(0.6501, Band::AtMost));
        for band in [Band::Within(1.0), Band::AtLeast, Band::AtMost] {
            assert!(!ok(f64::NAN, band));
        }
    }

    #[test]
    fn a_line_says_what_failed() {
        let line = Check::new("coverage", 0.65, 0.7, Band::Within(0.01)).to_string();
        assert_eq!(line, "FAIL coverage: 0.7000, target 0.6500 ± 0.01");
    }
}
