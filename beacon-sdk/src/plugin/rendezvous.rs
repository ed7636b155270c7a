//! [`Rendezvous`]: how peers find each other before they have links.

use super::{Detail, Role};
use crate::id::{BroadcastId, PeerId};
use crate::identity::PublicKey;
use crate::listing::Listing;
use crate::maybe_send::MaybeSend;
use async_trait::async_trait;
use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Bytes of a relayed set-up signal at most: an SDP offer with candidates is 1–4 KiB.
pub const SIGNAL_BYTES_MAX: usize = 16 * 1024;

/// What a peer says when it comes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Join {
    /// The name of the broadcast, 1–64 characters.
    pub name: String,
    /// Who comes.
    pub peer: PeerId,
    /// The publisher's key and this run's epoch: given by the origin; a viewer that holds a
    /// ticket gives what it expects, another one learns it from [`RendezvousEvent::Joined`].
    pub broadcast: Option<BroadcastId>,
    /// Whether this peer publishes.
    pub publish: bool,
}

/// A peer that may be worth a dial.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerHint {
    /// Who.
    pub peer: PeerId,
    /// Its score as last reported, 0–100.
    pub score: u8,
    /// Its role as last reported.
    pub role: Role,
    /// Hops from the origin as last reported; 0 is the origin.
    pub depth: u8,
    /// Links it can still take, as last reported.
    pub slots: u16,
}

/// What a peer reports of itself from time to time: a hint for parent choice, never a claim to
/// credit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Mean of its neighbours' scores of it is unknown to it; this is its own estimate, 0–100.
    pub score: u8,
    /// Its role.
    pub role: Role,
    /// Hops from the origin on its deepest stripe.
    pub depth: u8,
    /// Links it can still take.
    pub slots: u16,
    /// Bits per second it uploaded lately.
    pub upload_bps: u64,
    /// Its links and counters, for people to look at: now and then, and only if it tells them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Detail>>,
}

/// A TURN server (RFC 8656) and leave to use it for a time, as a rendezvous grants it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnServer {
    /// Its addresses, as in `turn:HOST:3478?transport=udp`, at most [`TURN_URLS_MAX`]. A transport passes over those
    /// that it cannot use.
    pub urls: Vec<String>,
    /// Who this peer is to it.
    pub username: String,
    /// Its password there.
    pub credential: String,
}

/// Addresses of a [`TurnServer`] at most; browsers warn above five servers in all.
pub const TURN_URLS_MAX: usize = 4;

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The credential stays out of logs.
        f.debug_struct("TurnServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// What a rendezvous tells.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RendezvousEvent {
    /// This peer is in. Comes again after a reconnection.
    Joined {
        /// The broadcast of that name, `None` while its origin has not come yet.
        broadcast: Option<BroadcastId>,
    },
    /// Peers worth dialling, best first. At most 64.
    Peers(Vec<PeerHint>),
    /// A TURN server that the transport may use from now on, in place of the one before. Comes again before leave
    /// to use it ends.
    Turn(TurnServer),
    /// This rendezvous pays, and this is the key that its edges are signed by. After a `Joined`, each time.
    Issuer(PublicKey),
    /// An edge for the ledger: this peer is to take the broadcast from another, and to sign receipts for
    /// it. Of a rendezvous that pays; at most [`EDGE_BYTES_MAX`](super::EDGE_BYTES_MAX) bytes.
    Edge(Bytes),
    /// A peer has left. A hint: links decide for themselves.
    Gone(PeerId),
    /// The owner of the broadcast has sent a peer away: a link to it ends.
    Banned(PeerId),
    /// A set-up signal for the transport.
    Signal {
        /// The sender, as the rendezvous knows it.
        from: PeerId,
        /// Opaque, at most [`SIGNAL_BYTES_MAX`] bytes.
        signal: Bytes,
    },
    /// The rendezvous is out of reach; it is being tried again. Links are not affected.
    Suspended {
        /// The cause.
        reason: String,
    },
}

/// The rendezvous will not have this peer, or cannot work at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// Refused for good: asking again will not help.
    #[error("refused by the rendezvous: {0}")]
    Refused(String),
    /// It speaks another version of its protocol; what it said.
    #[error(
        "the rendezvous speaks another version of its protocol than this program ({0}): update \
         the older of the two"
    )]
    Version(String),
    /// Misconfigured: the address is not one.
    #[error("rendezvous address: {0}")]
    Address(String),
    /// `next_event` was called before `join`.
    #[error("not joined")]
    NotJoined,
    /// Shut down.
    #[error("the rendezvous is closed")]
    Closed,
}

/// Finds peers and carries connection set-up between those that have no link yet.
///
/// # Contract
/// - **V01** After `join`, the first event is `Joined` (or an error, or `Suspended` or `Turn` first).
/// - **V02** Signals between two joined peers arrive whole, unaltered and in order; `from` is the
///   id the sender joined with.
/// - **V03** A signal to an unknown peer, or above [`SIGNAL_BYTES_MAX`], is dropped silently.
/// - **V04** Peers are told of each other: whoever comes later is told of those there, and in
///   time those there are told of it.
/// - **V05** `next_event` is cancel-safe.
/// - **V06** Peers of another broadcast are never told of, nor reached by signals.
/// - **V07** A lost server is `Suspended`, then `Joined` again when it is back: never an error,
///   never a busy loop.
/// - **V08** After `shutdown` others are told `Gone`, or stop being told of this peer.
#[cfg_attr(not(target_family = "wasm"), async_trait)]
#[cfg_attr(target_family = "wasm", async_trait(?Send))]
pub trait Rendezvous: MaybeSend + 'static {
    /// Asks to be in. Outcome as an event. Called once.
    fn join(&mut self, join: Join);

    /// Sends a set-up signal. Best effort: the dial's watchdog covers a loss.
    fn signal(&mut self, to: PeerId, signal: Bytes);

    /// Reports about this peer; only the latest report counts.
    fn report(&mut self, report: Report);

    /// Says what lists are to show of the broadcast that this peer publishes; only the latest
    /// listing counts. One that keeps no list does nothing.
    fn list(&mut self, listing: Listing) {
        drop(listing);
    }

    /// Shows a receipt that a peer signed for this one, at most
    /// [`RECEIPT_BYTES_MAX`](super::RECEIPT_BYTES_MAX) bytes. Best effort: the next one of the same edge covers
    /// a loss. One that does not pay does nothing.
    fn claim(&mut self, receipt: Bytes) {
        drop(receipt);
    }

    /// The next event.
    ///
    /// # Errors
    /// [`RendezvousError`] when asking again cannot help.
    ///
    /// # Cancel safety
    /// Cancel-safe (V05).
    async fn next_event(&mut self) -> Result<RendezvousEvent, RendezvousError>;

    /// Leaves. Idempotent, bounded to a second.
    async fn shutdown(&mut self);
}
