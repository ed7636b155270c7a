//! [`Tip`]: an order to give credits away, signed by whoever gives.

use crate::book::NOTE_CHARS_MAX;
use crate::economy::SQUAD_MAX;
use crate::id::Id;
use crate::money::Micro;
use crate::signed::{Request, Signed, put_recipients};
use beacon_sdk::PublicKey;
use serde::{Deserialize, Serialize};

/// One of those who get a part of a tip or of a share.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// Who.
    pub peer: PublicKey,
    /// Its part, beside those of the others.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// A gift to one or several, by weights. Signed are `beacon-tip-v1`, the 16 bytes of the id, the keys of issuer
/// and giver, the amount (64 bits), the number of recipients (16 bits), each with its key and weight (32 bits), and
/// the note in UTF-8.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tip {
    /// Made by the giver for this tip; the same again is the same tip, given once.
    pub id: Id,
    /// The ledger that it is an order to: the key that its edges are signed by.
    pub issuer: PublicKey,
    /// Who gives.
    pub from: PublicKey,
    /// Who gets.
    pub to: Vec<Recipient>,
    /// How much in all.
    pub amount: Micro,
    /// A word with it, at most 140 characters.
    #[serde(default)]
    pub note: String,
}

/// A tip with the giver's signature.
pub type SignedTip = Signed<Tip>;

impl Request for Tip {
    const CONTEXT: &'static [u8] = b"beacon-tip-v1";
    const WHAT: &'static str = "tip";

    fn issuer(&self) -> PublicKey {
        self.issuer
    }

    fn author(&self) -> PublicKey {
        self.from
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.id.as_bytes().to_vec();
        body.extend_from_slice(self.issuer.as_bytes());
        body.extend_from_slice(self.from.as_bytes());
        body.extend_from_slice(&self.amount.get().to_be_bytes());
        put_recipients(&mut body, &self.to);
        body.extend_from_slice(self.note.as_bytes());
        body
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = (1..=SQUAD_MAX).contains(&self.to.len());
        if fits && self.note.chars().count() <= NOTE_CHARS_MAX {
            return Ok(());
        }
        Err("a tip has 1 to 32 recipients and a note of at most 140 characters")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signed::RequestError;
    use crate::signed::tests::{every_field_is_signed_for, who};

    fn tip() -> Tip {
        Tip {
            id: Id::new(7, [1; 10]),
            issuer: who(1).public(),
            from: who(2).public(),
            to: vec![Recipient { peer: who(3).public(), weight: 2 }],
            amount: Micro::new(5_000_000).unwrap(),
            note: "bravo".into(),
        }
    }

    #[test]
    fn a_tip_is_signed_for_as_a_whole() {
        every_field_is_signed_for(
            tip(),
            &[
                |tip| tip.id = Id::new(7, [2; 10]),
                |tip| tip.from = who(3).public(),
                |tip| tip.to[0].weight = 1,
                |tip| tip.to.push(Recipient { peer: who(4).public(), weight: 0 }),
                |tip| tip.amount = Micro::MAX,
                |tip| tip.note.push('!'),
            ],
        );
        let issuer = who(1).public();
        for tip in [Tip { to: vec![], ..tip() }, Tip { note: "é".repeat(141), ..tip() }] {
            let refused = tip.sign(&who(2)).verify(&issuer);
            assert!(matches!(refused, Err(RequestError::Form(_))), "{refused:?}");
        }
    }
}
