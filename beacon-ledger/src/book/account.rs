//! Accounts by name.

use beacon_sdk::PublicKey;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an account is for.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Where credits come from: the only account below zero, by what was ever issued.
    Issuance = 0,
    /// What was forfeited.
    Forfeits = 1,
    /// What a sponsor has to give.
    Sponsor = 2,
    /// What a publisher's broadcasts pay from.
    Pool = 3,
    /// What a peer may spend: a viewer, a relay, a broadcaster.
    Peer = 4,
    /// What a young peer has earned and may not spend yet.
    Vesting = 5,
}

/// An account: what it is for, and whose. Written `peer:3f…`, or `issuance` where it is nobody's.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountId {
    /// What it is for.
    pub kind: Kind,
    /// Whose it is; zeros for issuance and forfeits.
    pub owner: PublicKey,
}

impl Kind {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Issuance, "issuance"),
        (Self::Forfeits, "forfeits"),
        (Self::Sponsor, "sponsor"),
        (Self::Pool, "pool"),
        (Self::Peer, "peer"),
        (Self::Vesting, "vesting"),
    ];

    const fn has_owner(self) -> bool {
        !matches!(self, Self::Issuance | Self::Forfeits)
    }
}

impl AccountId {
    /// Where credits come from.
    pub const ISSUANCE: Self = Self { kind: Kind::Issuance, owner: PublicKey::from_bytes([0; 32]) };
    /// What was forfeited.
    pub const FORFEITS: Self = Self { kind: Kind::Forfeits, owner: PublicKey::from_bytes([0; 32]) };

    /// The account of `kind` of an owner.
    #[must_use]
    pub const fn of(kind: Kind, owner: PublicKey) -> Self {
        if kind.has_owner() {
            Self { kind, owner }
        } else {
            Self { kind, owner: PublicKey::from_bytes([0; 32]) }
        }
    }

    /// What a peer may spend.
    #[must_use]
    pub const fn peer(owner: PublicKey) -> Self {
        Self::of(Kind::Peer, owner)
    }

    /// What a publisher's broadcasts pay from.
    #[must_use]
    pub const fn pool(publisher: PublicKey) -> Self {
        Self::of(Kind::Pool, publisher)
    }

    /// The accounts that a text names: one, or with a bare key all that its owner can have.
    ///
    /// # Errors
    /// [`ParseAccountError`] for a text that names none.
    pub fn named(text: &str) -> Result<Vec<Self>, ParseAccountError> {
        match text.parse::<PublicKey>() {
            Ok(owner) => {
                let owned =
                    Kind::ALL.into_iter().map(|(kind, _)| kind).filter(|kind| kind.has_owner());
                Ok(owned.map(|kind| Self::of(kind, owner)).collect())
            }
            Err(_) => text.parse().map(|account| vec![account]),
        }
    }

    /// 33 bytes: kind, owner.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [self.kind as u8; 33];
        bytes[1..].copy_from_slice(self.owner.as_bytes());
        bytes
    }

    /// Reads what [`AccountId::to_bytes`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[kind], owner) = bytes.split_first_chunk::<1>()?;
        let (kind, _) = Kind::ALL.into_iter().find(|(known, _)| *known as u8 == kind)?;
        let owner = PublicKey::from_bytes(owner.try_into().ok()?);
        let account = Self::of(kind, owner);
        (account.owner == owner).then_some(account)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Kind::ALL.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, n)| n);
        f.write_str(name)?;
        if self.kind.has_owner() { write!(f, ":{}", self.owner) } else { Ok(()) }
    }
}

/// Text that names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account is issuance, forfeits, or sponsor:, pool:, peer: or vesting: and a key of 64 hexadecimal digits; a key alone names all of its accounts where several can be shown"
)]
pub struct ParseAccountError;

impl FromStr for AccountId {
    type Err = ParseAccountError;
    fn from_str(text: &str) -> Result<Self, ParseAccountError> {
        let (name, key) =
            text.split_once(':').map_or((text, None), |(name, key)| (name, Some(key)));
        let kind = Kind::ALL.into_iter().find(|(_, known)| *known == name);
        match (kind, key) {
            (Some((kind, _)), Some(key)) if kind.has_owner() => {
                key.parse().map(|owner| Self::of(kind, owner)).map_err(|_| ParseAccountError)
            }
            (Some((kind, _)), None) if !kind.has_owner() => {
                Ok(Self::of(kind, PublicKey::default()))
            }
            _ => Err(ParseAccountError),
        }
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_survive_text_and_bytes() {
        let owner = PublicKey::from_bytes([7; 32]);
        for (kind, _) in Kind::ALL {
            let account = AccountId::of(kind, owner);
            assert_eq!(account.to_string().parse(), Ok(account));
            assert_eq!(AccountId::from_bytes(&account.to_bytes()), Some(account));
        }
        for bad in ["", "peer", "peer:", "peer:12", "issuance:", "bank", "Peer:00"] {
            assert_eq!(bad.parse::<AccountId>(), Err(ParseAccountError), "{bad}");
        }
        let named = AccountId::named(&owner.to_string()).map(|ids| ids.len());
        assert_eq!(named, Ok(4), "sponsor, pool, peer and vesting");
        assert_eq!(AccountId::named("issuance"), Ok(vec![AccountId::ISSUANCE]));
        assert_eq!(AccountId::named("bank"), Err(ParseAccountError));
        let nobodys = AccountId { kind: Kind::Issuance, owner }.to_bytes();
        assert_eq!(AccountId::from_bytes(&nobodys), None, "issuance is nobody's");
        assert_eq!(AccountId::from_bytes(&[9; 33]), None);
        assert_eq!(AccountId::from_bytes(&[4; 32]), None);
    }
}
