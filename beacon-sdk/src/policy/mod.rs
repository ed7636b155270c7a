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
