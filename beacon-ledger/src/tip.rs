//! [`Tip`]: an order to give credits away, signed by whoever gives.

use crate::book::NOTE_CHARS_MAX;
use crate::economy::SQUAD_MAX;
use crate::id::Id;
use crate::money::Micro;
use beacon_sdk::{Identity, PublicKey, SIGNATURE_LEN, Signature};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

const CONTEXT: &[u8] = b"beacon-tip-v1";

/// One of those who get a part of a tip.
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

/// A gift to one or several, by weights.
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

/// A tip with the giver's signature: Ed25519 over `beacon-tip-v1`, the 16 bytes of the id, the keys of
/// issuer and giver, the amount (64 bits; all numbers big-endian), the number of recipients (16 bits), each with its
/// key and weight (32 bits), and the note in UTF-8. As JSON the signature is in base64, beside the tip's fields.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedTip {
    /// The tip.
    #[serde(flatten)]
    pub tip: Tip,
    signature: String,
}

/// A tip that is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TipError {
    /// Not of this ledger.
    #[error("the tip is an order to another ledger: sign it for the issuer of this one, {0}")]
    Issuer(PublicKey),
    /// Not the giver's.
    #[error("the tip is not signed by its giver: sign it with the key of `from`")]
    Signature,
    /// More than a tip has.
    #[error("a tip has 1 to 32 recipients and a note of at most 140 characters")]
    Size,
}

impl Tip {
    /// The giver signs it.
    #[must_use]
    pub fn sign(self, giver: &Identity) -> SignedTip {
        let signature = BASE64.encode(&giver.sign(CONTEXT, &self.body()));
        SignedTip { tip: self, signature }
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.id.as_bytes().to_vec();
        body.extend_from_slice(self.issuer.as_bytes());
        body.extend_from_slice(self.from.as_bytes());
        body.extend_from_slice(&self.amount.get().to_be_bytes());
        body.extend_from_slice(&u16::try_from(self.to.len()).unwrap_or(u16::MAX).to_be_bytes());
        for Recipient { peer, weight } in &self.to {
            body.extend_from_slice(peer.as_bytes());
            body.extend_from_slice(&weight.to_be_bytes());
        }
        body.extend_from_slice(self.note.as_bytes());
        body
    }
}

impl SignedTip {
    /// Whether it is an order of its giver to the ledger of `issuer`.
    ///
    /// # Errors
    /// [`TipError`].
    pub fn verify(&self, issuer: &PublicKey) -> Result<(), TipError> {
        let tip = &self.tip;
        if tip.to.is_empty() || tip.to.len() > SQUAD_MAX || tip.note.len() > 4 * NOTE_CHARS_MAX {
            return Err(TipError::Size);
        }
        if tip.issuer != *issuer {
            return Err(TipError::Issuer(*issuer));
        }
        let signature =
            BASE64.decode(self.signature.as_bytes()).map_err(|_| TipError::Signature)?;
        let signature: Signature =
            <[u8; SIGNATURE_LEN]>::try_from(signature).map_err(|_| TipError::Signature)?;
        let signed = tip.from.verify(CONTEXT, &tip.body(), &signature);
        if signed { Ok(()) } else { Err(TipError::Signature) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn who(number: u8) -> Identity {
        Identity::from_secret([number; 32])
    }

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
    fn every_field_is_signed_for() {
        let (issuer, signed) = (who(1).public(), tip().sign(&who(2)));
        assert_eq!(signed.verify(&issuer), Ok(()));
        let text = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedTip>(&text).unwrap(), signed);
        let changes: [fn(&mut Tip); 6] = [
            |tip| tip.id = Id::new(7, [2; 10]),
            |tip| tip.from = who(3).public(),
            |tip| tip.to[0].weight = 1,
            |tip| tip.to.push(Recipient { peer: who(4).public(), weight: 0 }),
            |tip| tip.amount = Micro::MAX,
            |tip| tip.note.push('!'),
        ];
        for change in changes {
            let mut forged = signed.clone();
            change(&mut forged.tip);
            assert_eq!(forged.verify(&issuer), Err(TipError::Signature), "{forged:?}");
        }
        let elsewhere = who(9).public();
        assert_eq!(signed.verify(&elsewhere), Err(TipError::Issuer(elsewhere)));
        assert_eq!(tip().sign(&who(3)).verify(&issuer), Err(TipError::Signature));
        assert_eq!(Tip { to: vec![], ..tip() }.sign(&who(2)).verify(&issuer), Err(TipError::Size));
        let scrawl = SignedTip { signature: "?".into(), ..signed };
        assert_eq!(scrawl.verify(&issuer), Err(TipError::Signature));
    }
}
