//! Join tokens: leave to join one broadcast, given by whoever runs a server, or by a web site for it.
//!
//! A token is a PASETO of version 4, public: claims that anybody can read, signed with Ed25519. It names the peer
//! that it is for, and that peer proves at join that its key is its own: a token that is stolen, or read in a
//! log, is worth nothing. `PROTOCOL.md` has the claims.
//!
//! ```
//! use beacon_sdk::Identity;
//! use beacon_signal::token::{Grant, Mint, Right};
//!
//! let mint = Mint::from_secret([1; 32])?; // or `Mint::open(file)`
//! println!("beacon-signal --tokens {}", mint.key());
//! let viewer = Identity::from_secret([7; 32]);
//! let grant = Grant {
//!     broadcast: "launch".into(),
//!     peer: viewer.public(),
//!     rights: vec![Right::Watch],
//!     not_before: None,
//!     expires: 1_800_000_000,
//! };
//! println!("viewer --name launch --token {}", mint.sign(&grant)?.as_str());
//! # Ok::<(), beacon_signal::token::MintError>(())
//! ```

use crate::books::{KeyError, read_or_make_secret};
use beacon_sdk::signaling::Token;
use beacon_sdk::{Identity, PeerId, PublicKey};
use core::fmt;
use core::str::FromStr;
use pasetors::Public;
use pasetors::keys::{AsymmetricPublicKey, AsymmetricSecretKey};
use pasetors::paserk::FormatAsPaserk as _;
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a peer may do in a broadcast.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Right {
    /// Watch it, and carry it on.
    Watch,
    /// Be its origin.
    Publish,
    /// A right of a later version.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Watch => "watch",
            Self::Publish => "publish",
            Self::Unknown => "something else",
        })
    }
}

/// What a token says. Its times are Unix seconds, and RFC 3339 in the token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The name of the broadcast.
    pub broadcast: String,
    /// The peer that may join, by its key.
    pub peer: PeerId,
    /// As what.
    pub rights: Vec<Right>,
    /// From when on; at once unless told.
    #[serde(
        rename = "nbf",
        default,
        with = "moment::maybe",
        skip_serializing_if = "Option::is_none"
    )]
    pub not_before: Option<u64>,
    /// When it may no longer join. Whoever is in then stays, and does not come back after a loss.
    #[serde(rename = "exp", with = "moment")]
    pub expires: u64,
}

/// The public half of a key that signs tokens, as `k4.public.…` (PASERK).
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct TokenKey(PublicKey);

/// What cannot be a [`TokenKey`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no public key of tokens: `beacon-signal token --key FILE` prints it, k4.public.…"
)]
pub struct TokenKeyError(String);

impl FromStr for TokenKey {
    type Err = TokenKeyError;

    fn from_str(text: &str) -> Result<Self, TokenKeyError> {
        // A secret that is passed in the place of its public half must not stand in an error.
        let wrong = || TokenKeyError(text.chars().take(10).collect());
        let key = AsymmetricPublicKey::<V4>::try_from(text).map_err(|_| wrong())?;
        let bytes = key.as_bytes().try_into().map_err(|_| wrong())?;
        Ok(Self(PublicKey::from_bytes(bytes)))
    }
}

impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = AsymmetricPublicKey::<V4>::from(self.0.as_bytes()).map_err(|_| fmt::Error)?;
        let mut text = String::new();
        key.fmt(&mut text)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:?})", self.0)
    }
}

/// Why a text lets nobody in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it is no PASETO of version 4, which begins with v4.public.")]
    Form,
    #[error("it is not signed by a key that this server takes")]
    Signature,
    #[error("its claims cannot be read: {0}")]
    Claims(String),
}

