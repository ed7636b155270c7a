//! What goes into the engine and what comes out.

use crate::event::Event;
use crate::id::PeerId;
use crate::identity::PublicKey;
use crate::media::{Choice, Media};
use crate::plugin::{CloseReason, Lane, Link, PeerHint, Report};
use bytes::Bytes;

/// Something that happened outside.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The time that [`poll_timeout`](super::Engine::poll_timeout) named has come.
    Timeout,
    /// The rendezvous names peers, best first.
    Discovered(Vec<PeerHint>),
    /// The rendezvous says that a peer has left.
    Gone(PeerId),
    /// The rendezvous says that the owner of the broadcast has sent a peer away.
    Banned(PeerId),
    /// The rendezvous pays, and its edges are signed by this key.
    Issuer(PublicKey),
    /// The rendezvous gives an edge for the ledger, at most
    /// [`EDGE_BYTES_MAX`](crate::plugin::EDGE_BYTES_MAX) bytes.
    Edge(Bytes),
    /// A link is up.
    Connected(Link),
    /// A dial came to nothing.
    ConnectFailed {
        /// The peer not reached.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A link is gone.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A frame came.
    Received {
        /// From whom.
        from: PeerId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        frame: Bytes,
    },
    /// A lane has room again.
    Writable {
        /// Whose.
        to: PeerId,
        /// Which.
        lane: Lane,
    },
    /// The transport had no room for the frame that was to be sent just now.
    Refused {
        /// To whom.
        to: PeerId,
        /// On which lane.
        lane: Lane,
        /// The frame, given back.
        frame: Bytes,
    },
    /// The source yields an item. Only at the origin.
    Media(Media),
    /// The source has ended. Only at the origin.
    End,
    /// Other than [`Config::upload_bps`](crate::Config::upload_bps) says, so many bits per second
    /// may go out from now on; `None` is what the links carry, and with 0 nothing is passed on any
    /// more. Children beyond are given notice and served until they have found another parent, for
    /// 2.5 s at most; then the limit holds.
    Upload(Option<u64>),
    /// Other tracks are to be taken, played and passed on than
    /// [`Config::choice`](crate::Config::choice) says. The picture that is shown goes on until the
    /// other has a group that is whole.
    Choice(Choice),
}

/// Something to be done outside.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Connect to a peer.
    Dial(PeerId),
    /// Close the link to a peer, or end the dial. Nothing for it follows.
    Close {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// Hand a frame to the transport; what it gives back returns as [`Input::Refused`], before the
    /// next output is polled.
    Send {
        /// To whom.
        to: PeerId,
        /// On which lane.
        lane: Lane,
        /// The frame.
        frame: Bytes,
    },
    /// Report to the rendezvous.
    Report(Report),
    /// Show the rendezvous a receipt.
    Claim(Bytes),
    /// Tell the application.
    Event(Event),
}
