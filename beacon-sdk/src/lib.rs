//! Beacon: live video that its viewers carry.

mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod engine;
mod event;
mod id;
mod identity;
pub mod listing;
mod maybe_send;
pub mod media;
pub mod memory;
pub mod plugin;
pub mod policy;
mod rng;
#[cfg(feature = "tokio")]
mod runtime;
pub mod signaling;
mod stats;
pub mod ticket;
mod time;
pub mod wire;

pub use config::{Config, ConfigError, DEPTH_MAX, Profile, SLOTS_MAX, STRIPES_MAX};
pub use engine::Engine;
pub use event::{Event, Incompatible, Offence};
pub use id::{BroadcastId, PeerId, SegmentId, TrackId};
pub use identity::{Identity, ParseKeyError, PublicKey, SIGNATURE_LEN, Signature};
pub use listing::{About, Listing, ListingError, Thumbnail};
pub use maybe_send::MaybeSend;
pub use plugin::{
    CloseReason, ErasureCode, Lane, Layout, Ledger, Rendezvous, Role, Scheduler, Score, Scorer,
    Sink, Source, Transport,
};
pub use rng::Rng;
#[cfg(feature = "tokio")]
pub use runtime::timer;
#[cfg(feature = "tokio")]
pub use runtime::{
    Beacon, Broadcast, DriveError, Driver, Lister, Snapshot, StartError, Stopper, Tuner, Watch,
};
pub use stats::{LinkStats, Percentiles, Stats};
pub use ticket::{Ticket, TicketError};
pub use time::Instant;
