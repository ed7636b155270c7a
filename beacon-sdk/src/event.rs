//! What an application is told while a broadcast runs: a few lines a second at most.

use crate::id::{BroadcastId, PeerId, SegmentId};
use crate::media::Track;
use crate::plugin::CloseReason;
use crate::wire::Versions;
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
    /// A peer speaks no version of the protocol that this build speaks: they cannot be neighbours.
    OtherVersion {
        /// Who, unproven.
        peer: PeerId,
        /// What it speaks.
        versions: Versions,
    },
    /// What the broadcast has, whether it is taken here or not; again when that changes.
    Described {
        /// All of its tracks.
        tracks: Vec<Track>,
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
    /// To the origin: the uplinks of all peers together do not carry the stream, or do so again.
    /// While they do not, part of the pictures is left out; an encoder with a lower bit rate
    /// does better.
    Supply {
        /// Subscriptions that can be served, in percent of those that are wanted.
        percent: u32,
        /// All that the source makes is published.
        enough: bool,
    },
    /// To a viewer: from now on the origin leaves out pictures for want of uplinks, or does so no
    /// more.
    Thinned {
        /// Which of the two.
        thinned: bool,
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

/// Everybody whom a viewer has reached speaks another version of the protocol.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Incompatible {
    /// What they speak.
    pub theirs: Versions,
}

impl Incompatible {
    /// This build is the older one.
    #[must_use]
    pub const fn outdated(&self) -> bool {
        self.theirs.min > Versions::OWN.max
    }
}

impl core::error::Error for Incompatible {}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, theirs) = (Versions::OWN, self.theirs);
        if self.outdated() {
            write!(
                f,
                "this program is older than the broadcast: it speaks {own} of the protocol, the \
                 peers of the broadcast {theirs}; update this program"
            )
        } else {
            write!(
                f,
                "this program is newer than the broadcast: it speaks {own} of the protocol, the \
                 peers of the broadcast {theirs}; ask the broadcaster to update, or watch with an \
                 older program"
            )
        }
    }
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
            Self::OtherVersion { peer, versions } => {
                let own = Versions::OWN;
                write!(f, "peer {peer:?} speaks {versions} of the protocol, and this one {own}")
            }
            Self::Described { tracks } => {
                f.write_str("the broadcast has ")?;
                for (at, track) in tracks.iter().enumerate() {
                    write!(f, "{}{track}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
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
            Self::Supply { percent, enough: false } => write!(
                f,
                "uplinks carry {percent} % of what is wanted: part of the pictures is left out; \
                 a lower bit rate helps"
            ),
            Self::Supply { percent, enough: true } => {
                write!(f, "uplinks carry {percent} % of what is wanted: all is published again")
            }
            Self::Thinned { thinned: true } => {
                f.write_str("the origin leaves out pictures: the audience's uplinks are too few")
            }
            Self::Thinned { thinned: false } => f.write_str("all pictures are there again"),
            Self::RendezvousLost { reason } => write!(f, "rendezvous lost: {reason}"),
            Self::RendezvousBack => f.write_str("rendezvous back"),
            Self::Replaced { by } => write!(f, "another broadcast has this name now: {by}"),
            Self::Ended => f.write_str("broadcast ended"),
        }
    }
}
