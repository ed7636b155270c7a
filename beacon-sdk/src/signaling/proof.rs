//! The challenge at join: whoever joins as a peer signs for it with the peer's key, over a number that
//! the server has drawn for this connection alone.

use crate::identity::{Identity, SIGNATURE_LEN, Signature};
use crate::plugin::Join;
use core::fmt;
use data_encoding::BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a [`Nonce`].
pub const NONCE_LEN: usize = 32;
/// A session is a whole number up to this, 2^53 − 1: JavaScript reads it exactly.
pub const SESSION_MAX: u64 = (1 << 53) - 1;

/// What a proof is signed for: no signature for anything else begins with it.
const CONTEXT: &[u8] = b"beacon-join-v1";

/// A number used once: drawn at random for a connection. Base64 on the wire.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    /// Takes bytes that nobody can foretell and that no other connection gets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; NONCE_LEN]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; NONCE_LEN] {
        &self.0
    }
}

/// The signature by which a peer proves that its id is its own: Ed25519 over `beacon-join-v1`, the
/// nonce, the session (64 bits, big-endian), one byte that is 1 for an origin, and the name. Base64 on
/// the wire.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Proof(Signature);

impl Proof {
    /// Answers the challenge of a connection. `join.peer` is to be the identity's public key.
    #[must_use]
    pub fn sign(identity: &Identity, nonce: &Nonce, session: u64, join: &Join) -> Self {
        Self(identity.sign(CONTEXT, &signed(nonce, session, join)))
    }

    /// Whether the key `join.peer` has signed for this connection, session and join.
    #[must_use]
    pub fn verify(&self, nonce: &Nonce, session: u64, join: &Join) -> bool {
        join.peer.verify(CONTEXT, &signed(nonce, session, join), &self.0)
    }
}

/// What a join says on a connection, as it is signed and worked for.
pub(super) fn signed(nonce: &Nonce, session: u64, join: &Join) -> Vec<u8> {
    let publish = [u8::from(join.publish)];
    [&nonce.0[..], &session.to_be_bytes(), &publish, join.name.as_bytes()].concat()
}

fn read<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64.decode(text.as_bytes()).map_err(D::Error::custom)?;
    bytes.try_into().map_err(|_| D::Error::custom(format_args!("not {N} bytes in base64")))
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<NONCE_LEN, D>(deserializer).map(Self)
    }
}

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::<SIGNATURE_LEN, D>(deserializer).map(Self)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(name: &str, publish: bool) -> Join {
        let peer = Identity::from_secret([7; 32]).public();
        Join { name: name.into(), peer, broadcast: None, publish }
    }

    #[test]
    fn a_proof_is_for_one_key_connection_session_and_join() {
        let (me, other) = (Identity::from_secret([7; 32]), Identity::from_secret([8; 32]));
        let (here, there) = (Nonce::from_bytes([1; 32]), Nonce::from_bytes([2; 32]));
        let launch = join("launch", false);
        let proof = Proof::sign(&me, &here, 9, &launch);
        assert!(proof.verify(&here, 9, &launch));
        assert!(!proof.verify(&there, 9, &launch), "another connection");
        assert!(!proof.verify(&here, 8, &launch), "another session");
        assert!(!proof.verify(&here, 9, &join("launch!", false)), "another name");
        assert!(!proof.verify(&here, 9, &join("launch", true)), "as the origin");
        assert!(!Proof::sign(&other, &here, 9, &launch).verify(&here, 9, &launch), "another key");
    }
}
