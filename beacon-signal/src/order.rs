//! [`Order`]: what the owner of a broadcast has the server do, signed with the broadcast's key.

use beacon_sdk::{BroadcastId, Identity, PublicKey, SIGNATURE_LEN, Signature};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const CONTEXT: &[u8] = b"beacon-order-v1";

/// A peer as the dashboard shows it: the first eight digits of its id.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShortId(pub(crate) u32);

impl From<PublicKey> for ShortId {
    fn from(peer: PublicKey) -> Self {
        Self(peer.short())
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Text that names no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer is the first eight hexadecimal digits of its id, or all 64")]
pub struct ParseShortIdError;

impl FromStr for ShortId {
    type Err = ParseShortIdError;
    fn from_str(text: &str) -> Result<Self, ParseShortIdError> {
        if let Ok(peer) = text.parse::<PublicKey>() {
            return Ok(peer.into());
        }
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or(ParseShortIdError)
    }
}

impl Serialize for ShortId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ShortId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is to be done.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// The peer is sent away and not let in again while the broadcast lasts.
    Ban {
        /// Which.
        peer: ShortId,
    },
    /// A banned peer may come again.
    Pardon {
        /// Which.
        peer: ShortId,
    },
    /// The broadcast ends: its origin is sent away, and all others after it.
    End,
    /// The peer may watch, and nothing that it says of itself counts: it is named to nobody as a parent.
    Mute {
        /// Which.
        peer: ShortId,
    },
    /// What a muted peer says counts again.
    Unmute {
        /// Which.
        peer: ShortId,
    },
}

/// An order of the owner.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The broadcast.
    pub publisher: PublicKey,
    /// And its run: the order means no other.
    pub epoch: u64,
    /// When it was given, Unix milliseconds; of two orders the later one counts.
    pub at_ms: u64,
    /// What is to be done.
    #[serde(flatten)]
    pub action: Action,
}

/// An order with the owner's signature: Ed25519 of the publisher over `beacon-order-v1`, the publisher's key,
/// epoch and time (64 bits each, big-endian), one byte (1 ban, 2 pardon, 3 end, 4 mute, 5 unmute), the peer's first four
/// bytes (zeros without one), and the name that it is found by, in UTF-8. As JSON the signature is 128 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedOrder {
    /// The order.
    #[serde(flatten)]
    pub order: Order,
    signature: String,
}

impl Order {
    /// The owner signs it, for the broadcast of that name.
    #[must_use]
    pub fn sign(self, owner: &Identity, name: &str) -> SignedOrder {
        let signature = owner.sign(CONTEXT, &self.body(name));
        let signature = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        SignedOrder { order: self, signature }
    }

    fn body(&self, name: &str) -> Vec<u8> {
        let (code, peer) = match self.action {
            Action::Ban { peer } => (1, peer.0),
            Action::Pardon { peer } => (2, peer.0),
            Action::End => (3, 0),
            Action::Mute { peer } => (4, peer.0),
            Action::Unmute { peer } => (5, peer.0),
        };
        let mut body = self.publisher.as_bytes().to_vec();
        body.extend_from_slice(&self.epoch.to_be_bytes());
        body.extend_from_slice(&self.at_ms.to_be_bytes());
        body.push(code);
        body.extend_from_slice(&peer.to_be_bytes());
        body.extend_from_slice(name.as_bytes());
        body
    }
}

impl SignedOrder {
    /// Whether `owner` has signed it for the broadcast of that name, its own.
    #[must_use]
    pub fn verify(&self, owner: &BroadcastId, name: &str) -> bool {
        let order = &self.order;
        let own = *owner == BroadcastId { publisher: order.publisher, epoch: order.epoch };
        // Two halves, each written like a key.
        let half = |at: usize| self.signature.get(at..at + 64)?.parse::<PublicKey>().ok();
        let (Some(first), Some(second)) = (half(0), half(64)) else { return false };
        let mut signature: Signature = [0; SIGNATURE_LEN];
        signature[..32].copy_from_slice(first.as_bytes());
        signature[32..].copy_from_slice(second.as_bytes());
        let whole = self.signature.len() == 2 * SIGNATURE_LEN;
        own && whole && owner.publisher.verify(CONTEXT, &order.body(name), &signature)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_of_one_owner_for_one_run_and_name() {
        let (owner, other) = (Identity::from_secret([1; 32]), Identity::from_secret([2; 32]));
        let run = BroadcastId { publisher: owner.public(), epoch: 7 };
        let order = Order {
            publisher: owner.public(),
            epoch: 7,
            at_ms: 5,
            action: Action::Ban { peer: ShortId(0xab) },
        };
        let signed = order.clone().sign(&owner, "launch");
        assert!(signed.verify(&run, "launch"));
        let text = serde_json::to_string(&signed).unwrap();
        assert!(text.contains(r#""action":"ban","peer":"000000ab""#), "{text}");
        assert_eq!(serde_json::from_str::<SignedOrder>(&text).unwrap(), signed);
        assert!(!signed.verify(&run, "lunch"));
        assert!(!signed.verify(&BroadcastId { epoch: 8, ..run }, "launch"));
        assert!(!order.clone().sign(&other, "launch").verify(&run, "launch"));
        let changes: [fn(&mut SignedOrder); 5] = [
            |signed| signed.order.at_ms = 6,
            |signed| signed.order.action = Action::Pardon { peer: ShortId(0xab) },
            |signed| signed.order.action = Action::End,
            |signed| signed.order.action = Action::Mute { peer: ShortId(0xab) },
            |signed| signed.signature.push('0'),
        ];
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged);
            assert!(!forged.verify(&run, "launch"), "{forged:?}");
        }
        assert_eq!("000000ab".parse(), Ok(ShortId(0xab)));
        assert_eq!(owner.public().to_string().parse(), Ok(ShortId::from(owner.public())));
        for bad in ["", "ab", "+00000ab", "000000abc"] {
            assert_eq!(bad.parse::<ShortId>(), Err(ParseShortIdError));
        }
    }
}
