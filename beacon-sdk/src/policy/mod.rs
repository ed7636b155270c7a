//! The policies that come with the SDK. Each is an ordinary implementation of a plugin trait.

mod deadline_first;
mod mesh_score;
mod open_ledger;
mod plain;
mod pull;
mod push_pull;
mod rarest_first;

pub use deadline_first::DeadlineFirst;
pub use mesh_score::{MeshScore, NEWCOMER_SCORE, SCORED_PEERS_MAX};
pub use open_ledger::{COUNTED_PEERS_MAX, OpenLedger};
pub use plain::Plain;
pub use push_pull::PushPull;
pub use rarest_first::RarestFirst;

/// Names of the schedulers.
pub const NAMES: [&str; 3] = ["push-pull", "rarest-first", "deadline-first"];

/// A scheduler by name.
#[must_use]
pub fn scheduler(name: &str, config: &crate::Config) -> Option<Box<dyn crate::Scheduler>> {
    Some(match name {
        "push-pull" => Box::new(PushPull::new(config)),
        "rarest-first" => Box::new(RarestFirst),
        "deadline-first" => Box::new(DeadlineFirst),
        _ => return None,
    })
}