/// What `token` grants, if one of `keys` has signed it.
pub(crate) fn read(keys: &[TokenKey], token: &Token) -> Result<Grant, Invalid> {
    let read = UntrustedToken::<Public, V4>::try_from(token.as_str());
    let read = read.map_err(|_| Invalid::Form)?;
    let verified = keys.iter().find_map(|key| {
        let key = AsymmetricPublicKey::<V4>::from(key.0.as_bytes()).ok()?;
        PublicToken::verify(&key, &read, None, None).ok()
    });
    let trusted = verified.ok_or(Invalid::Signature)?;
    serde_json::from_str(trusted.payload()).map_err(|error| Invalid::Claims(error.to_string()))
}

/// Signs tokens.
pub struct Mint {
    secret: AsymmetricSecretKey<V4>,
    key: TokenKey,
}

/// A token cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The key cannot be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The grant's times are no dates.
    #[error("{0}; a time is in Unix seconds, before the year 10000")]
    Grant(String),
    /// The token does not fit: a name of a broadcast has 64 characters at most.
    #[error("the token is longer than a join takes: shorten the name of the broadcast")]
    Long,
    /// The key signs nothing.
    #[error("the key signs nothing: make another one, in another file")]
    Sign,
}

impl Mint {
    /// The key in `file`, made if it is not there.
    ///
    /// # Errors
    /// [`MintError::Key`] with the cause and the cure.
    pub fn open(file: &Path) -> Result<Self, MintError> {
        Self::from_secret(read_or_make_secret(file)?)
    }

    /// The key of 32 secret bytes.
    ///
    /// # Errors
    /// [`MintError::Sign`], which no bytes cause.
    pub fn from_secret(secret: [u8; 32]) -> Result<Self, MintError> {
        let public = Identity::from_secret(secret).public();
        let both = [secret, *public.as_bytes()].concat();
        let secret = AsymmetricSecretKey::from(&both).map_err(|_| MintError::Sign)?;
        Ok(Self { secret, key: TokenKey(public) })
    }

    /// What a server is to be told: [`Config::tokens`](crate::Config::tokens), `--tokens`.
    #[must_use]
    pub fn key(&self) -> TokenKey {
        self.key
    }

    /// Makes the token that says `grant`.
    ///
    /// # Errors
    /// [`MintError`] when the grant's times are out of range or its name too long.
    pub fn sign(&self, grant: &Grant) -> Result<Token, MintError> {
        let claims =
            serde_json::to_vec(grant).map_err(|error| MintError::Grant(error.to_string()))?;
        let token = PublicToken::sign(&self.secret, &claims, None, None);
        let token = token.map_err(|_| MintError::Sign)?;
        token.parse().map_err(|_| MintError::Long)
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mint({:?})", self.key)
    }
}

/// Unix seconds as RFC 3339, which is how PASETO has times.
mod moment {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(at: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = i64::try_from(*at).map_err(S::Error::custom)?;
        let at = OffsetDateTime::from_unix_timestamp(seconds).map_err(S::Error::custom)?;
        at.format(&Rfc3339).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        // Before 1970 is long ago.
        Ok(u64::try_from(at.unix_timestamp()).unwrap_or(0))
    }

    /// The same of what may be left out.
    pub(super) mod maybe {
        use serde::{Deserializer, Serializer};

        pub(crate) fn serialize<S: Serializer>(
            at: &Option<u64>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<u64>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            broadcast: "launch".into(),
            peer: Identity::from_secret([7; 32]).public(),
            rights: vec![Right::Watch],
            not_before: Some(1_799_990_000),
            expires: 1_800_000_000,
        }
    }

    /// What is signed, by a key of our own.
    fn signed(claims: &str) -> Token {
        let mint = Mint::from_secret([1; 32]).unwrap();
        PublicToken::sign(&mint.secret, claims.as_bytes(), None, None).unwrap().parse().unwrap()
    }

