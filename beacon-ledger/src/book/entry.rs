//! What is asked of the accounts.

use super::account::AccountId;
use crate::id::{Id, digest};
use crate::money::Micro;
use beacon_sdk::PublicKey;
use serde::{Deserialize, Serialize};

/// Legs of one entry at most.
pub const LEGS_MAX: usize = 64;
/// Counters that one entry advances at most.
pub const ADVANCES_MAX: usize = 8;
/// Bytes of a reason in JSON at most.
pub const REASON_BYTES_MAX: usize = 1024;
/// Characters of a person's note at most.
pub const NOTE_CHARS_MAX: usize = 140;

/// Why an amount moves; one per leg.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Rule {
    /// Credits come to be.
    Issue = 1,
    /// A sponsor gives to a pool.
    Deposit = 2,
    /// A viewer pays for what it received.
    Watch = 3,
    /// A relay earns for what it carried.
    Relay = 4,
    /// The broadcaster's share of what its broadcast pays.
    Share = 5,
    /// A gift from a viewer.
    Tip = 6,
    /// A part of the broadcaster's share, which it divides among those who broadcast together.
    CoStream = 7,
    /// What was earned may be spent now.
    Vest = 8,
    /// What was earned is lost, for a proven fraud.
    Forfeit = 9,
    /// Any other movement that a person ordered.
    Order = 10,
}

impl Rule {
    /// All, by number.
    pub(crate) const ALL: [Self; 10] = [
        Self::Issue,
        Self::Deposit,
        Self::Watch,
        Self::Relay,
        Self::Share,
        Self::Tip,
        Self::CoStream,
        Self::Vest,
        Self::Forfeit,
        Self::Order,
    ];

    /// The rule of a number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| *rule as u8 == code)
    }
}

/// One movement: from the account that is debited to the one that is credited.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Leg {
    /// Who gives.
    pub debit: AccountId,
    /// Who gets; another account.
    pub credit: AccountId,
    /// How much; not zero.
    pub amount: Micro,
    /// Why.
    pub rule: Rule,
}

/// What an entry does. All of it or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Moves amounts, leg by leg: a later leg may spend what an earlier one brought. 1 to [`LEGS_MAX`].
    Transfer(Vec<Leg>),
    /// Reserves an amount. The hold has the entry's id.
    Hold {
        /// What is reserved, for whom.
        leg: Leg,
        /// Unix milliseconds after which it is no longer reserved.
        expires_ms: u64,
    },
    /// Moves what is held, or a part of it; the rest is free again.
    Post {
        /// The hold.
        hold: Id,
        /// How much of it; `None` is all.
        amount: Option<Micro>,
    },
    /// Frees what is held.
    Void {
        /// The hold.
        hold: Id,
    },
}

/// A named counter that an entry moves on, and only from where its author saw it: of two entries that
/// saw the same, one is refused ([`Refusal::Moved`](super::Refusal::Moved)). It only grows.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Advance {
    /// The counter.
    pub counter: [u8; 32],
    /// Its value now; one that does not exist is at 0.
    pub from: u64,
    /// Its value then, larger; below 2^63.
    pub to: u64,
}

/// What explains an entry to a person. Kept with it as JSON of at most [`REASON_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// A receipt was settled.
    Receipt {
        /// The edge.
        edge: Id,
        /// The broadcast's publisher.
        publisher: PublicKey,
        /// And its epoch.
        epoch: u64,
        /// Who carried.
        uploader: PublicKey,
        /// Who signed.
        downloader: PublicKey,
        /// The receipt's number.
        seq: u32,
        /// Verified bytes in all, by that receipt.
        cum_bytes: u64,
        /// The first 16 bytes of the receipt's hash.
        receipt: Id,
        /// What the edge had been paid before.
        paid_before: Micro,
        /// And after.
        paid_after: Micro,
        /// From when the split holds by which the broadcaster's share was divided, Unix milliseconds; none if it was not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        split_ms: Option<u64>,
    },
    /// A gift to one or several.
    Tip {
        /// Who gave.
        from: PublicKey,
        /// Among how many it was split.
        squad: u32,
        /// What they said, at most [`NOTE_CHARS_MAX`] characters.
        note: String,
    },
    /// What was earned may be spent: the account is old enough.
    Vested {
        /// When it was opened, Unix milliseconds.
        opened_ms: u64,
    },
    /// What was earned is lost: two receipts contradict each other.
    Fork {
        /// The edge.
        edge: Id,
        /// Who signed both.
        culprit: PublicKey,
    },
    /// Somebody ordered it.
    Note {
        /// In their words, at most [`NOTE_CHARS_MAX`] characters.
        note: String,
    },
}

