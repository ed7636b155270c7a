//! [`Scorer`]: what this peer thinks of its neighbours.

use crate::id::PeerId;
use crate::maybe_send::MaybeSend;
use crate::time::Instant;
use core::fmt::Debug;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Something seen of a peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Observation {
    /// A link to it is up and its identity proven.
    Connected,
    /// The link was lost without a goodbye.
    Dropped,
    /// It delivered verified symbols that were new here.
    Useful {
        /// Payload bytes.
        bytes: u32,
    },
    /// Its link took symbols; told once a second.
    Taken {
        /// Payload bytes.
        bytes: u32,
    },
    /// In the second that is over it delivered at this rate; told of those who delivered anything. One
    /// neighbour sees a part of what a peer carries.
    Carried {
        /// Thousandths of the stream's rate.
        milli: u32,
    },
    /// It sent what was here already.
    Duplicate {
        /// Payload bytes.
        bytes: u32,
    },
    /// A symbol or page that does not match its signed manifest: proof against the sender.
    Invalid,
    /// A frame that breaks the protocol.
    Malformed,
    /// A request it did not answer in time.
    Unanswered,
    /// A request it turned down because it is busy.
    Busy,
    /// It did not do what it had said: as a parent it kept what it had, or it left most of what it was
    /// asked for unanswered, or it read nothing; for a second and more.
    Breach,
    /// A round trip on the control lane.
    RoundTrip(Duration),
}

/// A peer's standing in the eyes of another: 0 (worst) to 100.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Score(u8);

impl Score {
    /// The origin's score, and the upper end.
    pub const MAX: Self = Self(100);

    /// `score`, at most 100.
    #[must_use]
    pub const fn new(score: u8) -> Self {
        if score > 100 { Self::MAX } else { Self(score) }
    }

    /// 0–100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What a peer's score makes of it.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the Source.
    Origin,
    /// Score about 75 and more, with bandwidth to match.
    SuperSeed,
    /// Score about 50 and more.
    Relay,
    /// Below that.
    #[default]
    Leaf,
}

/// Turns observations into scores. Integer arithmetic: the same observations give the same
/// scores on every platform.
///
/// # Contract
/// - **C01** More useful bytes never lower a score; an invalid symbol never raises it.
/// - **C02** An unknown peer has the newcomer's score, the same for all.
/// - **C03** Memory is bounded by the number of peers not forgotten.
/// - **C04** After `forget`, the peer is unknown.
/// - **C05** Deterministic: same calls, same scores.
/// - **C06** Scores are within 0–100 after any sequence of observations.
pub trait Scorer: MaybeSend + Debug + 'static {
    /// Takes note of something seen.
    fn observe(&mut self, now: Instant, peer: PeerId, seen: Observation);

    /// The score of a peer as of `now`.
    fn score(&self, now: Instant, peer: PeerId) -> Score;

    /// The role that follows from it.
    fn role(&self, now: Instant, peer: PeerId) -> Role;

    /// Drops all memory of a peer.
    fn forget(&mut self, peer: PeerId);
}

impl<T: Scorer + ?Sized> Scorer for Box<T> {
    fn observe(&mut self, now: Instant, peer: PeerId, seen: Observation) {
        (**self).observe(now, peer, seen);
    }
    fn score(&self, now: Instant, peer: PeerId) -> Score {
        (**self).score(now, peer)
    }
    fn role(&self, now: Instant, peer: PeerId) -> Role {
        (**self).role(now, peer)
    }
    fn forget(&mut self, peer: PeerId) {
        (**self).forget(peer);
    }
}
