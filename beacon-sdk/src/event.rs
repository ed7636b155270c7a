//! What an application is told while a broadcast runs: a few lines a second at most.

use crate::id::{BroadcastId, PeerId, SegmentId};
use crate::plugin::CloseReason;
use core::fmt;
use core::time::Duration;

/// Something worth telling a person or an application.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A neighbour's identity is proven; the link can be used.
    PeerJoined {
        /// Who.
        peer: PeerId,
    },
    /// A neighbour is gone.
    PeerLeft {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A neighbour sent what is provably false and is not spoken to any more.
    PeerBanned {
        /// Who.
        peer: PeerId,
        /// What it did.
        offence: Offence,
    },
    /// The first segment can be played.
    Started {
        /// Time since this peer came.
        after: Duration,
    },
    /// A stripe has a new parent.
    Reparented {
        /// The stripe.
        stripe: u8,
        /// The new parent.
        parent: PeerId,
    },
    /// A segment could not be had in time.
    Missed {
        /// Which.
        id: SegmentId,
    },
    /// The publisher signed two different manifests for one segment. Every neighbour is shown the proof, and
    /// a viewer plays nothing more.
    Equivocation {
        /// For which segment.
        id: SegmentId,
    },
    /// The rendezvous is out of reach; links and media go on.
    RendezvousLost {
        /// The cause.
        reason: String,
    },
    /// The rendezvous is back.
    RendezvousBack,
    /// The rendezvous names another broadcast under this name, or a new run of it. This one is
    /// over; watch again to see the new one.
    Replaced {
        /// The broadcast that is there now.
        by: BroadcastId,
    },
    /// The broadcast has ended.
    Ended,
}

/// What a peer is banned for: each is proof against the sender itself, because peers verify
/// before they pass on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Offence {
    /// A symbol that does not match its signed manifest.
    FalseSymbol,
    /// A page that does not match its signed manifest.
    FalsePage,
    /// A manifest or description that the publisher did not sign.
    ForgedRecord,
    /// An identity it could not prove.
    FalseIdentity,
    /// A frame that breaks the protocol.
    BrokenFrame,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FalseSymbol => "false symbol",
            Self::FalsePage => "false page",
            Self::ForgedRecord => "forged record",
            Self::FalseIdentity => "false identity",
            Self::BrokenFrame => "broken frame",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerJoined { peer } => write!(f, "peer {peer:?} joined"),
            Self::PeerLeft { peer, reason } => write!(f, "peer {peer:?} left: {reason}"),
            Self::PeerBanned { peer, offence } => write!(f, "peer {peer:?} banned: {offence}"),
            Self::Started { after } => write!(f, "playing after {} ms", after.as_millis()),
            Self::Reparented { stripe, parent } => {
                write!(f, "stripe {stripe} now comes from {parent:?}")
            }
            Self::Missed { id } => write!(f, "segment {id} missed"),
            Self::Equivocation { id } => {
                write!(
                    f,
                    "the broadcaster signs two different streams: two manifests for segment {id}"
                )
            }
            Self::RendezvousLost { reason } => write!(f, "rendezvous lost: {reason}"),
            Self::RendezvousBack => f.write_str("rendezvous back"),
            Self::Replaced { by } => write!(f, "another broadcast has this name now: {by}"),
            Self::Ended => f.write_str("broadcast ended"),
        }
    }
}
