//! [`Transport`]: links to peers.

use super::TurnServer;
use crate::id::PeerId;
use crate::maybe_send::MaybeSend;
use async_trait::async_trait;
use bytes::Bytes;
use core::fmt;

/// One of the two paths of a link.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Reliable and ordered: handshake, manifests, requests.
    Control,
    /// Unordered, may lose frames: symbols.
    Data,
}

/// What a transport can carry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TransportCaps {
    /// Bytes of a frame on [`Lane::Control`] at most; at least 16 KiB.
    pub control_frame_max: usize,
    /// Bytes of a frame on [`Lane::Data`] at most; at least 1152, one packet on WebRTC.
    pub data_frame_max: usize,
    /// Frames on the data lane can get lost.
    pub data_is_lossy: bool,
}

/// A link that has come up.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The peer this end *believes* to have reached: what signaling said. The engine's handshake
    /// proves it or closes the link.
    pub peer: PeerId,
    /// Bytes that both ends of this connection compute alike and that nobody in the middle can
    /// force equal on two connections: over WebRTC a hash of both DTLS fingerprints. The
    /// handshake signs them.
    pub binding: [u8; 32],
    /// This end dialled.
    pub dialled: bool,
}

/// Why a link is closed or was lost.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application or the engine has no more use for it.
    Done,
    /// The other end closed it.
    Remote,
    /// Nothing was heard for too long.
    Timeout,
    /// The peer broke the protocol, or sent what is provably false.
    Protocol,
    /// The two ends speak no common version of the protocol.
    Version,
    /// No room for another link.
    Full,
    /// The other end could not prove who it is.
    Identity,
    /// The transport failed.
    Failed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Remote => "closed by the peer",
            Self::Timeout => "timed out",
            Self::Protocol => "protocol violation",
            Self::Version => "no common version of the protocol",
            Self::Full => "full",
            Self::Identity => "identity not proven",
            Self::Failed => "transport failed",
        })
    }
}

/// What a transport tells.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportEvent {
    /// Carry `signal` to `to` over whatever rendezvous there is.
    Signal {
        /// The addressee.
        to: PeerId,
        /// Opaque connection set-up data, at most 16 KiB.
        signal: Bytes,
    },
    /// A link is up: both lanes can be used.
    Connected(Link),
    /// A dial, or the answer to one, came to nothing.
    ConnectFailed {
        /// The peer that was not reached.
        peer: PeerId,
        /// The cause, for logs.
        reason: CloseReason,
    },
    /// A link is gone; nothing more comes from it.
    Disconnected {
        /// The peer it led to.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A whole frame has arrived.
    Received {
        /// From whom.
        from: PeerId,
        /// On which lane.
        lane: Lane,
        /// The frame, as it was given to `try_send`.
        frame: Bytes,
    },
    /// A lane that was [`TrySendError::Full`] has room again.
    Writable {
        /// The peer.
        to: PeerId,
        /// The lane.
        lane: Lane,
    },
}

/// A frame that was not taken, given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// No room now; [`TransportEvent::Writable`] follows.
    #[error("no room on this lane")]
    Full(Bytes),
    /// Larger than the lane's frame limit.
    #[error("frame exceeds the lane's limit")]
    TooLarge(Bytes),
    /// No link to this peer.
    #[error("not connected")]
    NotConnected(Bytes),
}

/// The transport cannot go on at all.
#[derive(Debug, thiserror::Error)]
#[error("transport failed: {context}")]
pub struct TransportError {
    /// What was being done, and what can be done about it.
    pub context: String,
    /// The underlying cause.
    #[source]
    pub source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

/// Links to peers, two lanes each. No policy: whom to dial, what to send and when to give up is
/// the engine's business.
///
/// # Contract
/// - **T01** One outcome per dial: `Connected` or `ConnectFailed`, within a bounded time that the
///   adapter documents (30 s at most).
/// - **T02** Both ends of a link report the same [`Link::binding`]; two links never share one.
/// - **T03** `Full` gives back the identical frame, and `Writable` for that lane follows once
///   there is room.
/// - **T04** `Control` is reliable and ordered.
/// - **T05** Frames are never merged, split or altered, on either lane.
/// - **T06** A frame above the lane's limit is refused with `TooLarge`, and the link lives on.
/// - **T07** `next_event` is cancel-safe: a dropped call loses nothing.
/// - **T08** Nothing is reported of a peer after its `Disconnected`, until a new `Connected`.
/// - **T09** Two peers that dial each other at once end with exactly one link.
/// - **T10** Any call with an unknown peer is harmless: `NotConnected`, or nothing at all.
/// - **T11** A reader that stalls makes `try_send` say `Full`: what the sender buffers is bounded.
/// - **T12** `shutdown` ends within a second, and the other ends learn of it.
/// - **T13** A garbage signal from anyone is ignored or fails that dial; it disturbs no other
///   link.
/// - **T14** `close` is prompt: the other end reports `Disconnected` within a second or two.
#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
pub trait Transport: MaybeSend + 'static {
    /// What it can carry; constant.
    fn caps(&self) -> TransportCaps;

    /// Starts to connect to `peer`. Does nothing when a link or a dial exists.
    fn dial(&mut self, peer: PeerId);

    /// Takes a set-up signal that came from `from` through the rendezvous; the first one of an
    /// unknown peer is its dial.
    fn signal(&mut self, from: PeerId, signal: Bytes);

    /// Takes a TURN server that the rendezvous grants, in place of the one before: dials and answers from now on
    /// may use it, links that are up stay as they are. A transport without use for one does nothing.
    fn turn(&mut self, server: TurnServer) {
        drop(server);
    }

    /// Closes the link, or ends the dial, and forgets the peer. No event follows.
    fn close(&mut self, peer: PeerId, reason: CloseReason);

    /// Hands over one frame, or gives it back. Never blocks, never queues without bound.
    ///
    /// # Errors
    /// [`TrySendError`], with the frame inside.
    fn try_send(&mut self, to: PeerId, lane: Lane, frame: Bytes) -> Result<(), TrySendError>;

    /// The next event.
    ///
    /// # Errors
    /// Only when the whole transport is unusable; one link's trouble is an event.
    ///
    /// # Cancel safety
    /// Cancel-safe (T07).
    async fn next_event(&mut self) -> Result<TransportEvent, TransportError>;

    /// Closes every link and frees sockets and tasks. Idempotent.
    async fn shutdown(&mut self);
}
