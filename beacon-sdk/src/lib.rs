//! Beacon: live video that its viewers carry.

mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod id;
mod identity;
mod maybe_send;
pub mod media;
pub mod memory;
pub mod plugin;
pub mod policy;
mod rng;
pub mod signaling;
mod time;

pub use config::{Config, ConfigError, DEPTH_MAX, Profile, STRIPES_MAX};
pub use id::{BroadcastId, PeerId, SegmentId, TrackId};
pub use identity::{Identity, ParseKeyError, PublicKey, SIGNATURE_LEN, Signature};
pub use maybe_send::MaybeSend;
pub use plugin::{
    CloseReason, ErasureCode, Lane, Layout, Ledger, Rendezvous, Role, Scheduler, Score, Scorer,
    Sink, Source, Transport,
};
pub use rng::Rng;
pub use time::Instant;
