//! What the operator decides.

use crate::money::{Micro, Rate};
use beacon_sdk::PublicKey;
use std::net::IpAddr;

pub(super) const DAY_MS: u64 = 86_400_000;

/// The rules by which receipts are paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whose edges count: the tracker's key.
    pub issuer: PublicKey,
    /// What bytes are worth. Default: the owner's, 16 micro-credits per 1000 bytes.
    pub rate: Rate,
    /// How that is shared between relay and broadcaster. Default: 1 to 0.
    pub relay_weight: u32,
    /// See [`Terms::relay_weight`].
    pub broadcaster_weight: u32,
    /// A viewer pays for what it receives as far as it can, and the pool the rest. Default: the pool pays
    /// all.
    pub viewers_pay: bool,
    /// How long after an edge has expired its receipts are still settled. Default: an hour.
    pub late_ms: u64,
    /// What an account earns in its first so many milliseconds may not be spent before they are over.
    /// Default: a day.
    pub vest_ms: u64,
    /// Limits per day (UTC). What is above them stays due.
    pub caps: Caps,
}

/// What may be earned in a day; collusion is limited, not prevented.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Caps {
    /// By one uploader from one downloader. Default: 175 credits, a quarter of what a viewer can watch.
    pub counterpart: Micro,
    /// For what one downloader received, whoever carried it: no more than a viewer can watch. Default:
    /// 700 credits, 43.75 GB: 4 Mbit/s for a day.
    pub viewer: Micro,
    /// By one uploader. Default: 10,000 credits.
    pub account: Micro,
    /// By all uploaders of one network prefix. Default: 20,000 credits.
    pub prefix: Micro,
}

impl Terms {
    /// The defaults, for edges of `issuer`.
    #[must_use]
    pub fn new(issuer: PublicKey) -> Self {
        let micro = |micros| Micro::new(micros).unwrap_or(Micro::MAX);
        Self {
            issuer,
            rate: Rate::default(),
            relay_weight: 1,
            broadcaster_weight: 0,
            viewers_pay: false,
            late_ms: 3_600_000,
            vest_ms: DAY_MS,
            caps: Caps {
                counterpart: micro(175_000_000),
                viewer: micro(700_000_000),
                account: micro(10_000_000_000),
                prefix: micro(20_000_000_000),
            },
        }
    }

    /// The relay's part of the first `paid` micro-credits of an edge.
    pub(super) fn relay_part(&self, paid: u64) -> u64 {
        let sum = u128::from(self.relay_weight) + u128::from(self.broadcaster_weight);
        let part = (u128::from(paid) * u128::from(self.relay_weight)).checked_div(sum);
        // A part of a u64 fits one.
        part.map_or(paid, |part| part as u64)
    }
}

/// Where an uploader's address lies: the first bytes of it, as the tracker saw it (for instance /24 of
/// IPv4, /48 of IPv6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix(pub(super) Vec<u8>);

impl Prefix {
    /// Of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.octets()[..3].to_vec()),
            IpAddr::V6(v6) => Self(v6.octets()[..6].to_vec()),
        }
    }
}
