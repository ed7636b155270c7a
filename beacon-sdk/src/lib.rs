//! Beacon: live video that its viewers carry.

mod config;
pub mod engine;
mod event;
mod id;
mod identity;
mod maybe_send;
pub mod media;
pub mod plugin;
pub mod policy;
mod rng;
mod stats;
mod time;
pub mod wire;

pub use config::{Config, ConfigError, DEPTH_MAX, Profile, STRIPES_MAX};
pub use engine::Engine;
pub use event::{Event, Offence};
pub use id::{BroadcastId, PeerId, SegmentId, TrackId};
pub use identity::{Identity, ParseKeyError, PublicKey, SIGNATURE_LEN, Signature};
pub use maybe_send::MaybeSend;
pub use plugin::{
    CloseReason, ErasureCode, Lane, Layout, Ledger, Rendezvous, Role, Scheduler, Score, Scorer,
    Sink, Source, Transport,
};
pub use rng::Rng;
pub use stats::{Percentiles, Stats};
pub use time::Instant;
