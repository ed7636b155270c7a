//! The policies that come with the SDK. Each is an ordinary implementation of a plugin trait.

mod mesh_score;
mod open_ledger;
mod plain;

pub use mesh_score::{MeshScore, NEWCOMER_SCORE, SCORED_PEERS_MAX};
pub use open_ledger::{COUNTED_PEERS_MAX, OpenLedger};
pub use plain::Plain;
