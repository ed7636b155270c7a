//! What Beacon costs and how long it takes, measured on this machine: the parts of the program
//! `measure`.
//!
//! Hard properties (nothing missed, nobody stalls) are checked and fail the run; times and costs
//! are printed, because they are the machine's as well.

pub mod chain;
pub mod crowd;
mod fence;
mod pulse;
pub mod relay;
mod report;
mod usage;

use beacon_sdk::Instant;
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time as drivers count it.
fn unix_now() -> Instant {
    Instant::ZERO + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
