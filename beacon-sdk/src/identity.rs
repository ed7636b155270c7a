//! Ed25519 identities: who signs a broadcast, who a peer is.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;
use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// An Ed25519 signature, not yet checked.
pub type Signature = [u8; SIGNATURE_LEN];

/// An Ed25519 public key as it travels: 32 bytes, not known to be a point on the curve.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct PublicKey([u8; 32]);

/// The order of the bytes. Keys are looked up for every symbol, and the first eight bytes nearly
/// always decide: comparing them as a number is several times faster than comparing strings.
impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let head = |key: &Self| {
            let [a, b, c, d, e, f, g, h, ..] = key.0;
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        };
        head(self).cmp(&head(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PublicKey {
    /// Takes any 32 bytes; a key that is not a curve point verifies nothing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 32 bits, for path digests and logs: unique enough among neighbours, no proof.
    #[must_use]
    pub const fn short(&self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    /// The first 64 bits, for finding a key among many: few share them.
    pub(crate) const fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether `signature` is this key's over `context` followed by `message`.
    ///
    /// Strict verification: honest peers on different platforms agree on every input
    /// (RFC 8032 leaves cofactor handling open; the strict rule closes it).
    #[must_use]
    pub fn verify(&self, context: &[u8], message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        let signed = [context, message].concat();
        key.verify_strict(&signed, &DalekSignature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.short())
    }
}

/// Not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hexadecimal digits")]
pub struct ParseKeyError;

impl FromStr for PublicKey {
    type Err = ParseKeyError;
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(ParseKeyError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = core::str::from_utf8(pair).map_err(|_| ParseKeyError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseKeyError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key pair. Wiped from memory on drop; never printed.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// The identity of a 32-byte secret. The caller draws it from the system's random source
    /// (or derives it in a test): this crate has none.
    #[must_use]
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&secret))
    }

    /// A new identity from the system's random source.
    ///
    /// # Errors
    /// When the system has no random source, which is fatal for any program that signs.
    #[cfg(feature = "tokio")]
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self::from_secret(secret))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `context` followed by `message`.
    #[must_use]
    pub fn sign(&self, context: &[u8], message: &[u8]) -> Signature {
        self.0.sign(&[context, message].concat()).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.public())
    }
}
