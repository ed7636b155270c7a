//! How viewers come and go.

use serde::{Deserialize, Serialize};

/// How viewers come and go.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Churn {
    /// How long they stay.
    pub stay: Stay,
    /// The first ones come spread over this time, seconds.
    pub arrive_s: f64,
    /// Another viewer comes for every one that leaves, so that their number stays.
    pub replace: bool,
    /// Percent of those leaving that say goodbye; the others vanish.
    pub goodbye: u32,
}

impl Default for Churn {
    fn default() -> Self {
        Self { stay: Stay::Forever, arrive_s: 5.0, replace: true, goodbye: 70 }
    }
}

/// How long viewers stay (theory.md §6.4).
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stay {
    /// Nobody leaves.
    Forever,
    /// Exponential.
    Exponential {
        /// Seconds.
        mean: f64,
    },
    /// Lognormal.
    Lognormal {
        /// Of the logarithm of seconds.
        mu: f64,
        /// Of the logarithm of seconds.
        sigma: f64,
    },
    /// Weibull.
    Weibull {
        /// Below 1: those who have stayed, stay.
        shape: f64,
        /// Seconds.
        scale: f64,
    },
    /// 30 % lognormal with median 40 s and sigma 1, 70 % Weibull (.6, 1500 s).
    ViewerMix,
}
