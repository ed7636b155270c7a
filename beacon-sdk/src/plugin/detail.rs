//! How a peer does, by its own account.

use crate::id::PeerId;
use crate::stats::Percentiles;
use serde::{Deserialize, Serialize};

/// Links in a [`Detail`] at most: those that carry most.
pub const DETAIL_LINKS_MAX: usize = 16;

/// What a peer says of its links and counters, a few times a minute: for people to look at. It is
/// believed only as that; credit and the choice of parents never come from it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Detail {
    /// Bits per second of media that came from the origin itself. This and the other rates: since
    /// the report before.
    pub origin_bps: u64,
    /// Bits per second of media that came from other peers.
    pub peers_bps: u64,
    /// Bits per second of media that links took.
    pub up_bps: u64,
    /// Segments due since the first one played. This and the other counts: since it came.
    pub expected: u64,
    /// Segments that became gaps.
    pub missed: u64,
    /// Times the picture would have stood still.
    pub stalls: u64,
    /// Changes of a stripe's parent after the first.
    pub moves: u64,
    /// From joining to the first segment played, in milliseconds.
    pub startup_ms: u64,
    /// From capture to the sink, by this peer's clock.
    pub latency_ms: Percentiles,
    /// Its links, at most [`DETAIL_LINKS_MAX`], those that carry most first.
    pub links: Vec<LinkDetail>,
}

/// One link of a [`Detail`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkDetail {
    /// The neighbour.
    pub peer: PeerId,
    /// Smoothed round trip in milliseconds.
    pub rtt_ms: u32,
    /// Bits per second of media received from it.
    pub down_bps: u64,
    /// Bits per second of media that its link took.
    pub up_bps: u64,
    /// Stripes it pushes to the peer that reports.
    pub parent_of: u8,
    /// Stripes that the peer that reports pushes to it.
    pub child_of: u8,
}
