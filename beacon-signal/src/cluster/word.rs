//! What comes on a node's channel: from Redis, as it decides, and from other nodes.

use crate::order::ShortId;
use beacon_sdk::plugin::PeerHint;
use beacon_sdk::signaling::SignalData;
use beacon_sdk::{BroadcastId, PeerId};
use serde::{Deserialize, Serialize};

/// One message on a channel, as JSON. `name` is the room's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub(super) enum Word {
    /// A connection of this node is let in.
    In {
        name: String,
        connection: u64,
        broadcast: Option<BroadcastId>,
        pool: Pool,
        /// By the owner: what it says of itself is not looked at.
        #[serde(default)]
        muted: bool,
    },
    /// Somebody came, to whichever node.
    Came { name: String, hint: PeerHint, size: usize },
    /// Somebody left; told of small rooms.
    Gone { name: String, peer: PeerId },
    /// The broadcast is another; its origin knows.
    Run { name: String, broadcast: BroadcastId, origin: PeerId },
    /// A newer connection took this one's place.
    Replaced { name: String, peer: PeerId, connection: u64 },
    /// The owner sends a peer away: those of the room that are meant are `peers`.
    Banned {
        name: String,
        peer: ShortId,
        #[serde(default)]
        peers: Vec<PeerId>,
    },
    /// The owner mutes a peer, or no longer.
    Muted { name: String, peer: ShortId, on: bool },
    /// The owner ends the broadcast.
    Ended { name: String },
    /// A set-up signal. `knows`: the sender's node has told it of the addressee.
    Signal { name: String, to: PeerId, from: PeerId, knows: bool, data: SignalData },
    /// An edge ends soon; the downloader is at this node.
    Renew { name: String, downloader: PeerId, uploader: PeerId },
    /// Whom to tell of.
    Pool { name: String, pool: Pool },
    /// This node's own heartbeat.
    Beat,
}

/// Peers of a room that may be told of: the best, and others drawn at random.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pool {
    /// Peers of the room.
    pub(super) size: usize,
    pub(super) best: Vec<PeerHint>,
    pub(super) others: Vec<PeerHint>,
}
