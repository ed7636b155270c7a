//! [`Operator`]: the secret by which whoever runs a server is known to it over HTTP.

use core::fmt;
use sha2::{Digest, Sha256};

/// Characters that a secret has.
const CHARS: core::ops::RangeInclusive<usize> = 16..=1024;

/// The secret of whoever runs the server, who may read every account. Its hash alone is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Operator([u8; 32]);

/// Not fit to be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 16 to 1024 characters, as `openssl rand -hex 32` makes them")]
pub struct OperatorError;

impl Operator {
    /// Takes a secret of 16 to 1024 characters; space around it does not count.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub fn new(secret: &str) -> Result<Self, OperatorError> {
        let secret = secret.trim();
        if CHARS.contains(&secret.chars().count()) {
            Ok(Self::of(secret))
        } else {
            Err(OperatorError)
        }
    }

    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the secret. How long it takes tells of hashes alone.
    pub(crate) fn is(&self, secret: &str) -> bool {
        *self == Self::of(secret)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator")
    }
}