    #[test]
    fn a_grant_is_read_as_it_was_signed() {
        let mint = Mint::from_secret([1; 32]).unwrap();
        let token = mint.sign(&grant()).unwrap();
        assert!(token.as_str().starts_with("v4.public."));
        assert_eq!(read(&[mint.key()], &token), Ok(grant()));
        let other = Mint::from_secret([2; 32]).unwrap().key();
        assert_eq!(read(&[other], &token), Err(Invalid::Signature));
        assert_eq!(read(&[other, mint.key()], &token), Ok(grant()));
        assert_eq!(read(&[], &token), Err(Invalid::Signature));
        let endless = Grant { expires: u64::MAX, ..grant() };
        assert!(matches!(mint.sign(&endless), Err(MintError::Grant(_))));
        let long = Grant { broadcast: "x".repeat(2000), ..grant() };
        assert!(matches!(mint.sign(&long), Err(MintError::Long)));
    }

    #[test]
    fn claims_are_those_that_other_programs_write() {
        let keys = [Mint::from_secret([1; 32]).unwrap().key()];
        let peer = grant().peer;
        // As libraries of other languages have them: an offset in place of Z, and claims of their own.
        let claims = format!(
            r#"{{"broadcast":"launch","peer":"{peer}","rights":["watch"],"nbf":"2027-01-15T06:13:20+01:00","exp":"2027-01-15T08:00:00Z","iat":"2026-11-30T00:00:00Z","jti":"1"}}"#
        );
        assert_eq!(read(&keys, &signed(&claims)), Ok(grant()));
        let later = claims.replace(r#"["watch"]"#, r#"["dance"]"#);
        assert_eq!(read(&keys, &signed(&later)).unwrap().rights, [Right::Unknown]);
        for (from, to) in [
            ("\"exp\"", "\"exq\""),
            ("2027-01-15T08:00:00Z", "tomorrow"),
            ("\"peer\"", "\"pear\""),
            (r#"["watch"]"#, "7"),
        ] {
            let wrong = signed(&claims.replace(from, to));
            assert!(matches!(read(&keys, &wrong), Err(Invalid::Claims(_))), "{from}");
        }
        assert!(matches!(read(&keys, &signed("no JSON")), Err(Invalid::Claims(_))));
    }

    #[test]
    fn what_is_no_token_or_is_changed_is_refused() {
        let mint = Mint::from_secret([1; 32]).unwrap();
        let token = mint.sign(&grant()).unwrap();
        let keys = [mint.key()];
        for text in ["x", "v4.public.", "v4.public.AAAA", "v2.public.AAAA", "v4.local.AAAA"] {
            let read = read(&keys, &text.parse().unwrap());
            assert!(read == Err(Invalid::Form), "{text}: {read:?}");
        }
        let as_another_version = token.as_str().replacen("v4", "v3", 1).parse().unwrap();
        assert_eq!(read(&keys, &as_another_version), Err(Invalid::Form));
        let text = token.as_str();
        for at in ["v4.public.".len(), text.len() / 2, text.len() - 2] {
            let flipped = if &text[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{flipped}{}", &text[..at], &text[at + 1..]);
            assert!(read(&keys, &changed.parse().unwrap()).is_err(), "{at}");
        }
        // A footer is signed as well.
        let footed = format!("{text}.AAAA").parse().unwrap();
        assert_eq!(read(&keys, &footed), Err(Invalid::Signature));
    }

    #[test]
    fn a_key_is_read_as_it_is_written_and_a_secret_is_not_told() {
        let key = Mint::from_secret([1; 32]).unwrap().key();
        let text = key.to_string();
        assert!(text.starts_with("k4.public."), "{text}");
        assert_eq!(text.parse(), Ok(key));
        assert!(key.0.to_string().parse::<TokenKey>().is_err(), "it could be a secret");
        let mut secret = String::new();
        Mint::from_secret([1; 32]).unwrap().secret.fmt(&mut secret).unwrap();
        let error = secret.parse::<TokenKey>().unwrap_err().to_string();
        assert!(error.contains("k4.public") && !error.contains(&secret[..20]), "{error}");
    }
}
