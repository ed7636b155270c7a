//! [`Deposit`]: an order of a sponsor to fill the pool of a publisher, signed by the sponsor.

use crate::book::NOTE_CHARS_MAX;
use crate::id::Id;
use crate::money::Micro;
use crate::signed::Request;
use beacon_sdk::PublicKey;
use serde::{Deserialize, Serialize};

/// What a sponsor gives to the pool that a publisher's relays are paid from. Signed are `beacon-deposit-v1`, the
/// 16 bytes of the id, the keys of issuer, sponsor and publisher, the amount (64 bits), and the note in UTF-8.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deposit {
    /// Made by the sponsor for this deposit; the same again is the same one, given once.
    pub id: Id,
    /// The ledger that it is an order to: the key that its edges are signed by.
    pub issuer: PublicKey,
    /// Who gives, out of its account as a sponsor.
    pub sponsor: PublicKey,
    /// Whose pool gets it.
    pub publisher: PublicKey,
    /// How much.
    pub amount: Micro,
    /// A word with it, at most 140 characters.
    #[serde(default)]
    pub note: String,
}

impl Request for Deposit {
    const CONTEXT: &'static [u8] = b"beacon-deposit-v1";
    const WHAT: &'static str = "deposit";

    fn issuer(&self) -> PublicKey {
        self.issuer
    }

    fn author(&self) -> PublicKey {
        self.sponsor
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.id.as_bytes().to_vec();
        for key in [&self.issuer, &self.sponsor, &self.publisher] {
            body.extend_from_slice(key.as_bytes());
        }
        body.extend_from_slice(&self.amount.get().to_be_bytes());
        body.extend_from_slice(self.note.as_bytes());
        body
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = self.note.chars().count() <= NOTE_CHARS_MAX;
        if fits { Ok(()) } else { Err("a deposit has a note of at most 140 characters") }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signed::tests::{every_field_is_signed_for, who};

    #[test]
    fn a_deposit_is_signed_for_as_a_whole() {
        let deposit = Deposit {
            id: Id::new(7, [1; 10]),
            issuer: who(1).public(),
            sponsor: who(2).public(),
            publisher: who(3).public(),
            amount: Micro::new(5).unwrap(),
            note: String::new(),
        };
        every_field_is_signed_for(
            deposit.clone(),
            &[
                |deposit| deposit.id = Id::new(7, [2; 10]),
                |deposit| deposit.sponsor = who(3).public(),
                |deposit| deposit.publisher = who(2).public(),
                |deposit| deposit.amount = Micro::MAX,
                |deposit| deposit.note.push('!'),
            ],
        );
        let long = Deposit { note: "é".repeat(141), ..deposit }.sign(&who(2));
        assert!(long.verify(&who(1).public()).is_err());
    }
}
