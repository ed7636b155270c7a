//! Options that the programs have in common.

use beacon_sdk::{Profile, policy};
use std::path::PathBuf;
use std::time::Duration;

/// How long to run, and what to leave behind.
#[derive(Debug, Clone, clap::Args)]
pub struct Run {
    /// Stop after this many seconds; without it, at the end of the broadcast or on Ctrl-C
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Write counters as JSON to this file, every second and at the end
    #[arg(long, value_name = "FILE.json")]
    pub stats: Option<PathBuf>,
    /// STUN server for peers behind NAT, such as stun:stun.example.org:3478; may be repeated
    #[arg(long = "ice-server", value_name = "URL")]
    pub ice: Vec<String>,
    /// Settings: live (4 s to playout), low-latency (0.8 s) or ephemeral
    #[arg(long, default_value = "live", value_name = "PROFILE")]
    pub profile: Profile,
}

/// A positive number of seconds.
///
/// # Errors
/// When it is not one.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be above zero".to_owned()),
    }
}

/// Megabits per second as bits per second.
///
/// # Errors
/// When it is not a positive number.
pub fn megabits(text: &str) -> Result<u64, String> {
    let megabits: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of Mbit/s"))?;
    if megabits > 0.0 && megabits < 1e6 {
        Ok((megabits * 1e6) as u64)
    } else {
        Err("must be above zero".to_owned())
    }
}

/// The name of a scheduler that comes with the SDK.
///
/// # Errors
/// When there is none of that name; says which there are.
pub fn scheduler(name: &str) -> Result<&'static str, String> {
    let known = policy::NAMES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("no scheduler {name:?}: use one of {}", policy::NAMES.join(", ")))
}

/// What every program's help ends with.
pub const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 bad usage. RUST_LOG=info shows more.";
