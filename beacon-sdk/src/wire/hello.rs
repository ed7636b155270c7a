//! The handshake's messages: who is there, and goodbye.

use super::codec::{DecodeError, Reader};
use crate::id::{BroadcastId, PeerId};
use crate::identity::{Identity, PublicKey, SIGNATURE_LEN, Signature};
use bytes::{BufMut, BytesMut};

/// The version this build speaks, and the oldest it still understands.
pub const PROTOCOL_VERSION: u8 = 1;

/// The versions of the protocol that a peer speaks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The oldest.
    pub min: u8,
    /// The newest.
    pub max: u8,
}

impl Versions {
    /// Those of this build.
    pub const OWN: Self = Self { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION };

    /// Whether this build speaks one of them.
    #[must_use]
    pub const fn common(self) -> bool {
        self.min <= Self::OWN.max && self.max >= Self::OWN.min
    }
}

impl core::fmt::Display for Versions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.min == self.max {
            write!(f, "version {}", self.max)
        } else {
            write!(f, "versions {} to {}", self.min, self.max)
        }
    }
}

/// The first message of both ends: who I am, proven for this very connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Oldest protocol version the sender speaks.
    pub version_min: u8,
    /// Newest protocol version the sender speaks.
    pub version_max: u8,
    /// The broadcast this link is for.
    pub broadcast: BroadcastId,
    /// The sender.
    pub peer: PeerId,
    /// Over the connection's binding, both peers and the fields above.
    pub signature: Signature,
}

impl Hello {
    /// What `identity` says over the connection `binding` to `to`, in the versions of this build.
    #[must_use]
    pub fn sign(
        identity: &Identity,
        broadcast: BroadcastId,
        binding: &[u8; 32],
        to: &PeerId,
    ) -> Self {
        let mut hello = Self {
            version_min: Versions::OWN.min,
            version_max: Versions::OWN.max,
            broadcast,
            peer: identity.public(),
            signature: [0; SIGNATURE_LEN],
        };
        hello.signature = identity.sign(Self::CONTEXT, &hello.transcript(binding, to));
        hello
    }

    /// The versions that a frame's sender speaks, if the frame is a hello of any version: what
    /// follows them may be different in others.
    #[must_use]
    pub fn versions(frame: &[u8]) -> Option<Versions> {
        match *frame {
            [super::message::kind::HELLO, min, max, ..] => Some(Versions { min, max }),
            _ => None,
        }
    }

    /// What [`Hello::signature`] covers: the connection, both ends and what is said.
    #[must_use]
    pub fn transcript(&self, binding: &[u8; 32], to: &PeerId) -> Vec<u8> {
        let mut out = BytesMut::with_capacity(160);
        out.put_slice(binding);
        out.put_slice(to.as_bytes());
        self.put_body(&mut out);
        out.to_vec()
    }

    /// The context string of the signature.
    pub const CONTEXT: &'static [u8] = b"beacon/hello/1";

    fn put_body(&self, out: &mut BytesMut) {
        out.put_u8(self.version_min);
        out.put_u8(self.version_max);
        out.put_slice(self.broadcast.publisher.as_bytes());
        out.put_u64(self.broadcast.epoch);
        out.put_slice(self.peer.as_bytes());
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        self.put_body(out);
        out.put_slice(&self.signature);
    }

    pub(super) fn take(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            version_min: r.u8()?,
            version_max: r.u8()?,
            broadcast: BroadcastId {
                publisher: PublicKey::from_bytes(r.array()?),
                epoch: r.u64()?,
            },
            peer: PublicKey::from_bytes(r.array()?),
            signature: r.array::<SIGNATURE_LEN>()?,
        })
    }
}

/// Why a link is ended on purpose.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FarewellReason {
    /// Leaving, or no more use for the link.
    Done = 0,
    /// No room.
    Full = 1,
    /// The link is for another broadcast than mine.
    Broadcast = 2,
    /// No common protocol version.
    Version = 3,
    /// The other end broke the protocol or sent what is provably false.
    Protocol = 4,
}

impl FarewellReason {
    pub(super) fn of(code: u8) -> Result<Self, DecodeError> {
        Ok(match code {
            0 => Self::Done,
            1 => Self::Full,
            2 => Self::Broadcast,
            3 => Self::Version,
            4 => Self::Protocol,
            _ => return Err(DecodeError::Range("farewell reason")),
        })
    }
}