impl Reason {
    /// A person's words, cut at [`NOTE_CHARS_MAX`] characters.
    #[must_use]
    pub fn note(words: &str) -> Self {
        Self::Note { note: words.chars().take(NOTE_CHARS_MAX).collect() }
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and keys only: serialisation has no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A request to the accounts. Given again with the same id it does nothing more: the id is its
/// idempotency key, and the hash of the rest is kept beside it, so that another request under the same id is
/// told from the same one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Made by whoever asks, once per intent.
    pub id: Id,
    /// What it does.
    pub action: Action,
    /// Counters it moves on, at most [`ADVANCES_MAX`], none twice.
    pub advances: Vec<Advance>,
    /// What explains it.
    pub reason: Reason,
}

impl Entry {
    /// An entry that moves `legs`.
    #[must_use]
    pub const fn transfer(id: Id, legs: Vec<Leg>, reason: Reason) -> Self {
        Self { id, action: Action::Transfer(legs), advances: Vec::new(), reason }
    }

    /// What it moves, reserves or frees; of a hold, what `held` knows of it.
    pub(crate) fn legs<'a>(&'a self, held: impl Fn(Id) -> Option<&'a super::Hold>) -> &'a [Leg] {
        match &self.action {
            Action::Transfer(legs) => legs,
            Action::Hold { leg, .. } => core::slice::from_ref(leg),
            Action::Post { hold, .. } | Action::Void { hold } => {
                held(*hold).map_or(&[], |hold| core::slice::from_ref(&hold.leg))
            }
        }
    }

    /// The hold that it ends.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) const fn ends(&self) -> Option<Id> {
        match &self.action {
            Action::Post { hold, .. } | Action::Void { hold } => Some(*hold),
            Action::Transfer(_) | Action::Hold { .. } => None,
        }
    }

    /// Of everything but the id.
    #[must_use]
    pub fn request_hash(&self) -> [u8; 32] {
        let mut action = Vec::with_capacity(96);
        match &self.action {
            Action::Transfer(legs) => {
                action.push(0);
                legs.iter().for_each(|leg| put_leg(&mut action, leg));
            }
            Action::Hold { leg, expires_ms } => {
                action.push(1);
                put_leg(&mut action, leg);
                action.extend_from_slice(&expires_ms.to_be_bytes());
            }
            Action::Post { hold, amount } => {
                action.push(2);
                action.extend_from_slice(hold.as_bytes());
                action.extend(amount.iter().flat_map(|amount| amount.get().to_be_bytes()));
            }
            Action::Void { hold } => {
                action.push(3);
                action.extend_from_slice(hold.as_bytes());
            }
        }
        let mut advances = Vec::new();
        for advance in &self.advances {
            advances.extend_from_slice(&advance.counter);
            advances.extend_from_slice(&advance.from.to_be_bytes());
            advances.extend_from_slice(&advance.to.to_be_bytes());
        }
        digest("beacon-ledger-entry-v1", &[&action, &advances, self.reason.to_json().as_bytes()])
    }
}

fn put_leg(out: &mut Vec<u8>, leg: &Leg) {
    out.extend_from_slice(&leg.debit.to_bytes());
    out.extend_from_slice(&leg.credit.to_bytes());
    out.extend_from_slice(&leg.amount.get().to_be_bytes());
    out.push(leg.rule as u8);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_reason_fits() {
        let key = PublicKey::from_bytes([7; 32]);
        let note = "\u{1}".repeat(NOTE_CHARS_MAX);
        let tip = Reason::Tip { from: key, squad: u32::MAX, note: note.clone() };
        assert!(tip.to_json().len() <= REASON_BYTES_MAX, "{}", tip.to_json().len());
        let receipt = Reason::Receipt {
            edge: Id::default(),
            publisher: key,
            epoch: u64::MAX,
            uploader: key,
            downloader: key,
            seq: u32::MAX,
            cum_bytes: u64::MAX,
            receipt: Id::default(),
            paid_before: Micro::MAX,
            paid_after: Micro::MAX,
            split_ms: Some(u64::MAX),
        };
        assert!(receipt.to_json().len() <= REASON_BYTES_MAX);
        assert!(Reason::note(&note.repeat(3)).to_json().len() <= REASON_BYTES_MAX);
        assert_eq!(serde_json::from_str::<Reason>(&receipt.to_json()).unwrap(), receipt);
    }
}
