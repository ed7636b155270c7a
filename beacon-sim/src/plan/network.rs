//! Access links, and the network between them.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A class of access links.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Its part of all viewers, relative to the other classes.
    pub share: u32,
    /// What it gives to the mesh, Mbit/s. A class with 0 still sends control frames, at
    /// [`CONTROL_MBIT`].
    pub up: f64,
    /// Downlink, Mbit/s.
    #[serde(default = "default_down")]
    pub down: f64,
    /// What stands before it.
    #[serde(default)]
    pub nat: Nat,
}

/// Uplink of a viewer that gives nothing, Mbit/s: what its control frames go over.
pub const CONTROL_MBIT: f64 = 0.5;

fn default_down() -> f64 {
    100.0
}

/// Kinds of address translation, by who can connect to whom (theory.md §3).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Reachable by everybody.
    #[default]
    Open,
    /// Endpoint-independent mapping: can be punched.
    Eim,
    /// Endpoint-dependent mapping ("symmetric").
    Edm,
}

/// The origin's access link.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// Uplink, Mbit/s.
    pub up: f64,
    /// Links at most; the profile's if absent.
    pub links: Option<u16>,
}

impl Default for Origin {
    fn default() -> Self {
        Self { up: 20.0, links: None }
    }
}

/// The network between the access links.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Where delays come from.
    pub latency: Latency,
    /// Median of the jitter added to every burst, ms; lognormal with sigma .3, cut at ten times.
    pub jitter_ms: f64,
    /// Frames lost, percent, in bursts (Gilbert–Elliott with `loss_burst`).
    pub loss: f64,
    /// Mean length of a loss burst in frames.
    pub loss_burst: f64,
    /// Bytes per frame that are not Beacon's: IP, UDP, DTLS, SCTP.
    pub overhead: u32,
    /// What waits in an access link before the sender is held back, ms.
    pub queue_ms: u32,
    /// Hold links to what loss-based congestion control gives: MSS / (RTT · √(2p/3)).
    pub loss_limited: bool,
    /// Clocks are off by up to this, either way, ms.
    pub skew_ms: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency: Latency::Fixed { ms: 30.0 },
            jitter_ms: 3.0,
            loss: 0.0,
            loss_burst: 1.5,
            overhead: 70,
            queue_ms: 100,
            loss_limited: true,
            skew_ms: 0,
        }
    }
}

/// Where one-way delays come from.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// All pairs alike.
    Fixed {
        /// One way, ms.
        ms: f64,
    },
    /// A generator fitted to the round trips of PlanetLab (theory.md §6.3).
    Planetlab {
        /// Multiplies every delay: 0.3 is about one continent.
        #[serde(default = "one")]
        scale: f64,
    },
    /// Round trips in ms, a square of numbers, one row a line; peers take rows at random.
    Matrix {
        /// The file, beside the plan.
        file: PathBuf,
    },
}

fn one() -> f64 {
    1.0
}
