//! Names of things: one newtype per concept.

use crate::identity::PublicKey;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Who a peer is: its Ed25519 public key.
///
/// A transport may carry a peer's *claimed* id; the engine believes it only after the handshake.
pub type PeerId = PublicKey;

/// One live event: the publisher's key and the epoch in which it was started.
///
/// A publisher that starts again under the same key uses a larger epoch (the driver takes Unix
/// milliseconds), so nothing signed before can be replayed into the new event.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct BroadcastId {
    /// The key that signs descriptions and manifests.
    pub publisher: PublicKey,
    /// Larger for every restart under the same key.
    pub epoch: u64,
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.epoch)
    }
}

/// One rendition or audio track of a broadcast, 0–63.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct TrackId(u8);

impl TrackId {
    /// Number of possible tracks; a set of tracks fits a `u64`.
    pub const LIMIT: u8 = 64;

    /// `None` when `id` is 64 or more.
    #[must_use]
    pub const fn new(id: u8) -> Option<Self> {
        if id < Self::LIMIT { Some(Self(id)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A segment: the `seq`-th one (from 0, without holes) of a track.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct SegmentId {
    /// The track it belongs to.
    pub track: TrackId,
    /// Its place in the track.
    pub seq: u32,
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.track, self.seq)
    }
}
