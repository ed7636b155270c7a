//! [`Look`]: leave to read accounts, signed by their owner.

use crate::signed::Request;
use beacon_sdk::PublicKey;
use serde::{Deserialize, Serialize};

/// Characters of an account's name at most: a kind, a colon and a key have 72.
const NAME_CHARS_MAX: usize = 100;

/// What somebody wants to read of a ledger, now: whoever overhears it can read the same for the 90 seconds in which it
/// counts, and nothing else. Signed are `beacon-look-v1`, the keys of issuer and reader, the time (64 bits), and
/// the account's name in UTF-8.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// The ledger: the key that its edges are signed by.
    pub issuer: PublicKey,
    /// Who reads.
    pub reader: PublicKey,
    /// When it was signed, Unix milliseconds.
    pub at_ms: u64,
    /// What is read, as [`AccountId::named`](crate::AccountId::named) takes it.
    pub account: String,
}

impl Request for Look {
    const CONTEXT: &'static [u8] = b"beacon-look-v1";
    const WHAT: &'static str = "look";

    fn issuer(&self) -> PublicKey {
        self.issuer
    }

    fn author(&self) -> PublicKey {
        self.reader
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.issuer.as_bytes().to_vec();
        body.extend_from_slice(self.reader.as_bytes());
        body.extend_from_slice(&self.at_ms.to_be_bytes());
        body.extend_from_slice(self.account.as_bytes());
        body
    }

    fn check(&self) -> Result<(), &'static str> {
        let fits = self.account.chars().count() <= NAME_CHARS_MAX;
        if fits { Ok(()) } else { Err("an account's name has at most 100 characters") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::tests::{every_field_is_signed_for, who};

    #[test]
    fn a_look_is_signed_for_as_a_whole() {
        let (issuer, reader) = (who(1).public(), who(2).public());
        let look = Look { issuer, reader, at_ms: 5, account: "issuance".into() };
        every_field_is_signed_for(
            look.clone(),
            &[
                |look| look.reader = who(3).public(),
                |look| look.at_ms = 6,
                |look| look.account = "forfeits".into(),
            ],
        );
        assert!(Look { account: "x".repeat(101), ..look }.sign(&who(2)).verify(&issuer).is_err());
    }
}
