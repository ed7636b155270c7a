//! The policies that come with the SDK. Each is an ordinary implementation of a plugin trait.

mod deadline_first;
mod fountain;
mod hybrid;
mod latest_useful;
mod mesh_score;
mod multi_tree;
mod nak_driven;
mod open_ledger;
mod patience;
mod pipelined_pull;
mod plain;
mod pull;
mod push_pull;
mod random_useful;
mod rarest_first;
mod role;
mod roll;
mod service_score;
mod stripes;

#[cfg(test)]
mod tests;

pub use deadline_first::DeadlineFirst;
pub use fountain::Fountain;
pub use hybrid::Hybrid;
pub use latest_useful::LatestUseful;
pub use mesh_score::{MeshScore, NEWCOMER_SCORE, SCORED_PEERS_MAX};
pub use multi_tree::MultiTree;
pub use nak_driven::NakDriven;
pub use open_ledger::{COUNTED_PEERS_MAX, OpenLedger};
pub use pipelined_pull::PipelinedPull;
pub use plain::Plain;
pub use push_pull::PushPull;
pub use random_useful::RandomUseful;
pub use rarest_first::RarestFirst;
pub use role::Tenure;
pub use service_score::ServiceScore;

use crate::config::Config;
use crate::plugin::{Scheduler, Scorer};

/// The names of all schedulers that come with the SDK, the default first.
pub const NAMES: [&str; 10] = [
    "push-pull",
    "rarest-first",
    "deadline-first",
    "latest-useful",
    "random-useful",
    "hybrid",
    "pipelined-pull",
    "nak-driven",
    "fountain",
    "multi-tree",
];

/// The scheduler of that name, set up for a configuration; `None` when there is none: say
/// [`NAMES`].
#[must_use]
pub fn scheduler(name: &str, config: &Config) -> Option<Box<dyn Scheduler>> {
    Some(match name {
        "push-pull" => Box::new(PushPull::new(config)),
        "rarest-first" => Box::new(RarestFirst),
        "deadline-first" => Box::new(DeadlineFirst),
        "latest-useful" => Box::new(LatestUseful::new(config)),
        "random-useful" => Box::new(RandomUseful),
        "hybrid" => Box::new(Hybrid::new(config)),
        "pipelined-pull" => Box::new(PipelinedPull::default()),
        "nak-driven" => Box::new(NakDriven::new(config)),
        "fountain" => Box::new(Fountain::new(config)),
        "multi-tree" => Box::new(MultiTree::new(config)),
        _ => return None,
    })
}

/// The names of all scorers that come with the SDK, the default first.
pub const SCORERS: [&str; 2] = ["mesh", "service"];

/// The scorer of that name; `None` when there is none: say [`SCORERS`].
#[must_use]
pub fn scorer(name: &str) -> Option<Box<dyn Scorer>> {
    Some(match name {
        "mesh" => Box::new(MeshScore::default()),
        "service" => Box::new(ServiceScore::default()),
        _ => return None,
    })
}
